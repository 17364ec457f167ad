"""Whether a virtual CPU really runs under KVM."""

import time

from freeonce.deadline import Deadline
from freeonce.errors import DeadlineExceeded, GuestLost
from freeonce.machine.folder import guest_folder
from freeonce.machine.process import qemu_process

PROBE_SECONDS = 10.0
POLL_SECONDS = 0.02


def kvm_probe(qemu: str, svm: bool = True) -> str | None:
    """Why KVM does not run QEMU's own firmware, with `svm` on a CPU that has it; None when it does.

    Waits for the firmware's first byte on its debug port 0x402. A broken KVM hangs or
    aborts before that.
    """
    with guest_folder() as folder:
        debug = folder / "debug"
        argv = [
            *(qemu, "-nodefaults", "-no-user-config", "-display", "none"),
            *(
                "-accel",
                "kvm",
                "-cpu",
                "host,+svm" if svm else "host",
                "-machine",
                "q35",
                "-m",
                "64M",
            ),
            *("-chardev", f"file,id=debug,path={debug}"),
            *("-device", "isa-debugcon,iobase=0x402,chardev=debug"),
        ]
        deadline = Deadline(PROBE_SECONDS, "the first step of a virtual CPU under KVM")
        with qemu_process(argv, folder) as process:
            try:
                while not (debug.exists() and debug.stat().st_size):
                    process.check()
                    deadline.left()
                    time.sleep(POLL_SECONDS)
            except DeadlineExceeded as error:
                return str(error)
            except GuestLost as error:
                return f"under KVM {_short(str(error))}"
    return None


def _short(words: str) -> str:
    """How QEMU ended and the first of its words that is no warning, on one line."""
    how, _, said = words.partition(": ")
    lines = [line for line in said.splitlines() if "warning: " not in line]
    first = lines[0].removeprefix("qemu-system-x86_64: ").removeprefix("error: ") if lines else ""
    return f"{how}: {first}" if first else how

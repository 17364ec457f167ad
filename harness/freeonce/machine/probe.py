"""Whether a guest really runs under KVM."""

import time

from freeonce.deadline import Deadline
from freeonce.errors import DeadlineExceeded, GuestLost, HostError
from freeonce.machine.argv import MachineConfig, qemu_argv
from freeonce.machine.console import READY
from freeonce.machine.folder import kept_folder
from freeonce.machine.process import qemu_process
from freeonce.machine.start import started

PROBE_SECONDS = 10.0
READY_SECONDS = 30.0
POLL_SECONDS = 0.02


def kvm_probe(qemu: str, cpu: str = "host,+svm") -> str | None:
    """Why KVM does not run QEMU's own firmware; None when it does.

    Waits for the firmware's first byte on its debug port 0x402. A broken KVM hangs or
    aborts before that.
    """
    with kept_folder() as folder:
        debug = folder / "debug"
        argv = [
            *(qemu, "-nodefaults", "-no-user-config", "-display", "none"),
            *("-accel", "kvm", "-cpu", cpu, "-machine", "q35", "-m", "64M"),
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
                return _words(error)
    return None


def _words(error: Exception) -> str:
    """On one line, as reports tell it, and without QEMU's command, which names what is gone."""
    said, _, _ = str(error).partition("\ncommand: ")
    return " ".join(["under KVM", *said.split()])


def ready_probe(config: MachineConfig) -> str | None:
    """Why a guest does not come as far as "ready" under KVM; None when it does.

    There are machines on which firmware runs and a kernel hangs.
    """
    deadline = Deadline(READY_SECONDS, "a guest's boot under KVM")
    with kept_folder() as folder:
        try:
            with started(qemu_argv(config, folder), folder, deadline) as machine:
                machine.monitor.execute("cont")
                machine.console.wait_for(READY, deadline, machine.process.check)
        except DeadlineExceeded as error:
            return str(error)
        except (GuestLost, HostError) as error:
            return _words(error)
    return None

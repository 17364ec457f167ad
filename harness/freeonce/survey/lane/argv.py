"""The outer machine's command line, and what is left for it to do. Pure.

The outer machine is a host with KVM and SVM, emulated by TCG. It runs on this host's files,
which it only reads, so that QEMU, Python, harness and image in it are those of this host.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from freeonce.machine.argv import MIB
from freeonce.project.image import OuterImage

COMMAND_LINE = (
    "console=ttyS0 quiet panic=-1",
    # A loaded host may tick too late for the kernel to believe in its timer at boot.
    "no_timer_check",
    # TCG's VMRUN can lose an interrupt that another thread raises at that moment: without its
    # lock it notes that a virtual one is pending (QEMU 7.2, svm_helper.c). The next interrupt
    # brings it back, so there must be a next one: a timer that ticks, whoever sleeps.
    "nohz=off highres=off",
)
SCRATCH = PurePosixPath("/run/freeonce")
"""Where the outer machine has the folder `scratch` that we share; guest/outer/init says so too."""

LOOK = "look.sock"
"""Its second serial line: for each line on it guest/outer/look tells where the machine stands."""


@dataclass(frozen=True)
class OuterConfig:
    """The outer machine. `memory`: bytes. `cpus`: each emulated by a thread of its own.

    One: with two, QEMU 7.2 was seen to hang in nested SVM, with a CPU that went round in
    its loop for ever.
    """

    qemu: str
    image: OuterImage
    memory: int = 2048 * MIB
    cpus: int = 1


def outer_argv(config: OuterConfig, folder: Path) -> tuple[str, ...]:
    """QEMU's arguments. Its sockets are in `folder`, and so is what it shares: `scratch`.

    It has no network. A panic, a reset and a power-off all end QEMU.
    """
    return (
        *(config.qemu, "-name", "freeonce-outer", "-nodefaults", "-no-user-config"),
        *("-display", "none", "-nic", "none", "-no-reboot"),
        *("-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max,+svm,+npt"),
        *("-smp", str(config.cpus), "-m", f"{config.memory // MIB}M"),
        *("-kernel", str(config.image.boot), "-initrd", str(config.image.initramfs)),
        *("-append", " ".join(COMMAND_LINE)),
        *("-chardev", f"socket,id=console,path={folder}/console.sock,server=on,wait=off"),
        *("-serial", "chardev:console"),
        *("-chardev", f"socket,id=look,path={folder}/{LOOK},server=on,wait=off"),
        *("-serial", "chardev:look"),
        *("-chardev", f"socket,id=qmp,path={folder}/qmp.sock,server=on,wait=off"),
        *("-mon", "chardev=qmp,mode=control"),
        "-virtfs",
        "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
        "-virtfs",
        f"local,path={folder}/scratch,mount_tag=scratch,security_model=none",
        # Not before we listen to its console.
        "-S",
    )


def script(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """The shell script `command` of the scratch folder: what the outer machine runs.

    The command's output is not kept; its words on stderr go to the console.
    """
    exports = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return "\n".join([*exports, f"exec {shlex.join(command)} >/dev/null", ""])

"""The command line of QEMU and of the guest's kernel. Pure."""

from dataclasses import dataclass
from pathlib import Path

from freeonce.project.host import SANDBOX

MIB = 1 << 20


# What no guest of ours uses, and its kernel would look for. What each step gave: PERFORMANCE.md.
BARE = "i8042=off,sata=off,smbus=off,hpet=off"


@dataclass(frozen=True)
class Window:
    """The guest-physical range of the ledger, in bytes."""

    base: int = 128 * MIB
    size: int = 8 * MIB


@dataclass(frozen=True)
class MachineConfig:
    """One guest. `cpu`: QEMU's CPU model with its properties. `memory`: bytes.

    `nodes`: NUMA nodes, each with an equal part of the memory. `features`: what a
    scenario may need and this CPU model has; a guest that lacks one is not as expected.
    `sandbox`: whether QEMU can be kept from system calls that it does not need.
    `append`, `extra`: what a user adds to the kernel's command line and to QEMU's arguments.
    """

    qemu: str
    accelerator: str
    boot: Path
    initramfs: Path
    cpu: str
    memory: int = 256 * MIB
    cpus: int = 2
    nodes: int = 1
    features: frozenset[str] = frozenset({"svm"})
    window: Window = Window()
    sandbox: bool = True
    append: str = ""
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError when the window is not inside the memory."""
        if self.window.base + self.window.size > self.memory:
            raise ValueError("the ledger's window lies outside of the guest's memory")


def kernel_command_line(config: MachineConfig) -> str:
    """The guest's kernel command line (Documentation/admin-guide/kernel-parameters.rst)."""
    window = config.window
    return " ".join(
        [
            "console=ttyS0",
            "quiet",
            # After an oops nothing that the guest says can be believed.
            "oops=panic",
            # Reset at once on a panic; QEMU then stops and keeps the memory to look at.
            "panic=-1",
            # No self-tests of ciphers, no security modules, no IPv6: nobody here uses them.
            "cryptomgr.notests lsm= ipv6.disable=1",
            # Whether the timer ticks is tested against the time of a host that may be busy.
            "no_timer_check",
            # Reserved: never handed out, and at an address that the host knows beforehand.
            f"memmap={window.size:#x}${window.base:#x}",
            *([config.append] if config.append else []),
        ]
    )


@dataclass(frozen=True)
class Ram:
    """Guest memory in files, one a node.

    `clone`: copied on write, and the guest comes by migration; otherwise what it writes
    stands in the files.
    """

    files: tuple[str, ...]
    clone: bool


def _memory(config: MachineConfig, ram: Ram | None) -> list[str]:
    """Arguments for the memory, each node's in a backend of its own."""
    size = config.memory // config.nodes
    arguments = ["-m", f"{config.memory // MIB}M"]
    for node in range(config.nodes):
        backend = "memory-backend-ram"
        if ram is not None:
            share = "off" if ram.clone else "on"
            # A comma would end the value; two stand for one (qemu(1)).
            file = ram.files[node].replace(",", ",,")
            backend = f"memory-backend-file,mem-path={file},share={share}"
        arguments += ["-object", f"{backend},id=node{node},size={size}"]
        if config.nodes > 1:
            arguments += ["-numa", f"node,nodeid={node},memdev=node{node}"]
    return arguments


def _origin(config: MachineConfig, ram: Ram | None) -> list[str]:
    """Where the guest begins: at its kernel, or where its template was taken."""
    if ram is not None and ram.clone:
        return ["-incoming", "defer"]
    kernel = ["-kernel", str(config.boot), "-initrd", str(config.initramfs)]
    return [*kernel, "-append", kernel_command_line(config)]


def qemu_argv(config: MachineConfig, folder: Path, ram: Ram | None = None) -> tuple[str, ...]:
    """QEMU's arguments. Its sockets in `folder`: `qmp.sock`, `console.sock`, `control.sock`."""
    return (
        config.qemu,
        "-name",
        "freeonce",
        *(["-sandbox", SANDBOX] if config.sandbox else []),
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-accel",
        config.accelerator,
        "-machine",
        f"q35,{BARE}" if config.nodes > 1 else f"q35,{BARE},memory-backend=node0",
        "-cpu",
        config.cpu,
        "-smp",
        str(config.cpus),
        *_memory(config, ram),
        *_origin(config, ram),
        # A guest that panics, resets or powers off leaves its memory for us to read.
        "-device",
        "pvpanic-pci",
        "-action",
        "panic=pause,reboot=shutdown,shutdown=pause",
        "-chardev",
        f"socket,id=console,path={folder}/console.sock,server=on,wait=off",
        "-serial",
        "chardev:console",
        "-chardev",
        f"socket,id=control,path={folder}/control.sock,server=on,wait=off",
        "-serial",
        "chardev:control",
        "-chardev",
        f"socket,id=qmp,path={folder}/qmp.sock,server=on,wait=off",
        "-mon",
        "chardev=qmp,mode=control",
        # Port 0: QEMU takes a free one, so that no other program can take it first.
        "-netdev",
        "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:22",
        "-device",
        # A clone is nobody's successor: it need not announce itself to a network after migration.
        "virtio-net-pci,netdev=net,romfile=,guest_announce=off",
        # Not before we listen to its console.
        "-S",
        *config.extra,
    )

"""A guest made from nothing: QEMU with the lines to it, booted until it says that it is ready."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from freeonce.deadline import Deadline
from freeonce.errors import GuestLost
from freeonce.guest.guest import Guest
from freeonce.machine.argv import MachineConfig, Ram, qemu_argv
from freeonce.machine.console import READY
from freeonce.machine.control import control
from freeonce.machine.folder import kept_folder
from freeonce.machine.ssh import ssh
from freeonce.machine.start import started
from freeonce.project.image import Image

BOOT_SECONDS = 120.0
CONNECT_SECONDS = 600.0


def start(
    config: MachineConfig,
    stack: ExitStack,
    deadline: Deadline,
    ram: Ram | None = None,
    files: Sequence[int] = (),
) -> Guest:
    """A QEMU whose guest does not run yet, with the lines to it."""
    folder = stack.enter_context(kept_folder())
    qemu = stack.enter_context(started(qemu_argv(config, folder, ram), folder, deadline, files))
    guest = Guest(config, qemu.process, qemu.monitor, qemu.console)
    guest.use(stack.enter_context(control(folder, guest.check)))
    return guest


def connect_ssh(guest: Guest, image: Image, stack: ExitStack) -> None:
    """Give the guest its SSH, until the stack ends."""
    port = guest.monitor.forwarded_port()
    keys = image.client_key, image.host_key
    # Long: a scenario may keep the CPU to itself. Who asks first waits as long as it wants to.
    deadline = Deadline(CONNECT_SECONDS, "connecting to the guest by SSH")
    guest.connect(stack.enter_context(ssh(port, *keys, deadline, guest.check)))


def boot_up(
    config: MachineConfig,
    image: Image,
    stack: ExitStack,
    deadline: Deadline,
    ram: Ram | None = None,
) -> Guest:
    """A guest that is ready, without SSH. Raises GuestLost, HostError."""
    image.check_kernel()
    guest = start(config, stack, deadline, ram)
    guest.monitor.execute("cont")
    try:
        guest.console.wait_for(READY, deadline, guest.check)
    except GuestLost as lost:
        lost.console = lost.console or guest.console.tail()
        raise
    return guest


@contextmanager
def boot(
    config: MachineConfig, image: Image, seconds: float = BOOT_SECONDS, *, load: bool = True
) -> Iterator[Guest]:
    """A booted guest with the module in it; nothing of it is left when the block ends.

    Raises GuestLost or HostError; then nothing is left either.
    """
    with ExitStack() as stack:
        deadline = Deadline(seconds, "booting the guest")
        guest = boot_up(config, image, stack, deadline)
        connect_ssh(guest, image, stack)
        if load:
            guest.load_modules()
        yield guest

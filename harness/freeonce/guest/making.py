"""A guest made from nothing: QEMU with the lines to it, booted until it says that it is ready."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from freeonce.deadline import Deadline
from freeonce.errors import DeadlineExceeded, GuestLost
from freeonce.guest.guest import Guest
from freeonce.machine.argv import MachineConfig, Ram, qemu_argv
from freeonce.machine.console import MISJUDGED, READY
from freeonce.machine.control import control
from freeonce.machine.folder import kept_folder
from freeonce.machine.ssh import ssh
from freeonce.machine.start import started
from freeonce.project.image import Image

BOOT_SECONDS = 120.0
CONNECT_SECONDS = 600.0
PATCHES_RIGHT = (8, 1)
"""The first QEMU whose TCG holds the lock of a page while it translates code there ("accel/tcg:
Always lock pages before translation"). Before it, code that one CPU patches while another
translates it could stay as it was, and that CPU meets the `int3` of text_poke() for ever."""
BEGUN_ANEW = logging.getLogger("freeonce.boots")
"""Hears, as a warning, of a boot that was given up and begun anew."""


class Frozen(DeadlineExceeded):
    """A boot did not end in time, under a QEMU that is known to freeze one now and then."""


class ClockMisjudged(GuestLost):
    """A guest whose time runs too fast: each wait in it is too short (pit_calibrate_tsc())."""


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
    except DeadlineExceeded as late:
        told = f"{late}{_where(guest)}"
        lost = Frozen(told) if _freezes(guest) else DeadlineExceeded(told)
        lost.console = guest.console.tail()
        raise lost from late
    except GuestLost as lost:
        lost.console = lost.console or guest.console.tail()
        raise
    if MISJUDGED in (said := guest.console.tail()):
        raise ClockMisjudged("the guest's kernel misjudged its clock", said)
    return guest


def may_freeze(config: MachineConfig, version: tuple[int, int]) -> bool:
    """Whether this QEMU may translate on one CPU what another patches."""
    threads = config.accelerator.startswith("tcg") and "thread=single" not in config.accelerator
    return threads and config.cpus > 1 and version < PATCHES_RIGHT


def _freezes(guest: Guest) -> bool:
    with suppress(GuestLost):
        return may_freeze(guest.config, guest.monitor.version())
    return False


def _where(guest: Guest) -> str:
    """Where its CPUs are, for whoever looks for the reason; nothing when QEMU does not say."""
    with suppress(GuestLost):
        said = guest.monitor.execute("human-monitor-command", {"command-line": "info registers -a"})
        found = re.findall(r"CPU#(\d+).*?[ER]IP=([0-9a-f]+)", str(said), re.DOTALL)
        return "".join(f"; CPU {number} is at {rip}" for number, rip in found)
    return ""


def booted(
    config: MachineConfig,
    image: Image,
    stack: ExitStack,
    deadline: Deadline,
    ram: Ram | None = None,
) -> tuple[Guest, Deadline]:
    """As `boot_up`, and the deadline that it kept. What went wrong by chance is begun anew, once.

    That is a boot that froze, or misjudged its clock. The second one has as long a deadline, and
    BEGUN_ANEW is told. What goes wrong a second time is raised.
    """
    with ExitStack() as attempt:
        try:
            guest = boot_up(config, image, attempt, deadline, ram)
        except Frozen as frozen:
            why = f"{frozen}, as QEMU before 8.1 freezes a boot now and then"
        except ClockMisjudged as misjudged:
            why = f"{misjudged}, as it may on a busy host"
        else:
            stack.enter_context(attempt.pop_all())
            return guest, deadline
    BEGUN_ANEW.warning("%s; the boot is begun anew", why)
    # As new: QEMU makes them.
    for file in ram.files if ram is not None else ():
        Path(file).unlink(missing_ok=True)
    again = deadline.again()
    return boot_up(config, image, stack, again, ram), again


@contextmanager
def boot(
    config: MachineConfig, image: Image, seconds: float = BOOT_SECONDS, *, load: bool = True
) -> Iterator[Guest]:
    """A booted guest with the module in it; nothing of it is left when the block ends.

    Raises GuestLost or HostError; then nothing is left either.
    """
    with ExitStack() as stack:
        guest, _ = booted(config, image, stack, Deadline(seconds, "booting the guest"))
        connect_ssh(guest, image, stack)
        if load:
            guest.load_modules()
        yield guest

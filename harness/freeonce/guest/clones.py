"""Templates of a guest that is ready, and the clones that begin there."""

import secrets
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from freeonce.deadline import Deadline
from freeonce.errors import GuestLost
from freeonce.evidence.scenarios import parse_scenarios
from freeonce.guest.guest import COMMAND_SECONDS, TABLE, Guest
from freeonce.guest.making import BOOT_SECONDS, booted, connect_ssh, start
from freeonce.machine.argv import MachineConfig, Ram
from freeonce.machine.ssh import library_beside
from freeonce.machine.template import STATE, Template, origin, ram_files, template
from freeonce.project.image import Image
from freeonce.project.setting import Setting

CLONE_SECONDS = 60.0
QUIET_SECONDS = 0.2
SEED_BYTES = 32


def template_of(
    setting: Setting, seconds: float = BOOT_SECONDS
) -> AbstractContextManager[Template]:
    """The template of a setting, built when there is none, by a boot of at most `seconds`."""
    config = setting.config()
    about = origin(config, setting.image.manifest, setting.qemu)
    return template(
        config, about, lambda folder: take_template(config, setting.image, folder, seconds)
    )


def take_template(
    config: MachineConfig, image: Image, folder: Path, seconds: float = BOOT_SECONDS
) -> bytes:
    """Boot a guest whose memory is in `folder`, and save it there; its table of scenarios.

    The module is loaded, its ledger empty, SVM off, and nobody is connected.

    Raises as `boot`, and EvidenceError when the table cannot be read as one.
    """
    ram = Ram(tuple(map(str, ram_files(config, folder))), clone=False)
    with ExitStack() as stack:
        deadline = Deadline(seconds, "booting the guest for a template")
        guest, deadline = booted(config, image, stack, deadline, ram)
        with ExitStack() as connection:
            connect_ssh(guest, image, connection)
            guest.load_modules()
            table = guest.command(TABLE) if config.specimens else b""
            if config.specimens:
                parse_scenarios(table)
            _rehearse(guest)
        # The guest's end of the connection goes by itself; one that stayed would do no harm.
        time.sleep(QUIET_SECONDS)
        guest.check()
        with (folder / STATE).open("xb") as state:
            guest.monitor.save(state.fileno(), deadline)
        return table


def _rehearse(guest: Guest) -> None:
    """Ask what each clone is asked first: the pages that this needs are then in the template."""
    _awaken(guest, Deadline(COMMAND_SECONDS, "waking the guest"))
    guest.tell(0)


def _awaken(guest: Guest, deadline: Deadline) -> None:
    """Give it entropy before anything in it draws a number that another clone would draw, too."""
    guest.ask_by(f"reseed {secrets.token_hex(SEED_BYTES)}", deadline)
    guest.ask_by(f"clock {time.time_ns()}", deadline)


@contextmanager
def clone(
    source: Template, image: Image, seconds: float = CLONE_SECONDS, *, connect: bool = True
) -> Iterator[Guest]:
    """A guest of its own that begins where the template was taken; used like `boot`.

    Its memory is copied on write. Random numbers and wall clock are its own. Without
    `connect` there is no SSH, only the control line.
    """
    with ExitStack() as stack:
        if connect:
            stack.enter_context(library_beside())
        deadline = Deadline(seconds, "starting a clone")
        state = stack.enter_context(source.read_state())
        guest = start(source.config, stack, deadline, source.ram, source.rams)
        try:
            guest.monitor.restore(state, deadline)
        except GuestLost:
            guest.process.check()
            raise
        guest.monitor.execute("cont")
        guest.table = source.table
        _awaken(guest, deadline)
        if connect:
            connect_ssh(guest, image, stack)
        yield guest

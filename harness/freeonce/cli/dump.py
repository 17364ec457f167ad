"""`freeonce dump`: a guest's memory and registers as a core file, for drgn or gdb."""

from pathlib import Path

import click

from freeonce.byhand.core import read_vmcoreinfo, write_core
from freeonce.byhand.session import Session
from freeonce.cli.completion import scenario_names
from freeonce.cli.options import accelerator_option
from freeonce.cli.output import writable
from freeonce.errors import GuestLost
from freeonce.guest import Guest, clone
from freeonce.project.setting import find_setting
from freeonce.run.hear import lost_words
from freeonce.run.hire import template_for_any


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("scenario", required=False, shell_complete=scenario_names)
@accelerator_option
def dump(file: Path, scenario: str | None, accel: str) -> None:
    """Write a guest's memory to FILE, after SCENARIO has ended and before its memory is given back.

    The file is an ELF core: `drgn -c FILE guest/ledger.drgn.py` reads the ledger in it. A
    scenario that loses its guest leaves a core as well.
    """
    writable(file)
    setting = find_setting(accel)
    with (
        template_for_any(setting) as source,
        Session(lambda: clone(source, setting.image)) as session,
    ):
        # Before the scenario: one that is lost tells no more where it is.
        note = read_vmcoreinfo(session.guest)
        if scenario is not None:
            _run(session, scenario)
        write_core(session.guest, note, file)
        click.echo(f"wrote {file}: {_summary(session.guest)}", err=True)


def _run(session: Session, name: str) -> None:
    session.find(name)
    try:
        session.run(name)
    except GuestLost as lost:
        click.echo(f"{name}: {lost_words(lost)}", err=True)


def _summary(guest: Guest) -> str:
    window = guest.config.window
    return f"{guest.config.memory >> 20} MiB of memory, the ledger's window at {window.base:#x}"

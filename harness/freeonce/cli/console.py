"""`freeonce console`: attach to a guest's console, and detach from it."""

import click

from freeonce.byhand import guests
from freeonce.byhand.guests import ByHand, by_hand
from freeonce.byhand.terminal import LEAVE, attach
from freeonce.cli.completion import guest_names
from freeonce.cli.options import accelerator_option
from freeonce.project.setting import find_setting
from freeonce.run.hire import template_for_any


@click.command()
@click.argument("name", default="", metavar="[GUEST]", shell_complete=guest_names)
@click.option("--new", is_flag=True, help="Start a new guest, which ends when you detach.")
@accelerator_option
def console(name: str, new: bool, accel: str) -> None:
    """Attach to the console of a guest of `freeonce shell` or `debug` in another terminal.

    GUEST is its name, or the beginning of it; not needed when only one guest runs. The console
    shows the kernel's messages, and Enter gives a shell. Ctrl-] detaches; the guest runs on.
    """
    if not new:
        _attach(guests.choose(name), "the guest runs on")
        return
    if name:
        raise click.UsageError(
            "--new starts a guest, and GUEST names a running one: give one of them"
        )
    setting = find_setting(accel)
    with template_for_any(setting) as source, by_hand(setting, source, "console")() as guest:
        _attach(guests.of(guest), "the guest goes")


def _attach(guest: ByHand, then: str) -> None:
    click.echo(f"The console of {guest.name}: Enter gives a shell, {LEAVE}.", err=True)
    detached = attach(guest.console)
    click.echo(f"\ndetached; {then}" if detached else "\nthe guest is gone", err=True)

"""`freeonce ssh`: a shell, or one command, in a guest of its own or in one that runs."""

import subprocess

import click

from freeonce.byhand import guests
from freeonce.byhand.guests import ByHand, by_hand
from freeonce.cli.completion import guest_names
from freeonce.cli.options import accelerator_option
from freeonce.project.setting import find_setting
from freeonce.run.hire import template_for_any

FAILED = 255
"""OpenSSH's own status when it did not get in."""


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--guest",
    metavar="NAME",
    shell_complete=guest_names,
    help="Log in to a guest of `freeonce shell` or `debug` in another terminal; `shell` is enough.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@accelerator_option
@click.pass_context
def ssh(context: click.Context, guest: str | None, command: tuple[str, ...], accel: str) -> None:
    """Log in to a guest, or run COMMAND in it. Exit status: that of ssh.

    Unless --guest names a running guest, a new one is started, which ends when you log out.
    """
    if guest is not None:
        context.exit(_into_another(guests.choose(guest), command))
    setting = find_setting(accel)
    with template_for_any(setting) as source, by_hand(setting, source, "ssh")() as own:
        argv = guests.of(own).ssh()
        context.exit(subprocess.run([*argv, *command], check=False).returncode)


def _into_another(guest: ByHand, command: tuple[str, ...]) -> int:
    # It may stand still, and then never answers.
    done = subprocess.run([*guest.ssh("ConnectTimeout=10"), *command], check=False)
    if done.returncode == FAILED:
        click.echo(f"freeonce: {guest.name} may stand still: paused, or under gdb", err=True)
    return done.returncode

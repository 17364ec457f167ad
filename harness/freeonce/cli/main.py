"""`freeonce`: the verbs, signals, and how an error ends the program."""

import signal
import sys
from types import FrameType

import click

from freeonce import __version__
from freeonce.cli.doctor import doctor
from freeonce.cli.list import list_scenarios
from freeonce.cli.run import run
from freeonce.errors import FreeonceError, GuestLost, HostError, UsageError

USAGE = 2
HOST = 3
INCOMPLETE = 4


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="freeonce")
def verbs() -> None:
    """Prove that every allocation a hypervisor makes is released exactly once."""


verbs.add_command(doctor)
verbs.add_command(list_scenarios)
verbs.add_command(run)


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    """The program. Exit status: see DESIGN's contract in README.md."""
    # An exception unwinds every context manager; the default action would not.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        verbs.main(standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(128 + signal.SIGINT)
    except FreeonceError as error:
        sys.exit(_report(error))


def _report(error: FreeonceError) -> int:
    """Print an error; the exit status for it."""
    match error:
        case UsageError():
            click.echo(f"freeonce: {error}", err=True)
            return USAGE
        case HostError(reason=reason):
            click.echo(f"freeonce: {reason}: {error}", err=True)
            return HOST
        case GuestLost(console=console) if console:
            click.echo(f"freeonce: {error}; the console's last lines:\n{console}", err=True)
        case _:
            click.echo(f"freeonce: {error}", err=True)
    return INCOMPLETE


if __name__ == "__main__":
    main()

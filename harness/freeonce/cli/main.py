"""`freeonce`: the verbs, signals, and how an error ends the program."""

import atexit
import signal
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import click

from freeonce import __version__
from freeonce.cli import streams
from freeonce.cli.insisting import insisting
from freeonce.errors import FreeonceError, GuestLost, HostError, OuterLost, UsageError
from freeonce.evidence.quote import quoted
from freeonce.project.file import find_project
from freeonce.project.platform import unfit

USAGE = 2
HOST = 3
INCOMPLETE = 4
OUTER_LOST = 5
INTERNAL = 70
"""EX_SOFTWARE of sysexits.h: an error of freeonce itself, which no verdict ends with."""


VERBS = {
    "audit": "audit",
    "cache": "cache",
    "campaign": "campaign",
    "census": "census",
    "compare": "compare",
    "console": "console",
    "debug": "debug",
    "doctor": "doctor",
    "dump": "dump",
    "explain": "explain",
    "lane": "lane",
    "list": "list_scenarios",
    "new": "new",
    "results": "results",
    "run": "run",
    "setup": "setup",
    "shell": "shell",
    "ssh": "ssh",
    "svm": "svm",
    "worker": "worker",
}
"""Each verb's file in `cli/`, and its function there."""


OF_A_PROJECT = {"audit", "run", "shell"}
"""What these are not told they take from the project that we stand in."""


def _defaults() -> dict[str, dict[str, Any]]:
    """What its file says, by verb. Raises UsageError when that is wrong."""
    if find_project(Path.cwd()) is None:
        return {}
    from freeonce.project.chosen import project  # noqa: PLC0415

    ours = project()
    return ours.defaults if ours else {}


class _Verbs(click.Group):
    """Reads a verb's file when it is asked for: all of them take most of a second."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        if cmd_name in OF_A_PROJECT:
            ctx.default_map = _defaults()
        command: click.Command = getattr(import_module(f"freeonce.cli.{cmd_name}"), VERBS[cmd_name])
        return command


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="freeonce")
def verbs() -> None:
    """Prove that every allocation of a kernel module is released exactly once."""


class _Ended(SystemExit):
    """A signal asked us to end. `last`: the status, whatever became of the exception."""

    last: int | None = None


def _end(number: int, _frame: FrameType | None) -> None:
    _Ended.last = 128 + number
    raise _Ended(_Ended.last)


def _deafen(*numbers: int) -> None:
    """Ignore these signals: one that comes when Python is nearly over is not to be our status.

    Python gives every other its default action back then. To block them is not enough, since
    libraries have threads of their own.
    """
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def main() -> None:
    """The program. Exit status: as in README.md, 128 + n after signal n."""
    streams.open_missing()
    streams.escape_what_they_cannot_show()
    try:
        with insisting():
            status = _run()
        streams.flush()
    except OSError as error:
        status = _Ended.last or _of_this_host(error)
    except Exception:
        # A signal that came while an event loop or a destructor ran may come out as this.
        status = _Ended.last or _internal()
    sys.exit(status)


def _internal() -> int:
    """Tell an error that nobody expected. Python's own status for it, 1, is a verdict here."""
    traceback.print_exc()
    click.echo("freeonce: this is an error of freeonce itself; no verdict was reached", err=True)
    return INTERNAL


def _of_this_host(error: OSError) -> int:
    """Tell what this host refused, where nothing nearer to it had better words."""
    if isinstance(error, BrokenPipeError):
        return _forsaken()
    what = f"{error.filename}: " if error.filename else ""
    with suppress(OSError):
        streams.flush()
    streams.give_up()
    click.echo(f"freeonce: host-refused: {what}{error.strerror or error}", err=True)
    return HOST


def _forsaken() -> int:
    """Nobody reads what is printed: that is no verdict, and it is told to who can still hear."""
    streams.give_up()
    return _report(HostError("cannot-write", "the reader of the output is gone"))


def _run() -> int:
    # Before anything else: elsewhere not even signals are the same.
    obstacle = unfit()
    if obstacle is not None:
        return _report(HostError("wrong-machine", obstacle))
    # An exception unwinds every context manager; the default action would not.
    ending = signal.SIGTERM, signal.SIGHUP
    for number in ending:
        # Under nohup a hang-up is to be ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    atexit.register(_deafen, signal.SIGINT, *ending)
    try:
        # Not in standalone mode click returns what a verb exits with.
        return int(verbs.main(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 128 + signal.SIGINT
    except FreeonceError as error:
        return _Ended.last or _report(error)
    except _Ended:
        raise
    except SystemExit as ended:
        if ended.code != 1:
            raise
        # Click's own: its reader left. No verb of ours ends so.
        return _forsaken()


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
            said = f"{error}; the console's last lines:\n{quoted(console)}"
            click.echo(f"freeonce: {said}", err=True)
        case _:
            click.echo(f"freeonce: {error}", err=True)
    return OUTER_LOST if isinstance(error, OuterLost) else INCOMPLETE


if __name__ == "__main__":
    main()

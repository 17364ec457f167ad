"""`--quiet` and `--verbose`: how much a verb says on stderr while it works."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.text import Text

from freeonce.cli.output import Out
from freeonce.evidence.quote import harmless
from freeonce.guest.making import BEGUN_ANEW
from freeonce.machine.console import HEARD

Command = TypeVar("Command", bound=Callable[..., Any])


def loudness_options(command: Command) -> Command:
    """Options for both, passed on as `quiet` and `verbose`."""
    quiet = click.option("-q", "--quiet", is_flag=True, help="Print only what is not as expected.")
    verbose = click.option(
        "-v", "--verbose", is_flag=True, help="Print the guest's console to stderr."
    )
    return quiet(verbose(command))


class _Printer(logging.Handler):
    """Lines of who speaks by `name` to our console, above a progress bar if there is one."""

    def __init__(self, console: Console, name: str) -> None:
        super().__init__(logging.INFO)
        self._console = console
        self._name = name

    def emit(self, record: logging.LogRecord) -> None:
        line = Text.assemble((self._name, "dim"), harmless(record.getMessage()))
        self._console.print(line, soft_wrap=True, highlight=False)


@contextmanager
def stderr_console(quiet: bool, verbose: bool) -> Iterator[Console]:
    """Where progress goes, and with `verbose` the guest's console.

    That a boot was begun anew is said always.

    Raises click.UsageError when both are asked for.
    """
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose exclude each other")
    console = Out(stderr=True, quiet=quiet)
    printer = _Printer(console, "guest: ")
    anew = _Printer(Out(stderr=True) if quiet else console, "freeonce: ")
    BEGUN_ANEW.addHandler(anew)
    BEGUN_ANEW.propagate = False
    if verbose:
        HEARD.addHandler(printer)
        HEARD.setLevel(logging.INFO)
        HEARD.propagate = False
    try:
        yield console
    finally:
        BEGUN_ANEW.removeHandler(anew)
        BEGUN_ANEW.propagate = True
        HEARD.removeHandler(printer)
        HEARD.setLevel(logging.NOTSET)

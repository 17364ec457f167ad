"""`--rerun-failed`: what the last runs left open, kept up to date while this one goes on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from freeonce.cli.gathered import Gathered
from freeonce.errors import HostError, UsageError
from freeonce.project.last import News, keep_open, last_file, left_open

EVERY_SECONDS = 1.0


class Last:
    """`again`: names to run again, with `rerun`. A run with `failing` says nothing of a plain one.

    Raises UsageError when there is nothing to run again.
    """

    def __init__(self, rerun: bool, failing: bool) -> None:
        self._file = last_file()
        self._failing = failing
        self.again = left_open(self._file) if rerun else ()
        if rerun and not self.again:
            raise UsageError("nothing to run again: everything was as expected")
        self._next = 0.0

    def as_it_goes(self, gathered: Gathered) -> None:
        """Keep what is open now. Who is killed leaves too much open, never too little."""
        if time.monotonic() >= self._next:
            # At the end it is told.
            with suppress(HostError):
                self._keep(gathered)
            self._next = time.monotonic() + EVERY_SECONDS

    @contextmanager
    def kept(self, gathered: Gathered) -> Iterator[None]:
        """However the run ends, what it leaves open is known; what cannot be kept is told."""
        try:
            yield
        finally:
            try:
                self._keep(gathered)
            except HostError as error:
                click.echo(f"freeonce: {error}", err=True)

    def _keep(self, gathered: Gathered) -> None:
        if self._failing or not gathered.known:
            return
        failed = frozenset((*gathered.wrong, *gathered.not_run))
        keep_open(self._file, News(frozenset(gathered.known), frozenset(gathered.planned), failed))

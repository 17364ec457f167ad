"""How far a run is, on stderr: a bar in a terminal, a line now and then in a log."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from freeonce.campaign import Crew, Options, Result, Scenarios, run_all
from freeonce.evidence.scenarios import Scenario

STARTING = "making guests ready"
TELL_SECONDS = 10.0
"""How often a log is told how far a run is."""


class _Shown(Protocol):
    def chosen(self, scenarios: int, faults: int, total: int) -> None: ...
    def starting(self, name: str) -> None: ...
    def done(self) -> None: ...


BESIDE_NAME = 42
"""Columns of bar, count and time."""


class _Bar:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task(STARTING, total=None)

    def chosen(self, scenarios: int, faults: int, total: int) -> None:
        self._progress.update(self._task, total=total)

    def starting(self, name: str) -> None:
        # In a narrow terminal the end of the name, which tells the most.
        room = max(self._progress.console.width - BESIDE_NAME, 10)
        shown = name if len(name) <= room else f"…{name[1 - room :]}"
        self._progress.update(self._task, description=shown)

    def done(self) -> None:
        self._progress.advance(self._task)


class _Log:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._start = self._told = time.monotonic()
        self._done = self._total = 0
        console.print(STARTING)

    def chosen(self, scenarios: int, faults: int, total: int) -> None:
        self._total = total
        beside = f" and {faults} planted faults" if faults else ""
        seconds = time.monotonic() - self._start
        self._console.print(f"ready after {seconds:.1f} s, running {scenarios} scenarios{beside}")

    def starting(self, name: str) -> None:
        pass

    def done(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._told >= TELL_SECONDS:
            self._told = now
            self._console.print(f"{self._done} of {self._total} after {now - self._start:.0f} s")


@contextmanager
def _shown(console: Console) -> Iterator[_Shown]:
    if not console.is_terminal:
        yield _Log(console)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress)


def with_progress(
    hired: AbstractContextManager[Crew],
    patterns: tuple[str, ...],
    options: Options,
    beside: set[str],
    console: Console | None = None,
) -> Iterator[Result]:
    """The results of a crew, and into `beside` the names of the planted faults that run with them.

    With the stage and the time shown meanwhile, on stderr when no console is given.
    """
    with _shown(console or Console(stderr=True, highlight=False)) as shown, hired as crew:

        def chosen(scenarios: Scenarios, faults: Scenarios) -> None:
            beside.update(fault.name for fault in faults)
            total = len(scenarios) * options.repeat + len(faults)
            shown.chosen(len(scenarios), len(faults), total)

        def starting(scenario: Scenario) -> None:
            shown.starting(scenario.name)

        for result in run_all(crew, patterns, options, chosen=chosen, starting=starting):
            shown.done()
            yield result

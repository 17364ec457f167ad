"""How far a run is, on stderr: a bar in a terminal, a line now and then in a log.

Both tell the verdicts as they come, and name at once what is not as expected.
"""

import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from freeonce.audit.attempts import Each
from freeonce.audit.model import Verdict
from freeonce.audit.points import Points
from freeonce.audit.result import Result
from freeonce.cli.gathered import Gathered
from freeonce.cli.output import Out
from freeonce.evidence.scenarios import Scenario
from freeonce.run.campaign import run_all
from freeonce.run.failures import EACH, chosen_for_failures, run_each
from freeonce.run.task import Crew, Options, Scenarios, Task

STARTING = "making guests ready"
TELL_SECONDS = 10.0
"""How often a log is told how far a run is."""


class _Shown(Protocol):
    def chosen(self, scenarios: int, faults: int, total: int) -> None: ...
    def starting(self, name: str) -> None: ...
    def done(self, result: Result) -> None: ...


BAR = 10
BESIDE_NAME = BAR + 22
"""Columns of bar, count and time."""
SHORTEST_NAME = 10


class _Tally:
    """The verdicts so far."""

    def __init__(self) -> None:
        self._verdicts: Counter[Verdict] = Counter()

    def add(self, result: Result) -> str | None:
        """Words for a result that is not as expected."""
        verdict = result.judgement.verdict
        self._verdicts[verdict] += 1
        return None if result.as_expected else f"{result.scenario.name}: {verdict}, not expected"

    def __str__(self) -> str:
        counts = [f"{self._verdicts[one]} {one}" for one in Verdict if self._verdicts[one]]
        return ", ".join(counts)


class _Bar:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tally = _Tally()
        self._name = STARTING
        self._task = progress.add_task(STARTING, total=None, tally="")

    def chosen(self, scenarios: int, faults: int, total: int) -> None:
        self._progress.update(self._task, total=total)

    def starting(self, name: str) -> None:
        self._name = name
        self._show()

    def done(self, result: Result) -> None:
        if words := self._tally.add(result):
            self._progress.console.print(words, style="yellow", markup=False)
        self._progress.advance(self._task)
        self._show()

    def _show(self) -> None:
        # Read once: who starts a scenario and who has a result are two threads.
        name, tally = self._name, str(self._tally)
        room = self._progress.console.width - BESIDE_NAME
        if room - len(tally) < SHORTEST_NAME:
            tally = ""
        room = max(room - len(tally), SHORTEST_NAME)
        # In a narrow terminal the end of the name, which tells the most.
        shown = name if len(name) <= room else f"…{name[1 - room :]}"
        self._progress.update(self._task, description=shown, tally=tally)


class _Log:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._start = time.monotonic()
        # The first verdict is told at once.
        self._told = self._start - TELL_SECONDS
        self._tally = _Tally()
        self._done = self._total = 0
        console.print(STARTING)

    def chosen(self, scenarios: int, faults: int, total: int) -> None:
        self._total = total
        beside = f" and {faults} planted faults" if faults else ""
        seconds = time.monotonic() - self._start
        self._console.print(f"ready after {seconds:.1f} s, running {scenarios} scenarios{beside}")

    def starting(self, name: str) -> None:
        pass

    def done(self, result: Result) -> None:
        self._done += 1
        if words := self._tally.add(result):
            self._console.print(words, markup=False)
        now = time.monotonic()
        if now - self._told >= TELL_SECONDS:
            self._told = now
            how_far = f"{self._done} of {self._total} after {now - self._start:.0f} s"
            self._console.print(f"{how_far}: {self._tally}")


@contextmanager
def _shown(console: Console) -> Iterator[_Shown]:
    if not console.is_terminal:
        yield _Log(console)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=BAR),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[tally]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress)


def with_progress(
    hired: AbstractContextManager[Crew],
    patterns: tuple[str, ...],
    options: Options,
    gathered: Gathered,
    console: Console | None = None,
) -> Generator[Result]:
    """The results of a crew, gathered as they come.

    With the stage and the time shown meanwhile, on stderr when no console is given.
    """
    with _shown(console or Out(stderr=True, highlight=False)) as shown, hired as crew:

        def chosen(scenarios: Scenarios, faults: Scenarios) -> None:
            gathered.beside.update(fault.name for fault in faults)
            gathered.planned += [one.name for one in scenarios for _ in range(options.repeat)]
            gathered.planned += [one.name for one in faults]
            shown.chosen(len(scenarios), len(faults), len(gathered.planned))

        def starting(scenario: Scenario) -> None:
            shown.starting(scenario.name)

        for result in run_all(crew, patterns, options, chosen=chosen, starting=starting):
            gathered.add(result)
            shown.done(result)
            yield result


def with_failures(
    hired: AbstractContextManager[Crew],
    patterns: tuple[str, ...],
    options: Options,
    gathered: Gathered,
    console: Console,
    *,
    each: Each = EACH,
) -> Generator[Points | Result]:
    """The failure points, then the planted faults as they are, gathered as they come."""
    with console.status(STARTING) as status, hired as crew:

        def told(name: str) -> None:
            status.update(Text(name))

        scenarios, faults = chosen_for_failures(crew.scenarios(), patterns, options)
        gathered.planned += [one.name for one in (*scenarios, *faults)]
        gathered.beside.update(fault.name for fault in faults)
        for points in run_each(crew, scenarios, options, each, told):
            gathered.add_points(points)
            if not console.is_terminal:
                name = points.plain.scenario.name
                console.print(Text(f"{name}: {len(points.points)} failure points"))
            yield points
        tasks = [Task(fault, options) for fault in faults]
        for result in crew.run(tasks, lambda fault: told(fault.name)):
            gathered.add(result)
            yield result

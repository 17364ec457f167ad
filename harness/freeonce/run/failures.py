"""Every acquisition made to fail, one after the other: of a scenario, or of a life of modules.

A plain run counts the acquisitions. Then, for each of them, one run in which it fails, or in
which it and everything after it fail.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from freeonce.audit.attempts import Attempt, Each, Where, all_told, attempts, wanted
from freeonce.audit.life import Bounds
from freeonce.audit.points import Point, Points, point
from freeonce.audit.result import Result
from freeonce.errors import UsageError
from freeonce.evidence.ledger import Records
from freeonce.evidence.scenarios import Scenario
from freeonce.run.choose import planted_beside, select
from freeonce.run.task import Crew, Options, Scenarios, Task

COUNT = "count"
"""The word for a run in which each acquisition is told."""

EACH = Each(after=True)
"""Of a scenario: each alone, and with everything after it."""


@dataclass(frozen=True)
class Plain:
    """A run without failures, and the acquisitions that may fail.

    `unled`: why no failure may be held against it, empty when that is not so.
    """

    result: Result
    found: tuple[Attempt, ...] = ()
    unled: str = ""


UNSOUND = "the run without failures is not clean"


def counted(records: Records, bounds: Bounds | None = None) -> tuple[tuple[Attempt, ...], str]:
    """The acquisitions that a sound run told, and why none may fail. `bounds`: of a life."""
    found = attempts(records, bounds)
    if not all_told(found, records):
        return (), "an acquisition was not recorded before it was made"
    return found, ""


class Leader(Protocol):
    """Leads the same run again and again."""

    def plain(self) -> Plain:
        """The run without a failure."""

    def failing(self, points: Sequence[Where]) -> Iterator[Point]:
        """One run for each point, in whatever order. A lost guest costs only its own point."""


Done = Callable[[Callable[[], Points], int, int], None]
"""Is told what makes the points so far, how many these are, and how many there will be. Making
them takes all: who does so after each would take the square of it.
"""


def sweep(leader: Leader, each: Each, done: Done = lambda *_: None) -> Points:
    """A plain run and its failure points. `done`: after the plain run, and after each point.

    Raises UsageError when fewer acquisitions are made than `each.only` says.
    """
    plain = leader.plain()
    result, found = plain.result, plain.found
    if plain.unled:
        return Points(result, (), unled=plain.unled)
    if each.only is not None and each.only.number > len(found):
        message = (
            f"{result.scenario.name} makes {len(found)} allocations, so there is none with number"
        )
        raise UsageError(f"{message} {each.only.number}")
    chosen, sampled = wanted(found, each)
    stages = {one.number: one.stage for one in found}
    points: list[Point] = []

    def so_far() -> Points:
        points.sort(key=lambda one: (one.number, one.after))
        return Points(result, tuple(points), len(found), sampled)

    done(so_far, 0, len(chosen))
    for led in leader.failing(chosen):
        points.append(replace(led, stage=stages.get(led.number)))
        done(so_far, len(points), len(chosen))
    return so_far()


class _Scenario:
    """Runs of one scenario, by a crew."""

    def __init__(self, crew: Crew, scenario: Scenario, options: Options) -> None:
        self._crew = crew
        self._scenario = scenario
        self._options = options

    def plain(self) -> Plain:
        (result,) = self._run([COUNT])
        if not result.as_expected:
            return Plain(result, unled=UNSOUND)
        return Plain(result, *counted(result.evidence.records))

    def failing(self, points: Sequence[Where]) -> Iterator[Point]:
        results = self._run([where.options for where in points])
        yield from map(point, points, results)

    def _run(self, commands: Iterable[str]) -> Iterator[Result]:
        tasks = [
            Task(self._scenario, replace(self._options, command=command)) for command in commands
        ]
        return self._crew.run(tasks, lambda _: None)


def chosen_for_failures(
    scenarios: Scenarios, patterns: Sequence[str], options: Options
) -> tuple[Scenarios, Scenarios]:
    """Whose allocations are made to fail, and the planted faults that run beside them as they are.

    Without a pattern all that must be clean. Raises UsageError for a pattern that matches none.
    """
    chosen = select(scenarios, patterns, sections=options.sections)
    if not (patterns or options.sections):
        chosen = tuple(one for one in chosen if not one.expected)
    return chosen, planted_beside(scenarios, chosen, options.faults)


def run_each(
    crew: Crew,
    chosen: Sequence[Scenario],
    options: Options,
    each: Each = EACH,
    told: Callable[[str], None] = lambda _: None,
) -> Generator[Points]:
    """For each scenario its failure points. `told`: what runs now.

    Raises UsageError when a scenario makes fewer allocations than `each.only` says, and as a crew.
    """
    for scenario in chosen:
        told(scenario.name)
        yield sweep(_Scenario(crew, scenario, options), each)

"""Every allocation of a scenario made to fail, one after the other.

A plain run counts the allocations. Then, for each of them, one run in which it fails and
one in which it and everything after it fail.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from freeonce.audit.points import Points, attempts, point
from freeonce.audit.result import Result
from freeonce.errors import UsageError
from freeonce.evidence.scenarios import Scenario
from freeonce.run.choose import planted_beside, select
from freeonce.run.task import Crew, Options, Scenarios, Task

Where = tuple[int, bool]
"""A failure point: the number of an allocation, and whether everything after it fails too."""


def chosen_for_failures(
    scenarios: Scenarios, patterns: Sequence[str], options: Options
) -> tuple[Scenarios, Scenarios]:
    """Whose allocations are made to fail, and the planted faults that run beside them as they are.

    Without a pattern all that must be clean. Raises UsageError for a pattern that matches none.
    """
    chosen = select(scenarios, patterns)
    if not patterns:
        chosen = tuple(one for one in chosen if not one.expected)
    return chosen, planted_beside(scenarios, chosen, options.faults)


def run_each(
    crew: Crew,
    chosen: Sequence[Scenario],
    options: Options,
    only: Where | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Iterator[Points]:
    """For each scenario its failure points, or the one point `only`. `told`: what runs now.

    Raises UsageError when a scenario makes fewer allocations than `only` says, and as a crew.
    """
    for scenario in chosen:
        told(scenario.name)
        (plain,) = crew.run([Task(scenario, options)], _nobody)
        wanted = _wanted(plain, only)
        tasks = [
            Task(scenario, replace(options, command=f"fail={number}{'+' if after else ''}"))
            for number, after in wanted
        ]
        results = zip(wanted, crew.run(tasks, _nobody), strict=True)
        yield Points(plain, tuple(point(*one, result) for one, result in results))


def _wanted(plain: Result, only: Where | None) -> list[Where]:
    count = attempts(plain)
    if only is None:
        return [(number, after) for number in range(1, count + 1) for after in (False, True)]
    if plain.as_expected and only[0] > count:
        name = plain.scenario.name
        raise UsageError(f"{name} makes {count} allocations, so that none is number {only[0]}")
    return [only] if plain.as_expected else []


def _nobody(_: Scenario) -> None:
    pass

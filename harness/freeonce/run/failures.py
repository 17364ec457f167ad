"""Every allocation of a scenario made to fail, one after the other.

A plain run counts the allocations. Then, for each of them, one run in which it fails and
one in which it and everything after it fail.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from freeonce.audit.points import Points, attempts, point
from freeonce.evidence.scenarios import Scenario
from freeonce.run.choose import select
from freeonce.run.task import Crew, Options, Task


def run_each(
    crew: Crew,
    patterns: Sequence[str],
    options: Options,
    told: Callable[[str], None] = lambda _: None,
) -> Iterator[Points]:
    """For each chosen scenario its failure points; without a pattern for all clean ones.

    `told`: what runs now. Raises as `campaign.run_all`.
    """
    for scenario in select(crew.scenarios(), patterns):
        if scenario.expected and not patterns:
            continue
        told(scenario.name)
        (plain,) = crew.run([Task(scenario, options)], _nobody)
        wanted = [
            (number, after) for number in range(1, attempts(plain) + 1) for after in (False, True)
        ]
        tasks = [
            Task(scenario, replace(options, command=f"fail={number}{'+' if after else ''}"))
            for number, after in wanted
        ]
        results = zip(wanted, crew.run(tasks, _nobody), strict=True)
        yield Points(plain, tuple(point(*one, result) for one, result in results))


def _nobody(_: Scenario) -> None:
    pass

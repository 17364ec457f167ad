"""Every allocation of a scenario made to fail, one after the other.

A plain run counts the allocations. Then, for each of them, one run in which it fails and
one in which it and everything after it fail.
"""

import errno
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from freeonce.audit.model import Rule
from freeonce.campaign import Crew, Options, Result, Task, select
from freeonce.evidence.ledger import Flag, Records, Type, Witness, signed
from freeonce.evidence.scenarios import Scenario

REFUSED = {-errno.EINVAL, -errno.E2BIG, -errno.ENODEV}
"""A request that contradicts itself is refused before it could be made to fail."""


class Outcome(StrEnum):
    """What became of a run in which an allocation failed."""

    HANDLED = "handled"
    """It went on or gave up, and gave back what it had."""
    LEAKED = "leaked"
    FAULTY = "faulty"
    """Another rule was violated."""
    CRASHED = "crashed"
    """The guest was lost."""
    UNKNOWN = "unknown"
    """The evidence is incomplete."""
    UNREACHED = "unreached"
    """The scenario never made that allocation this time."""


@dataclass(frozen=True)
class Point:
    """One failure point. `after`: everything after it failed too.

    `site`: of the call that failed, as an offset in the module's code; 0 when unreached.
    """

    scenario: str
    number: int
    after: bool
    outcome: Outcome
    site: int
    detail: str


@dataclass(frozen=True)
class Points:
    """A scenario's plain run, and its failure points when that went as expected."""

    plain: Result
    points: tuple[Point, ...]


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
        points = [
            (number, after) for number in range(1, _attempts(plain) + 1) for after in (False, True)
        ]
        tasks = [
            Task(scenario, replace(options, command=f"fail={number}{'+' if after else ''}"))
            for number, after in points
        ]
        results = zip(points, crew.run(tasks, _nobody), strict=True)
        yield Points(plain, tuple(_point(*point, result) for point, result in results))


def _nobody(_: Scenario) -> None:
    pass


def _attempts(plain: Result) -> int:
    """How many allocations can be made to fail; none where the plain run went wrong."""
    records = plain.evidence.records
    if not plain.as_expected:
        return 0
    made = (records["type"] == Type.ALLOCATE) & (records["witness"] == Witness.LEDGER)
    failed = records["detail"][records["type"] == Type.ALLOCATE_FAILED]
    tried = [one for one in failed if signed(int(one)) not in REFUSED]
    return int(np.count_nonzero(made)) + len(tried)


def _injected(records: Records) -> Records:
    failed: Records = records[
        (records["type"] == Type.ALLOCATE_FAILED) & (records["flags"] & Flag.INJECTED != 0)
    ]
    return failed


def _point(number: int, after: bool, result: Result) -> Point:
    failed = _injected(result.evidence.records)
    outcome = _outcome(result, len(failed))
    detail = "; ".join(str(one.rule) for one in result.judgement.findings)
    site = int(failed[0]["site"]) if len(failed) else 0
    return Point(result.scenario.name, number, after, outcome, site, detail)


def _outcome(result: Result, failures: int) -> Outcome:
    judgement = result.judgement
    rules = {finding.rule for finding in judgement.findings}
    if result.loss is not None:
        return Outcome.CRASHED
    if rules:
        return Outcome.LEAKED if rules == {Rule.LEAK} else Outcome.FAULTY
    # That it gave up is an answer here, and the only reason allowed.
    if any(not reason.startswith("the scenario gave up") for reason in judgement.reasons):
        return Outcome.UNKNOWN
    return Outcome.HANDLED if failures else Outcome.UNREACHED


def passed(all_points: Sequence[Points]) -> bool:
    """Whether every plain run was as expected and every failure was handled."""
    good = (Outcome.HANDLED, Outcome.UNREACHED)
    return all(
        one.plain.as_expected and all(point.outcome in good for point in one.points)
        for one in all_points
    )

"""What became of runs in which an allocation was made to fail. Pure."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from freeonce.audit.model import Rule
from freeonce.audit.result import Result
from freeonce.evidence.ledger import Flag, Records, Type, Witness, signed

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


def attempts(plain: Result) -> int:
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


def point(number: int, after: bool, result: Result) -> Point:
    """The failure point of a run in which allocation `number` failed."""
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

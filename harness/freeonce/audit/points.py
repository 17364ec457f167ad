"""What became of runs in which an allocation was made to fail. Pure."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from freeonce.audit.model import Rule, Verdict
from freeonce.audit.result import Result
from freeonce.evidence.ledger import Flag, Records, Type, Witness, signed

REFUSED = {-errno.EINVAL, -errno.E2BIG, -errno.ENODEV, -errno.EWOULDBLOCK}
"""A request that contradicts itself is refused before it could be made to fail."""

GAVE_UP = "the scenario gave up"


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
    `detail`: rules that were violated, or why it is not known.
    """

    scenario: str
    number: int
    after: bool
    outcome: Outcome
    site: int
    detail: str
    result: Result = field(repr=False, compare=False)
    """Of its run, judged as a failure point: `as_expected` when the failure was handled."""

    @property
    def name(self) -> str:
        """As it is asked for: `3`, or `3+` with everything after it."""
        return f"{self.number}{'+' if self.after else ''}"


@dataclass(frozen=True)
class Points:
    """A scenario's plain run, and its failure points when that went as expected."""

    plain: Result
    points: tuple[Point, ...]

    @property
    def results(self) -> tuple[Result, ...]:
        """Of the plain run and of each point."""
        return (self.plain, *(point.result for point in self.points))


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
    judged = _judged(result, outcome, number, after)
    rules = "; ".join(str(one.rule) for one in result.judgement.findings)
    return Point(
        scenario=result.scenario.name,
        number=number,
        after=after,
        outcome=outcome,
        site=int(failed[0]["site"]) if len(failed) else 0,
        detail=rules or "; ".join(judged.judgement.reasons),
        result=judged,
    )


VERDICTS = {
    Outcome.HANDLED: Verdict.CLEAN,
    Outcome.LEAKED: Verdict.FAULTY,
    Outcome.FAULTY: Verdict.FAULTY,
    Outcome.UNREACHED: Verdict.CLEAN,
}
"""Of what was crashed or is unknown nothing is proven."""


def _judged(result: Result, outcome: Outcome, number: int, after: bool) -> Result:
    """The run's result as one of a failure point, with a name of its own.

    That the scenario gave up is no reason here. The first allocation was made by the plain run
    and must fail now: else nothing makes any fail, and all that follows proves nothing.
    """
    blind = outcome is Outcome.UNREACHED and number == 1
    verdict = Verdict.INCOMPLETE if blind else VERDICTS.get(outcome, Verdict.INCOMPLETE)
    reasons = tuple(one for one in result.judgement.reasons if not one.startswith(GAVE_UP))
    reasons += ("the first allocation was to fail, and none did",) if blind else ()
    name = f"{result.scenario.name} fail={number}{'+' if after else ''}"
    return replace(
        result.without_pictures(*_injected(result.evidence.records)["site"][:1].tolist()),
        scenario=replace(result.scenario, name=name, expected=()),
        judgement=replace(result.judgement, verdict=verdict, reasons=reasons),
        as_expected=verdict is Verdict.CLEAN,
    )


def _outcome(result: Result, failures: int) -> Outcome:
    judgement = result.judgement
    rules = {finding.rule for finding in judgement.findings}
    if result.loss is not None:
        return Outcome.CRASHED
    if rules:
        return Outcome.LEAKED if rules == {Rule.LEAK} else Outcome.FAULTY
    # That it gave up is an answer here, and the only reason allowed.
    if any(not reason.startswith(GAVE_UP) for reason in judgement.reasons):
        return Outcome.UNKNOWN
    return Outcome.HANDLED if failures else Outcome.UNREACHED


def passed(all_points: Sequence[Points]) -> bool:
    """Whether every plain run was as expected and every failure was handled."""
    return all(result.as_expected for one in all_points for result in one.results)

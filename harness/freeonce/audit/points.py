"""What became of runs in which an acquisition was made to fail: scenarios and lives. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from freeonce.audit.attempts import Sampled, Where
from freeonce.audit.life import Stage
from freeonce.audit.model import Rule, Verdict
from freeonce.audit.phases import hung_in
from freeonce.audit.result import Result
from freeonce.errors import Loss
from freeonce.evidence.ledger import Flag, Records, Type
from freeonce.evidence.oops import first_words

GAVE_UP = "the scenario gave up"


class Outcome(StrEnum):
    """What became of a run in which an acquisition failed. Stable: other programs depend on it."""

    HANDLED = "handled"
    """It went on or gave up, and gave back what it had."""
    LEAKED = "leaked"
    RELEASED_TWICE = "released twice"
    FAULTY = "faulty"
    """Another rule was violated."""
    CRASHED = "crashed"
    """The kernel oopsed, panicked, or the CPU was reset."""
    HUNG = "hung"
    """It did not come to its end in time."""
    UNKNOWN = "unknown"
    """The evidence is incomplete."""
    UNREACHED = "unreached"
    """That acquisition was never made this time."""


@dataclass(frozen=True)
class Point:
    """One failure point.

    `site`: the stack of the call that failed, by its number; 0 when unreached. `stage`: of a life,
    by the run without failures. `detail`: rules that were violated, what the kernel said first, or
    why it is not known.
    """

    scenario: str
    number: int
    after: bool
    outcome: Outcome
    site: int
    detail: str
    result: Result = field(repr=False, compare=False)
    """Of its run, judged as a failure point: `as_expected` when the failure was handled."""
    stage: Stage | None = None

    @property
    def name(self) -> str:
        """As it is asked for: `3`, or `3+` with everything after it."""
        return str(Where(self.number, self.after))


@dataclass(frozen=True)
class Points:
    """A plain run, and its failure points when that went as expected.

    `counted`: acquisitions that can be made to fail. `sampled`: stacks of which not all were.
    `unled`: why none was made to fail, empty when that is not so.
    """

    plain: Result
    points: tuple[Point, ...]
    counted: int = 0
    sampled: tuple[Sampled, ...] = ()
    unled: str = ""

    @property
    def results(self) -> tuple[Result, ...]:
        """Of the plain run and of each point."""
        return (self.plain, *(point.result for point in self.points))


def _injected(records: Records) -> Records:
    failed: Records = records[
        (records["type"] == Type.ALLOCATE_FAILED) & (records["flags"] & Flag.INJECTED != 0)
    ]
    return failed


def point(where: Where, result: Result, said: str = "") -> Point:
    """The failure point of a run in which that acquisition failed.

    `said`: what the kernel warned of meanwhile.
    """
    failed = _injected(result.evidence.records)
    outcome = _outcome(result, len(failed))
    judged = _judged(result, outcome, where)
    return Point(
        scenario=result.scenario.name,
        number=where.number,
        after=where.after,
        outcome=outcome,
        site=int(failed[0]["site"]) if len(failed) else 0,
        detail="; ".join(filter(None, (_detail(judged, outcome, result), said))),
        result=judged,
    )


def _detail(judged: Result, outcome: Outcome, result: Result) -> str:
    reasons = "; ".join(judged.judgement.reasons)
    if outcome is Outcome.CRASHED:
        return first_words(reasons) or reasons
    if outcome is Outcome.HUNG:
        return hung_in(result.evidence.records) or reasons
    rules = dict.fromkeys(str(one.rule) for one in judged.judgement.findings)
    if outcome is Outcome.UNKNOWN:
        return "; ".join(filter(None, (reasons, *rules)))
    return "; ".join(rules) or reasons


VERDICTS = {
    Outcome.HANDLED: Verdict.CLEAN,
    Outcome.LEAKED: Verdict.FAULTY,
    Outcome.RELEASED_TWICE: Verdict.FAULTY,
    Outcome.FAULTY: Verdict.FAULTY,
}
"""Of what was lost, was not made or is unknown nothing is proven."""

LOST = {
    Loss.HANG: Outcome.HUNG,
    Loss.OOPS: Outcome.CRASHED,
    Loss.PANIC: Outcome.CRASHED,
    Loss.RUST_PANIC: Outcome.CRASHED,
    Loss.RESET: Outcome.CRASHED,
}
"""A guest that was lost in another way was not lost by the module."""


def _judged(result: Result, outcome: Outcome, where: Where) -> Result:
    """The run's result as one of a failure point, with a name of its own.

    That the scenario gave up is no reason here. An acquisition that the plain run made and that is
    not made now did not fail, so that nothing is known of its failure.
    """
    unmade = outcome is Outcome.UNREACHED
    verdict = VERDICTS.get(outcome, Verdict.INCOMPLETE)
    reasons = tuple(one for one in result.judgement.reasons if not one.startswith(GAVE_UP))
    reasons += (f"acquisition {where} should have failed, but was not made",) if unmade else ()
    name = f"{result.scenario.name} fail={where}"
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
        return LOST.get(result.loss, Outcome.UNKNOWN)
    # That it gave up is an answer here, and the only reason allowed.
    if any(not reason.startswith(GAVE_UP) for reason in judgement.reasons):
        return Outcome.UNKNOWN
    if Rule.DOUBLE_FREE in rules:
        return Outcome.RELEASED_TWICE
    if rules:
        return Outcome.LEAKED if rules == {Rule.LEAK} else Outcome.FAULTY
    return Outcome.HANDLED if failures else Outcome.UNREACHED


def renumbered(one: Point, numbers: Mapping[int, int]) -> Point:
    """The same with its stacks by other numbers; 0 where there is none."""

    def new(site: int) -> int:
        return numbers.get(site, 0)

    judgement = one.result.judgement
    findings = tuple(
        replace(
            finding,
            site=new(finding.site),
            allocated_site=new(finding.allocated_site),
            released_site=new(finding.released_site),
        )
        for finding in judgement.findings
    )
    result = replace(one.result, judgement=replace(judgement, findings=findings))
    return replace(one, site=new(one.site), result=result)


def sites_of(one: Point) -> set[int]:
    """The stacks that a point speaks of."""
    found = {one.site}
    for finding in one.result.judgement.findings:
        found |= {finding.site, finding.allocated_site, finding.released_site}
    return found - {0}


def passed(all_points: Iterable[Points]) -> bool:
    """Whether every plain run was as expected and every failure was led and handled."""
    return not any(
        one.unled or not result.as_expected for one in all_points for result in one.results
    )

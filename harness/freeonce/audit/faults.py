"""The planted faults as a matrix: which detector caught which, and how. Pure.

A detector can rot unnoticed. So they run with every campaign, and a miss fails it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from freeonce.audit.model import Finding, Rule, Verdict
from freeonce.audit.result import Result
from freeonce.evidence.ledger import Type

AT_EVENT = "at the event"

AT_ONCE = {
    Rule.NULL_FREE,
    Rule.DOUBLE_FREE,
    Rule.INVALID_FREE,
    Rule.MISMATCHED_FREE,
    Rule.WRONG_SIZE_FREE,
    Rule.MISPLACED,
    Rule.NOT_RESTORED,
    Rule.UNLEDGERED,
}


@dataclass(frozen=True)
class Planted:
    """One finding that a planted fault declares. `caught`: all that it declares came, and no more.

    `witness`, `found`: who proved it and at which moment, `-` where it was not found.

    `within`: nanoseconds of the guest's time in which the fault happened and was found, from
    the last record that is certainly before it; 0 where the fault is itself a record.
    """

    name: str
    rule: str
    kind: str
    language: str
    caught: bool
    witness: str
    found: str
    within: int


def planted(results: Sequence[Result]) -> tuple[Planted, ...]:
    """The planted faults among the results.

    One that declares no finding has nothing to catch; of one that could not happen on this
    machine, as it declares, nothing was caught nor missed.
    """
    return tuple(
        _planted(one, index)
        for one in results
        if one.scenario.is_planted and not _could_not_happen(one)
        for index in range(len(one.scenario.expected))
    )


def _could_not_happen(result: Result) -> bool:
    return result.as_expected and result.judgement.verdict is Verdict.UNSUPPORTED


def _planted(result: Result, index: int) -> Planted:
    expected = result.scenario.expected[index]
    # Of findings that were declared alike the first is the first's.
    alike = result.scenario.expected[:index].count(expected)
    met = [one for one in result.judgement.findings if result.why.get(one) == expected]
    finding = met[alike] if alike < len(met) else None
    return Planted(
        name=result.scenario.name,
        rule=expected.rule,
        kind=expected.kind,
        language=result.scenario.language,
        caught=result.as_expected,
        witness=finding.witness if finding else "-",
        found=_moment(finding.rule, finding.detail) if finding else "-",
        within=_within(result, finding) if finding else 0,
    )


def _within(result: Result, finding: Finding) -> int:
    """From the allocation to the end of the run for what is only found there."""
    records = result.evidence.records
    if _moment(finding.rule, finding.detail) == AT_EVENT:
        return 0
    before = records["time"][records["sequence"] <= finding.sequence]
    after = records["time"][records["type"] == Type.END]
    return int(after[0]) - int(before[-1]) if len(before) and len(after) else 0


def _moment(rule: Rule, detail: str) -> str:
    if rule in AT_ONCE:
        return AT_EVENT
    if "at its release" in detail:
        return "at the release"
    return "at the end"


def rate(faults: Sequence[Planted]) -> str:
    """The detection rate in words."""
    caught = sum(one.caught for one in faults)
    return f"planted faults: {caught} of {len(faults)} caught ({caught * 100 // len(faults)} %)"

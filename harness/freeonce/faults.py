"""The planted faults as a matrix: which detector caught which, and how. Pure.

A detector can rot unnoticed. So they run with every campaign, and a miss fails it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from freeonce.audit.model import Rule
from freeonce.campaign import FAULTS, Result

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
    """One planted fault. `caught`: by its rule and only it. `found`: at which moment."""

    name: str
    rule: str
    kind: str
    language: str
    caught: bool
    witness: str
    found: str


def planted(results: Sequence[Result]) -> tuple[Planted, ...]:
    """The planted faults among the results."""
    return tuple(_planted(one) for one in results if one.scenario.name.startswith(FAULTS))


def _planted(result: Result) -> Planted:
    (expected,) = result.scenario.expected
    findings = result.judgement.findings
    finding = findings[0] if len(findings) == 1 else None
    return Planted(
        name=result.scenario.name,
        rule=expected.rule,
        kind=expected.kind,
        language=result.scenario.language,
        caught=result.as_expected,
        witness=finding.witness if finding else "-",
        found=_moment(finding.rule, finding.detail) if finding else "-",
    )


def _moment(rule: Rule, detail: str) -> str:
    if rule in AT_ONCE:
        return "at the event"
    if "at its release" in detail:
        return "at the release"
    return "at the end"


def rate(faults: Sequence[Planted]) -> str:
    """The detection rate in words."""
    caught = sum(one.caught for one in faults)
    return f"planted faults: {caught} of {len(faults)} caught ({caught * 100 // len(faults)} %)"

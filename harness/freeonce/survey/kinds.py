"""What this CPU's SVM can do, by what its runs of `svm/*` showed. Pure.

A run proves something when it is clean, or has just the findings that its scenario declares.
A kind of #VMEXIT is seen when such a run made it, unsupported when the guest said so of its
code. A consistency rule of VMRUN is enforced when the run of its scenario proves something.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from freeonce.audit.model import Verdict
from freeonce.audit.result import Result
from freeonce.evidence.exits import EXITS, Exit
from freeonce.evidence.ledger import Records, Type, text_of

SCENARIOS = "svm/*"
INVALID = "svm/invalid/"
"""How the scenarios begin that each break one consistency rule of VMRUN (15.5.1)."""


class Status(StrEnum):
    """What is known of a kind of #VMEXIT."""

    SEEN = "seen"
    UNSUPPORTED = "unsupported"
    NOT_TRIED = "not tried"
    NOT_PROVEN = "not proven"


class Enforced(StrEnum):
    """What is known of a consistency rule."""

    YES = "enforced"
    NO = "not enforced"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class Kind:
    """One kind of #VMEXIT. `codes`: those seen. `scenarios`: those that prove it."""

    exit: Exit
    status: Status
    codes: tuple[int, ...] = ()
    scenarios: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class ConsistencyRule:
    """One rule that a VMCB must keep. `text`: the scenario's lesson."""

    scenario: str
    text: str
    status: Enforced
    reason: str = ""


@dataclass(frozen=True)
class Survey:
    """All of it. `unknown`: codes seen that the manual does not have.

    `unclear`: runs that tell nothing of any kind, with why.
    """

    kinds: tuple[Kind, ...]
    rules: tuple[ConsistencyRule, ...]
    unknown: tuple[int, ...]
    unclear: tuple[tuple[str, str], ...]

    @property
    def seen(self) -> tuple[Kind, ...]:
        """The kinds seen."""
        return tuple(kind for kind in self.kinds if kind.status is Status.SEEN)


Makers = dict[int, list[str]]
"""Names of scenarios by an exit code that they made."""


def survey(results: Sequence[Result]) -> Survey:
    """What runs of `svm/*`, each once, come to."""
    proven = _makers(one for one in results if _proves(one))
    doubtful = _makers(
        one
        for one in results
        if not _proves(one) and one.judgement.verdict is not Verdict.UNSUPPORTED
    )
    lacking = _lacking(results)
    unclear = tuple(_unclear(results))
    known = {code for code in proven if any(one.covers(code) for one in EXITS)}
    nobody = "no scenario that ran well makes it" if unclear else "no scenario makes it"
    return Survey(
        kinds=tuple(_kind(one, proven, doubtful, lacking, nobody) for one in EXITS),
        rules=tuple(_rule(one) for one in results if one.scenario.name.startswith(INVALID)),
        unknown=tuple(sorted(proven.keys() - known)),
        unclear=unclear,
    )


def _proves(result: Result) -> bool:
    judged = result.judgement.verdict in (Verdict.CLEAN, Verdict.FAULTY)
    return judged and result.as_expected


def _of(result: Result, kind: Type) -> Records:
    records = result.evidence.records
    chosen: Records = records[records["type"] == kind]
    return chosen


def _makers(results: Iterable[Result]) -> Makers:
    makers: Makers = {}
    for result in results:
        for code in np.unique(_of(result, Type.VMEXIT)["detail"]):
            makers.setdefault(int(code), []).append(result.scenario.name)
    return makers


def _lacking(results: Sequence[Result]) -> dict[int, str]:
    """What the guest said is missing, by the code that could not be had for want of it."""
    return {
        int(record["detail"]) - 1: text_of(record)
        for result in results
        if result.judgement.verdict is Verdict.UNSUPPORTED
        for record in _of(result, Type.UNSUPPORTED)
        if record["detail"]
    }


def _unclear(results: Sequence[Result]) -> Iterator[tuple[str, str]]:
    for result in results:
        verdict, name = result.judgement.verdict, result.scenario.name
        told = verdict is Verdict.UNSUPPORTED and (
            name.startswith(INVALID) or np.any(_of(result, Type.UNSUPPORTED)["detail"])
        )
        if not _proves(result) and not told:
            yield name, _why(result)


def _why(result: Result) -> str:
    judgement = result.judgement
    rules = sorted({str(finding.rule) for finding in judgement.findings})
    return f"{judgement.verdict}: {'; '.join((*judgement.reasons, *rules))}"


def _kind(
    one: Exit, proven: Makers, doubtful: Makers, lacking: Mapping[int, str], nobody: str
) -> Kind:
    codes = tuple(sorted(code for code in proven if one.covers(code)))
    reason = "; ".join(dict.fromkeys(lacking[code] for code in lacking if one.covers(code)))
    if codes:
        names = dict.fromkeys(name for code in codes for name in proven[code])
        return Kind(one, Status.SEEN, codes, tuple(names), reason)
    if reason:
        return Kind(one, Status.UNSUPPORTED, reason=reason)
    others = dict.fromkeys(name for code in doubtful if one.covers(code) for name in doubtful[code])
    if others:
        return Kind(one, Status.NOT_PROVEN, reason=f"only in {', '.join(others)}, not as expected")
    return Kind(one, Status.NOT_TRIED, reason=nobody)


def _rule(result: Result) -> ConsistencyRule:
    status = Enforced.YES if _proves(result) else Enforced.UNKNOWN
    if result.judgement.verdict is Verdict.UNSUPPORTED:
        status = Enforced.NO
    reason = {
        Enforced.YES: "",
        Enforced.NO: "; ".join(text_of(one) for one in _of(result, Type.UNSUPPORTED)),
        Enforced.UNKNOWN: _why(result),
    }[status]
    return ConsistencyRule(result.scenario.name, result.scenario.lesson, status, reason)

"""One run's evidence to its judgement. `incomplete` until everything needed was seen."""

import errno

import numpy as np

from freeonce.audit import rules
from freeonce.audit.model import Finding, Judgement, Rule, Verdict
from freeonce.evidence.ledger import Records, Type, text_of
from freeonce.evidence.scenarios import Expectation


def judge(records: Records, doubts: tuple[str, ...] = ()) -> Judgement:
    """The judgement on the records of one run, in order.

    `doubts`: what is already known to spoil the evidence (lost guest, full ledger,
    a witness that is missing or disagrees).
    """
    run = rules.take_apart(records)
    findings = tuple(
        sorted(
            (finding for rule in rules.RULES for finding in rule(run)),
            # A leak is only one when the run has ended, whenever it was allocated.
            key=lambda finding: (finding.rule is Rule.LEAK, finding.sequence),
        )
    )
    unsupported = [text_of(record) for record in records[records["type"] == Type.UNSUPPORTED]]
    reasons = (*doubts, *_frame(run), *run.contradictions, *rules.unwithheld(run, findings))
    return Judgement(
        verdict=_verdict(reasons, unsupported, findings),
        findings=findings,
        reasons=reasons or tuple(f"this CPU lacks: {text}" for text in unsupported),
        allocations=len(run.allocates),
        releases=len(run.releases),
        vmruns=int(np.count_nonzero(records["type"] == Type.VMRUN)),
        events=len(records),
    )


def _verdict(
    reasons: tuple[str, ...], unsupported: list[str], findings: tuple[Finding, ...]
) -> Verdict:
    if reasons:
        return Verdict.INCOMPLETE
    if unsupported:
        return Verdict.UNSUPPORTED
    return Verdict.FAULTY if findings else Verdict.CLEAN


def _frame(run: rules.Run) -> tuple[str, ...]:
    """What is missing around the run: its begin, its end, its success."""
    kinds = run.records["type"]
    if not len(kinds) or kinds[0] != Type.BEGIN or np.count_nonzero(kinds == Type.BEGIN) != 1:
        return ("the ledger has no begin of this run",)
    if len(np.unique(run.records["run"])) != 1:
        return ("records of several runs are mixed",)
    status = rules.status_of(run)
    if status is None or kinds[-1] != Type.END:
        return ("the ledger has no end of this run",)
    if status != 0:
        name = errno.errorcode.get(-status, "unknown error")
        return (f"the scenario gave up with {status} ({name})",)
    return ()


def match(
    findings: tuple[Finding, ...], expected: tuple[Expectation, ...]
) -> tuple[dict[Finding, Expectation], bool]:
    """Which expectation each finding meets, and whether both sides match exactly.

    An expectation that says more is tried first, so that it is not met by a finding
    that a vaguer one could have taken.
    """
    met: dict[Finding, Expectation] = {}
    missing = 0
    for expectation in sorted(expected, key=lambda one: (one.at is None) + (one.what is None)):
        for finding in findings:
            if finding not in met and _meets(finding, expectation):
                met[finding] = expectation
                break
        else:
            missing += 1
    return met, missing == 0 and len(met) == len(findings)


def _meets(finding: Finding, expectation: Expectation) -> bool:
    return (
        finding.rule == expectation.rule
        and finding.kind == expectation.kind
        and expectation.at in (None, finding.at)
        and expectation.what in (None, finding.what)
    )

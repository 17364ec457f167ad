"""What came of one task, as it is sent from a worker and kept in a store. Pure."""

import json
from dataclasses import asdict, dataclass, field

from freeonce.audit.model import Verdict
from freeonce.campaign.answer import parsed


@dataclass(frozen=True)
class Outcome:
    """`verdict`: of the audit; empty when the worker could not even begin, and then `refused`
    says why: that is no result, and is not kept. `by_host`: what it lacks is the worker's, and
    another may have it; `reason`: that in a short word. `document`: as in `run --json` or
    `audit --json`.
    """

    verdict: str
    as_expected: bool
    seconds: float
    worker: str
    document: dict[str, object] = field(default_factory=dict)
    refused: str = ""
    by_host: bool = False
    reason: str = ""


def lacking(worker: str, reason: str, message: str) -> Outcome:
    """A worker's refusal for want of something of its own."""
    refused = f"{reason}: {message}"
    return Outcome("", False, 0.0, worker, refused=refused, by_host=True, reason=reason)


def broken(error: Exception) -> Outcome:
    """What a task comes to that raised what nobody expected."""
    return Outcome("", False, 0.0, "a worker", refused=f"an error of freeonce: {error!r}")


def killed(last: str = "") -> Outcome:
    """What is known of a task whose worker died each time. `last`: how the last of them did."""
    reason = f"workers died while they ran it and nothing else{last and f'; the last {last}'}"
    document: dict[str, object] = {"verdict": str(Verdict.INCOMPLETE), "reasons": [reason]}
    return Outcome(str(Verdict.INCOMPLETE), False, 0.0, "", document)


def to_text(outcome: Outcome) -> str:
    """JSON."""
    return json.dumps(asdict(outcome))


def from_text(text: str, kind: object = None) -> Outcome:
    """`kind`: of the task. Raises EvidenceError: a worker of another version, or none of ours."""
    return Outcome(**parsed(text, kind))

"""Results of a store as SARIF, for code scanning. Pure."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from freeonce.audit.model import Rule, Verdict
from freeonce.audit.points import Outcome
from freeonce.campaign.store import Kept
from freeonce.campaign.summary import Summary, summary
from freeonce.report import sarif
from freeonce.subject.places import Frame


def sarif_text(results: Iterable[Kept]) -> str:
    """A log of every finding once, with how many results have it, those of failure points too.

    What was not as expected and no finding tells of is a notification. One result of each task.
    """
    counts: Counter[str] = Counter()
    first: dict[str, dict[str, object]] = {}
    blind: list[dict[str, object]] = []
    for kept in results:
        one = summary(kept)
        for finding in _findings(kept.document):
            same = _fingerprint(one.task, finding)
            counts[same] += 1
            if same not in first:
                first[same] = _result(one, finding, same)
        number = f" ({one.number})" if one.number else ""
        untold = () if one.as_expected else _untold(one, kept.document)
        blind += (sarif.told(f"{one.label}{number}: {words}") for words in untold)
    every = ({**one, "occurrenceCount": counts[same]} for same, one in first.items())
    return sarif.log(every, blind)


def _untold(one: Summary, document: Mapping[str, Any]) -> Iterator[str]:
    """What was not as expected of a result and no finding tells of."""
    led = document.get("failures") or {}
    points = [
        f"failing {point['number']}{'+' if point['after'] else ''}: {said.words}"
        for point, said in zip(led.get("points", ()), one.points, strict=True)
        if not said.as_expected and not (point["outcome"] in TOLD and point.get("findings"))
    ]
    if led.get("unled"):
        points.append(f"no failures were run: {led['unled']}")
    expected = [
        " ".join(map(str, filter(None, (wanted.get("rule"), wanted.get("kind")))))
        for wanted in (() if document.get("as_expected") else document.get("expected", ()))
    ]
    unseen = one.verdict in (Verdict.INCOMPLETE, Verdict.UNSUPPORTED) or expected
    told_of = points or any(not found.get("suppressed") for found in _findings(document))
    if unseen or not told_of:
        wanted = f"expected {', '.join(expected)}, and not that alone came" if expected else ""
        words = "; ".join(filter(None, (one.words, wanted)))
        yield f"{one.verdict}: {words or 'not as expected'}"
    yield from points


TOLD = (Outcome.LEAKED, Outcome.RELEASED_TWICE, Outcome.FAULTY)
"""What becomes of a failure point that its findings tell of."""


def _findings(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from document.get("findings", ())
    for point in (document.get("failures") or {}).get("points", ()):
        because = point.get("suppressed")
        yield from ({"suppressed": because} | one for one in point.get("findings", ()))


def _fingerprint(task: str, finding: Mapping[str, Any]) -> str:
    """What is the same of a finding in every run: no address, no serial, no line."""
    names = ("identity", "rule", "family", "kind", "function", "what", "at")
    parts = [task, *(str(finding.get(name) or "") for name in names)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _result(one: Summary, finding: Mapping[str, Any], same: str) -> dict[str, object]:
    frame = Frame(finding.get("function") or "", file=finding.get("file"), line=finding.get("line"))
    found: dict[str, object] = {
        "ruleId": finding["rule"],
        "ruleIndex": sarif.rule_index(Rule(finding["rule"])),
        "level": "error",
        "message": sarif.message(f"{one.label}: {finding['message']}"),
        "locations": [sarif.location(frame if frame.file or frame.function else None, one.name)],
        "partialFingerprints": {sarif.FINGERPRINT: same},
    }
    if because := finding.get("suppressed") or (one.as_expected and "it was expected"):
        suppression = {"kind": "inSource", "status": "accepted", "justification": because}
        found["suppressions"] = [suppression]
    return found

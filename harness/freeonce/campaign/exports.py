"""Results of a store for CI and for code scanning: JUnit and SARIF. Pure."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from freeonce.audit.model import Rule, Verdict
from freeonce.campaign.compare import same_task
from freeonce.campaign.overview import Told, told
from freeonce.campaign.store import Kept
from freeonce.report import sarif
from freeonce.subject.places import Frame


def junit_text(results: Iterable[Kept]) -> str:
    """A test case for each result, by the schema of Jenkins' xUnit plugin."""
    suite = TestSuite("freeonce campaign")
    for kept in results:
        suite.add_testcase(_case(told(kept)))
    suite.time = round(suite.time, 3)
    xml = JUnitXml("freeonce")
    xml.add_testsuite(suite)
    xml.time = suite.time
    return bytes(xml.tostring()).decode()  # type: ignore[no-untyped-call]


def _case(one: Told) -> TestCase:
    # Of cases with the same names GitLab believes the first alone.
    name = f"{one.label} #{one.number + 1}" if one.number else one.label
    case = TestCase(name, f"freeonce.{one.kind}", round(one.seconds, 3))
    if one.as_expected and one.verdict != Verdict.UNSUPPORTED:
        case.system_out = one.words
        return case
    kinds = {Verdict.INCOMPLETE: Error, Verdict.UNSUPPORTED: Skipped}
    kind = next((kind for verdict, kind in kinds.items() if verdict == one.verdict), Failure)
    said = kind(one.words or "not as expected", one.verdict)
    said.text = one.words
    case.result = [said]
    return case


def sarif_text(results: Iterable[Kept]) -> str:
    """A log of every finding once, with how many results have it, those of failure points too.

    What is incomplete and was not expected is a notification.
    """
    counts: Counter[str] = Counter()
    first: dict[str, dict[str, object]] = {}
    blind = []
    for kept in results:
        one = told(kept)
        if not one.as_expected and one.verdict in (Verdict.INCOMPLETE, Verdict.UNSUPPORTED):
            blind.append(sarif.told(f"{one.label} ({one.number}): {one.verdict}: {one.words}"))
        for finding in _findings(kept.document):
            same = _fingerprint(kept, finding)
            counts[same] += 1
            if same not in first:
                first[same] = _result(one, finding, same)
    every = ({**one, "occurrenceCount": counts[same]} for same, one in first.items())
    return sarif.log(every, blind)


def _findings(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from document.get("findings", ())
    for point in (document.get("failures") or {}).get("points", ()):
        yield from point.get("findings", ())


def _fingerprint(kept: Kept, finding: Mapping[str, Any]) -> str:
    """What is the same of a finding in every run: no address, no serial, no line."""
    names = ("identity", "rule", "family", "kind", "function", "what", "at")
    parts = [same_task(kept), *(str(finding.get(name) or "") for name in names)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _result(one: Told, finding: Mapping[str, Any], same: str) -> dict[str, object]:
    frame = Frame(finding.get("function") or "", file=finding.get("file"), line=finding.get("line"))
    found: dict[str, object] = {
        "ruleId": finding["rule"],
        "ruleIndex": sarif.rule_index(Rule(finding["rule"])),
        "level": "error",
        "message": {"text": f"{one.label}: {finding['message']}"},
        "locations": [sarif.location(frame if frame.file or frame.function else None, one.name)],
        "partialFingerprints": {sarif.FINGERPRINT: same},
    }
    if because := finding.get("suppressed") or (one.as_expected and "it was expected"):
        suppression = {"kind": "inSource", "status": "accepted", "justification": because}
        found["suppressions"] = [suppression]
    return found

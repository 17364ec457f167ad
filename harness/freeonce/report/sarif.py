"""`run --sarif`: SARIF 2.1.0 for code scanning, with file and line of each call. Pure.

Findings that a scenario declares are there, suppressed, and planted faults that were caught are
not: they are proof of the detector and no news of the code. A verdict that is incomplete, or a
finding that should have come and did not, is a notification: a tool that could not see is not
one that saw nothing.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from freeonce import __version__
from freeonce.audit.model import Finding, Rule, Verdict
from freeonce.audit.result import Result
from freeonce.report.explanations import EXPLANATIONS, Explanation
from freeonce.report.places import NOWHERE, Everywhere, origin, where
from freeonce.report.words import SUPPRESSED, expected_words, sentence
from freeonce.subject.places import Frame

SCHEMA = "https://json.schemastore.org/sarif-2.1.0-rtm.5.json"
FINGERPRINT = "scenarioFinding/v1"

Object = dict[str, object]


def sarif_text(
    results: Sequence[Result], places: Everywhere = NOWHERE, broken_off: str = ""
) -> str:
    """The log as JSON. `places`: of its calls. `broken_off`: how far the run came."""
    notifications = [_notification(one) for one in results if not one.as_expected and _blind(one)]
    # A failure point that was lost, and that somebody judged: no result tells of it.
    notes = [_notification(one) | {"level": "note"} for one in results if _excused(one)]
    if broken_off:
        notifications.append(told(f"the run was {broken_off}"))
    return log(_results(results, places), notifications, notes)


def log(
    results: Iterable[Object], notifications: Sequence[Object], notes: Sequence[Object] = ()
) -> str:
    """A log as JSON. `notifications`: of what was not seen; `notes`: of that which is no error."""
    run = {
        "tool": {"driver": _driver()},
        "columnKind": "utf16CodeUnits",
        "invocations": [
            {
                "executionSuccessful": not notifications,
                "toolExecutionNotifications": [*notifications, *notes],
            }
        ],
        "results": list(results),
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _driver() -> Object:
    return {
        "name": "freeonce",
        "semanticVersion": __version__,
        "rules": [_rule(one) for one in EXPLANATIONS.values()],
    }


def _rule(one: Explanation) -> Object:
    others = "\n".join(
        f"- {other.detector}: {other.message or 'nothing'} <{other.page}>"
        for other in one.elsewhere
    )
    markdown = f"{one.meaning}\n\n```\n{one.example}\n```\n\n{one.mend}\n\n{others}\n"
    return {
        "id": one.rule,
        "shortDescription": {"text": one.meaning.split(". ")[0].removesuffix(".") + "."},
        "fullDescription": {"text": one.meaning},
        "help": {"text": f"{one.mend}\n\n{others}", "markdown": markdown},
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["memory", "ownership"]},
    }


def _results(results: Sequence[Result], places: Everywhere) -> Iterable[Object]:
    """A result for each finding; what repeated runs of a scenario found again is counted."""
    counts: Counter[str] = Counter()
    first: dict[str, Object] = {}
    for result in results:
        if result.as_expected and result.scenario.is_planted:
            continue
        alike: Counter[Parts] = Counter()
        for finding in result.judgement.findings:
            parts = _parts(result, finding)
            alike[parts] += 1
            same = fingerprint(parts, alike[parts])
            counts[same] += 1
            if same not in first:
                first[same] = _result(result, finding, places, same)
    return ({**one, "occurrenceCount": counts[same]} for same, one in first.items())


def _result(result: Result, finding: Finding, places: Everywhere, fingerprint: str) -> Object:
    said = origin(finding, places.of(result))
    name = result.scenario.name
    why = result.why.get(finding)
    found: Object = {
        "ruleId": str(finding.rule),
        "ruleIndex": rule_index(finding.rule),
        "level": "error",
        "message": message(
            "; ".join([f"{name}: {sentence(finding, why)}", *where(finding, places.of(result))])
        ),
        "locations": [location(said[1].frame if said else None, name)],
        "partialFingerprints": {FINGERPRINT: fingerprint},
        "properties": {"witness": finding.witness, "scenario": name},
    }
    if said and len(said[1].frames) > 1:
        frames = [{"location": location(frame, name)} for frame in said[1].frames]
        found["stacks"] = [{"message": {"text": "calls, innermost first"}, "frames": frames}]
    if why is not None:
        reason = why.because or "the scenario declares it"
        suppression = {"kind": "inSource", "status": "accepted", "justification": reason}
        found["suppressions"] = [suppression]
    return found


def rule_index(rule: Rule) -> int:
    """Where it stands among the driver's rules."""
    return list(EXPLANATIONS).index(str(rule))


def location(frame: Frame | None, scenario: str) -> Object:
    """A line, or where none is known the scenario: code scanning wants some place."""
    function = frame.function if frame else ""
    logical = [{"fullyQualifiedName": function or scenario, "kind": "function"}]
    if frame is None or frame.file is None:
        artifact: Object = {"uri": quote(scenario)}
        return {"physicalLocation": {"artifactLocation": artifact}, "logicalLocations": logical}
    ours = not frame.file.startswith("/")
    artifact = {"uri": quote(frame.file) if ours else f"file://{quote(frame.file)}"}
    if ours:
        artifact["uriBaseId"] = "%SRCROOT%"
    return {
        "physicalLocation": {
            "artifactLocation": artifact,
            "region": {"startLine": frame.line},
        },
        "logicalLocations": logical,
    }


Parts = tuple[str, ...]


def _parts(result: Result, finding: Finding) -> Parts:
    """What is the same of the same finding in every run: no address, no serial, no line."""
    return (
        *(result.scenario.name, str(finding.rule), finding.kind),
        *(finding.at or "", finding.what or ""),
    )


def fingerprint(parts: Parts, number: int) -> str:
    """`number`: which of the findings of one run with these parts, from 1."""
    told = parts if number == 1 else (*parts, str(number))
    return hashlib.sha256("\0".join(told).encode()).hexdigest()


def _blind(result: Result) -> bool:
    """Whether something was not seen: the verdict does not tell, or a finding is missing."""
    if result.judgement.verdict in (Verdict.INCOMPLETE, Verdict.UNSUPPORTED):
        return True
    return len(set(result.why.values())) < len(set(result.scenario.expected))


def _excused(result: Result) -> bool:
    """Whether it was lost, and somebody judged that."""
    judgement = result.judgement
    lost = judgement.verdict is Verdict.INCOMPLETE and result.as_expected
    return lost and any(one.startswith(SUPPRESSED) for one in judgement.reasons)


def _notification(result: Result) -> Object:
    judgement = result.judgement
    wanted = f"expected {expected_words(result.scenario)}, and not all of it came"
    text = "; ".join(judgement.reasons) or wanted
    return told(f"{result.scenario.name}: {judgement.verdict}: {text}")


def told(text: str) -> Object:
    """A notification."""
    return {"level": "error", "message": message(text)}


def message(text: str) -> Object:
    """A plain text message. `[x](y)` of a guest is no link in it (SARIF 2.1.0, 3.11.6)."""
    return {"text": text.replace("](", "\\](")}

"""`run --json`: schema freeonce/run/1. Stable: other programs depend on it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from freeonce.audit.faults import Planted
from freeonce.audit.model import Finding
from freeonce.audit.result import Result
from freeonce.evidence.scenarios import Expectation, Scenario
from freeonce.report.places import NOWHERE, Everywhere, origin
from freeonce.report.words import sentence

SCHEMA = "freeonce/run/1"


def _hex(address: int | None) -> str | None:
    return None if address is None else f"{address:#x}"


def finding_document(result: Result, finding: Finding, places: Everywhere) -> dict[str, object]:
    """A finding with its place, without what it does not say."""
    document: dict[str, object] = {
        "rule": str(finding.rule),
        "kind": finding.kind,
        "site": f"{finding.site:#x}",
        "message": sentence(finding, result.why.get(finding)),
        "witness": finding.witness,
    }
    optional: dict[str, object] = {
        "pointer": _hex(finding.pointer),
        "gpa": _hex(finding.gpa),
        "at": finding.at,
        "what": finding.what,
        "serial": finding.serial or None,
        "size": finding.size,
    }
    if said := origin(finding, places.of(result)):
        frame = said[1].frame
        optional |= {"file": frame.file, "line": frame.line, "function": frame.function or None}
    if released := places.of(result).get(finding.released_site):
        optional["released_at"] = str(released)
    return document | {key: value for key, value in optional.items() if value is not None}


def expectation_document(expectation: Expectation) -> dict[str, str]:
    """An expectation without what it does not say."""
    return {key: value for key, value in asdict(expectation).items() if value is not None}


def scenario_document(scenario: Scenario) -> dict[str, object]:
    """A declaration, for `list --json`."""
    return {
        "name": scenario.name,
        "section": scenario.section,
        "language": scenario.language,
        "needs": scenario.needs,
        "ends": scenario.ends,
        "cpus": scenario.cpus,
        "shares": scenario.shares,
        "lesson": scenario.lesson,
        "expected": [expectation_document(one) for one in scenario.expected],
    }


def result_document(result: Result, places: Everywhere = NOWHERE) -> dict[str, object]:
    """One scenario's result. `places`: of its calls."""
    judgement = result.judgement
    return {
        "name": result.scenario.name,
        "verdict": str(judgement.verdict),
        "as_expected": result.as_expected,
        "allocations": judgement.allocations,
        "releases": judgement.releases,
        "vmruns": judgement.vmruns,
        "events": judgement.events,
        "findings": [finding_document(result, one, places) for one in judgement.findings],
        "expected": [expectation_document(one) for one in result.scenario.expected],
        "reasons": list(judgement.reasons),
        "witnesses": {name: str(account) for name, account in judgement.witnesses.items()},
        "loss": result.loss,
        "seconds": round(result.seconds, 3),
    }


def run_document(
    host: Mapping[str, str],
    results: Sequence[Result],
    faults: Sequence[Planted] = (),
    places: Everywhere = NOWHERE,
    broken_off: str = "",
    *,
    not_run: Sequence[str] = (),
) -> dict[str, object]:
    """The whole run. `faults`: the planted ones, those that ran beside the results too.

    `broken_off`: how far it came, when it did not come to its end; `not_run`: names of the rest.
    """
    return {
        "schema": SCHEMA,
        "host": dict(host),
        "ok": bool(results)
        and not broken_off
        and all(result.as_expected for result in results)
        and all(fault.caught for fault in faults),
        "broken_off": broken_off or None,
        "not_run": list(not_run),
        "planted": [asdict(one) for one in faults],
        "scenarios": [result_document(result, places) for result in results],
    }

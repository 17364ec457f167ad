"""A store's results as JUnit and SARIF, by the schemas of those who read them."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import xmlschema
from click.testing import CliRunner
from junitparser import JUnitXml

from freeonce.campaign.exports import junit_text, sarif_text
from freeonce.campaign.outcome import Outcome
from freeonce.campaign.store import writing
from freeonce.campaign.task import Task
from freeonce.cli.results import results
from tests.unit.test_html import HOSTILE
from tests.unit.test_overview import kept
from tests.unit.test_sarif import SCHEMA

FOUND = {
    **{"rule": "leak", "family": "slab", "message": "8 bytes, never released", "identity": "01"},
    **{"function": "note_write", "file": "note/note.c", "line": 12, "suppressed": None},
}


def faulty(number: int = 0, **other: Any) -> Any:
    document = {"findings": [FOUND | other], "reasons": []}
    return kept("note", number, "faulty", document=document)


def log(*several: Any) -> Any:
    found = json.loads(sarif_text(several))
    jsonschema.validate(found, SCHEMA)
    return found["runs"][0]


def test_junit_has_a_case_for_each_result_and_is_valid() -> None:
    schema = xmlschema.XMLSchema(Path(__file__).parents[1] / "data/junit-10.xsd")
    lost = kept("b", 0, "incomplete", document={"reasons": ["the guest was lost"]})
    some = (kept("a"), kept("a", 1), faulty(), lost, kept("c", 0, "unsupported"))
    text = junit_text(some)
    schema.validate(text)
    (suite,) = JUnitXml.fromstring(text)
    cases = {case.name: [type(one).__name__ for one in case.result] for case in suite}
    assert cases == {
        "a": [],
        "a #2": [],
        "note": ["Failure"],
        "b": ["Error"],
        "c": ["Skipped"],
    }
    assert "the guest was lost" in text


def test_a_finding_of_many_results_is_told_once_with_its_place() -> None:
    run = log(faulty(0), faulty(1), faulty(2, rule="double-free"))
    leak, twice = run["results"]
    assert (leak["ruleId"], leak["occurrenceCount"]) == ("leak", 2)
    assert twice["ruleId"] == "double-free"
    place = leak["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "note/note.c"
    assert place["region"]["startLine"] == 12
    rules = run["tool"]["driver"]["rules"]
    assert rules[leak["ruleIndex"]]["id"] == "leak"
    assert run["invocations"][0]["executionSuccessful"]


def test_what_a_failure_point_found_is_a_finding_too() -> None:
    point = {"number": 3, "after": False, "outcome": "leaked", "as_expected": False}
    point |= {"findings": [FOUND], "detail": "leak"}
    run = log(kept("a", document={"findings": [], "failures": {"points": [point]}}))
    assert [one["ruleId"] for one in run["results"]] == ["leak"]


def test_what_was_not_seen_is_told_and_what_was_expected_is_suppressed() -> None:
    lost = kept("b", 0, "incomplete", document={"reasons": ["the guest was lost"]})
    run = log(lost, kept("fault/x", 0, "faulty", as_expected=True, document={"findings": [FOUND]}))
    (invocation,) = run["invocations"]
    assert not invocation["executionSuccessful"]
    (told,) = invocation["toolExecutionNotifications"]
    assert "the guest was lost" in told["message"]["text"]
    assert run["results"][0]["suppressions"]


@pytest.mark.parametrize("words", HOSTILE)
def test_words_of_the_guest_stay_words(words: str) -> None:
    lost = kept("b", 0, "incomplete", document={"reasons": [words]})
    (suite,) = JUnitXml.fromstring(junit_text([lost]))
    assert len(list(suite)) == 1
    log(lost, faulty(0, function=words))


def test_reports_are_written_of_a_store(tmp_path: Path) -> None:
    with writing(tmp_path / "s") as store:
        task = Task("k", "note", {"kind": "audit", "number": 0})
        store.add(task, Outcome("faulty", False, 0.1, "w", {"findings": [FOUND]}))
    words = ["--junit", str(tmp_path / "j"), "--sarif", str(tmp_path / "s.json")]
    said = CliRunner().invoke(results, [str(tmp_path / "s"), *words])
    assert (said.exit_code, said.output) == (0, "")
    assert "note" in (tmp_path / "j").read_text()
    assert json.loads((tmp_path / "s.json").read_text())["runs"][0]["results"]

"""A store's results as JUnit and SARIF, by the schemas of those who read them."""

import csv
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import xmlschema
from click.testing import CliRunner
from junitparser import JUnitXml

from freeonce.campaign.junit import junit_parts
from freeonce.campaign.outcome import Outcome
from freeonce.campaign.sarif import sarif_text
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
    text = "".join(junit_parts(some))
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


def names(*several: Any) -> dict[str, bool]:
    """Whether cases passed, by their names, of which no two are the same."""
    (suite,) = JUnitXml.fromstring("".join(junit_parts(several)))
    found = [(case.name, case.is_passed) for case in suite]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_audits_of_one_target_have_cases_of_their_own_whichever_came_first() -> None:
    one, other, third = (
        kept("loop", number, verdict, task={"kind": "audit", "commands": [command]})
        for number, verdict, command in ((0, "clean", "a"), (0, "faulty", "b"), (2, "clean", "b"))
    )
    wanted = {"loop": True, "loop (2)": False, "loop (2) #3": True}
    assert names(one, other, third) == names(third, other, one) == wanted


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


def point(outcome: str, *findings: Any, **other: Any) -> dict[str, Any]:
    said = {"number": 3, "after": True, "outcome": outcome, "as_expected": False}
    return {**said, "detail": "why", "findings": list(findings), **other}


LEAK = {"rule": "leak", "kind": "slab"}


@pytest.mark.parametrize(
    ("verdict", "document", "said"),
    [
        ("clean", {"failures": {"points": [point("crashed")]}}, "a: failing 3+: crashed; why"),
        ("clean", {"failures": {"points": [point("hung", FOUND)]}}, "a: failing 3+: hung; why"),
        ("clean", {"failures": {"points": [], "unled": "busy"}}, "a: no failures were run: busy"),
        ("clean", {"expected": [LEAK]}, "a: clean: expected leak slab, and not that alone came"),
        (
            "faulty",
            {"expected": [LEAK], "findings": [FOUND]},
            "a: faulty: leak slab note_write; expected leak slab, and not that alone came",
        ),
        ("clean", {}, "a: clean: not as expected"),
        ("faulty", {"findings": [FOUND]}, None),
        ("clean", {"failures": {"points": [point("leaked", FOUND)]}}, None),
        (
            "faulty",
            {
                "as_expected": True,
                "expected": [LEAK],
                "failures": {"points": [point("crashed")]},
            },
            "a: failing 3+: crashed; why",
        ),
    ],
)
def test_what_no_finding_tells_of_is_told(verdict: str, document: Any, said: str | None) -> None:
    run = log(kept("a", 0, verdict, as_expected=False, document=document))
    (invocation,) = run["invocations"]
    told = [one["message"]["text"] for one in invocation["toolExecutionNotifications"]]
    assert told == ([] if said is None else [said])
    assert invocation["executionSuccessful"] == (said is None)
    assert log(kept("a", document=document))["invocations"][0]["executionSuccessful"]


@pytest.mark.parametrize("words", HOSTILE)
def test_words_of_the_guest_stay_words(words: str) -> None:
    lost = kept("b", 0, "incomplete", document={"reasons": [words]})
    (suite,) = JUnitXml.fromstring("".join(junit_parts([lost])))
    assert len(list(suite)) == 1
    log(lost, faulty(0, function=words))


def test_sarif_has_no_link_of_a_guests() -> None:
    """A `]` behind a backslash ends no link text (SARIF 2.1.0, 3.11.6)."""
    link = "[x](http://x.example)"
    lost = kept("b", 0, "incomplete", document={"reasons": [link]})
    run = log(lost, faulty(0, message=link))
    told = [*run["results"], *run["invocations"][0]["toolExecutionNotifications"]]
    assert len(told) == 2
    assert all("[x\\](http" in one["message"]["text"] for one in told)


def test_reports_are_written_of_a_store(tmp_path: Path) -> None:
    with writing(tmp_path / "s") as store:
        task = Task("k", "note", {"kind": "audit", "number": 0})
        store.add(task, Outcome("faulty", False, 0.1, "w", {"findings": [FOUND]}))
    words = ["--junit", str(tmp_path / "j"), "--sarif", str(tmp_path / "s.json")]
    said = CliRunner().invoke(results, [str(tmp_path / "s"), *words])
    assert (said.exit_code, said.output) == (0, "")
    assert "note" in (tmp_path / "j").read_text()
    assert json.loads((tmp_path / "s.json").read_text())["runs"][0]["results"]


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    """A store whose plan went from one image to another and back, with a task more."""

    def task(image: str, number: int) -> Task:
        body = {"kind": "audit", "name": "note", "number": number, "image": image}
        return Task(f"{image}{number}", "note", body)

    with writing(tmp_path / "s") as store:
        for image, verdict in (("A", "clean"), ("B", "faulty")):
            store.plan([task(image, 0)])
            document: dict[str, object] = {"findings": [FOUND] if verdict == "faulty" else []}
            store.add(task(image, 0), Outcome(verdict, verdict == "clean", 0.1, "w", document))
        store.plan([task("A", 0), task("A", 1)])
    return tmp_path / "s"


@pytest.mark.parametrize("report", ["--csv", "--json", "--junit", "--sarif", "--html", None])
def test_nothing_that_is_exported_is_of_before_the_last_plan(
    planned: Path, report: str | None
) -> None:
    words = [str(planned), report, "-"] if report else [str(planned)]
    said = CliRunner().invoke(results, words)
    assert "never released" not in said.stdout
    assert "leak slab" not in said.stdout
    if report != "--sarif":
        assert "note" in said.stdout
    assert said.stderr.splitlines() == [
        "1 older results (of another plan, image or harness) are left out; --all shows them",
        "1 tasks of the plan have no result yet",
    ]


def test_what_is_of_before_is_exported_to_who_asks_for_it(planned: Path) -> None:
    words = [str(planned), "--csv", "-", "--all"]
    said = CliRunner().invoke(results, words)
    rows = list(csv.DictReader(said.stdout.splitlines()))
    assert [(row["key"], row["current"]) for row in rows] == [("A0", "yes"), ("B0", "no")]
    assert said.stderr == "1 tasks of the plan have no result yet\n"
    said = CliRunner().invoke(results, [str(planned), "--all", "--where", "current=no"])
    assert ("B0" in said.stdout, "A0" in said.stdout) == (True, False)


@pytest.mark.parametrize("report", ["--junit", "--sarif", "--html", "--against"])
def test_what_has_a_task_once_is_not_made_of_all_results(planned: Path, report: str) -> None:
    words = [str(planned), "--all", report, str(planned)]
    said = CliRunner().invoke(results, words)
    assert said.exit_code == 2

"""SARIF: valid by the schema, and what code scanning is told and what not."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from freeonce.audit.result import Result
from freeonce.evidence.ledger import Type
from freeonce.evidence.scenarios import Expectation
from freeonce.report.explanations import EXPLANATIONS
from freeonce.report.places import Everywhere
from freeonce.report.sarif import sarif_text
from freeonce.subject.places import Frame, Place
from tests.unit.history import History, run
from tests.unit.results import result, told

SCHEMA = json.loads((Path(__file__).parents[1] / "data/sarif-2.1.0-rtm.5.json").read_text())
SCENARIO = Frame("my_case", None, "freeonce", "guest/rust/src/scenarios/my case.rs", 41)
CORE = Frame("drop", None, "freeonce", "/usr/lib/rustlib/core.rs", 7)
PLACES = Everywhere(otherwise={0x40: Place(SCENARIO, (CORE, SCENARIO))})
LEAK = Expectation("leak", "pool", because="it was forgotten")


def leaking() -> History:
    history = run().allocate(1, 0x1000)
    history.rows[-1]["site"] = 0x40
    return history.text(Type.LABEL, "foo", serial=1).end().settle()


def log(*results: Result) -> dict[str, Any]:
    """The only run of the log, which must be valid."""
    document = json.loads(sarif_text(results, PLACES))
    jsonschema.Draft4Validator(SCHEMA).validate(document)
    (found,) = document["runs"]
    assert isinstance(found, dict)
    return found


def test_the_schema_refuses_what_is_not_sarif() -> None:
    document = json.loads(sarif_text([]))
    document["runs"][0]["verdict"] = "clean"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(SCHEMA).validate(document)


def test_a_finding_has_file_and_line() -> None:
    (one,) = log(result("a/leak", leaking()))["results"]
    place = one["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "guest/rust/src/scenarios/my%20case.rs"
    assert place["region"]["startLine"] == 41
    assert one["ruleId"] == "leak"
    assert "`foo`, 64 bytes pool, never released" in one["message"]["text"]
    assert "suppressions" not in one


def test_what_was_inlined_is_a_stack() -> None:
    (one,) = log(result("a/leak", leaking()))["results"]
    frames = [frame["location"]["physicalLocation"] for frame in one["stacks"][0]["frames"]]
    uris = [frame["artifactLocation"]["uri"] for frame in frames]
    assert uris[0] == "file:///usr/lib/rustlib/core.rs"
    assert len(uris) == 2


def test_a_finding_without_a_line_points_at_its_scenario() -> None:
    (one,) = log(result("a/null", run().release(0, 0, withheld=True).end().settle()))["results"]
    place = one["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "a/null"}}


def test_a_declared_finding_is_suppressed_with_its_reason() -> None:
    (one,) = log(result("a/leak", leaking(), (LEAK,)))["results"]
    assert one["suppressions"] == [
        {"kind": "inSource", "status": "accepted", "justification": "it was forgotten"}
    ]


def test_a_planted_fault_is_news_only_when_it_was_not_caught_right() -> None:
    assert log(result("fault/leak/pool/c", leaking(), (LEAK,)))["results"] == []
    assert len(log(result("fault/leak/pool/c", leaking()))["results"]) == 1


def test_the_same_finding_again_is_counted() -> None:
    results = log(*[result("a/leak", leaking())] * 3, result("b/leak", leaking()))["results"]
    assert [one["occurrenceCount"] for one in results] == [3, 1]
    prints = {one["partialFingerprints"]["scenarioFinding/v1"] for one in results}
    assert len(prints) == 2


def test_two_findings_of_a_run_that_say_the_same_are_two() -> None:
    twice = run().release(0, 0, withheld=True).release(0, 0, withheld=True).end().settle()
    results = log(*[result("a/null", twice)] * 2)["results"]
    assert [one["occurrenceCount"] for one in results] == [2, 2]
    prints = {one["partialFingerprints"]["scenarioFinding/v1"] for one in results}
    assert len(prints) == 2


def test_each_rule_is_told_with_what_to_do() -> None:
    rules = log()["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(EXPLANATIONS)
    assert all(EXPLANATIONS[rule["id"]].mend in rule["help"]["markdown"] for rule in rules)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (result("a/lost", run()), "the ledger has no end of this run"),
        (result("a/missed", run().end().settle(), (LEAK,)), "expected leak (pool)"),
    ],
)
def test_a_tool_that_did_not_see_says_so(one: Result, words: str) -> None:
    (invocation,) = log(one)["invocations"]
    assert invocation["executionSuccessful"] is False
    assert words in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_a_run_in_which_all_was_as_expected_succeeded() -> None:
    clean = result("a/clean", run().end().settle())
    lost = replace(result("a/lost", run()), as_expected=True)
    (invocation,) = log(clean, lost, result("b/leak", leaking()))["invocations"]
    assert invocation == {"executionSuccessful": True, "toolExecutionNotifications": []}


def test_words_of_the_guest_stay_valid() -> None:
    hostile = told(result("a", leaking()), name='../../\u202e"</script>%s')
    (one,) = log(hostile)["results"]
    assert one["properties"]["scenario"].startswith("../../")

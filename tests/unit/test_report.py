"""What people and programs read: words, the answer, JSON, JUnit, the terminal."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import xmlschema
from junitparser import JUnitXml
from rich.console import Console

from freeonce.audit.faults import Planted
from freeonce.audit.model import Finding, Rule
from freeonce.evidence.ledger import Kind, Type
from freeonce.evidence.scenarios import Expectation
from freeonce.report.answer import answer
from freeonce.report.document import run_document
from freeonce.report.junit import junit_text
from freeonce.report.places import Everywhere
from freeonce.report.terminal import print_report
from freeonce.report.words import sentence
from freeonce.subject.places import Frame, Place
from tests.unit.history import History, run
from tests.unit.results import HOST, result, told

# How the value is stored and what Drop releases, by DESIGN's table of the article.
PREDICTED = {
    "allocated_memory/assign_drop_storage": {Rule.NULL_FREE, Rule.LEAK},
    "allocated_memory/write_drop_storage": {Rule.LEAK},
    "allocated_memory/assign_drop_in_place": {Rule.NULL_FREE},
    "allocated_memory/write_drop_in_place": set(),
}
BECAUSE = "its owner's Drop frees the storage without dropping what is in it"


def faults(rules: set[Rule]) -> History:
    history = run().text(Type.STEP, "assign")
    if Rule.NULL_FREE in rules:
        history.release(0, 0, withheld=True)
    if Rule.LEAK in rules:
        history.allocate(2, 0x2000, kind=Kind.CONTIGUOUS).text(Type.LABEL, "bar", serial=2)
    return history.end().settle()


def finding(rule: Rule, **fields: object) -> Finding:
    defaults = {"kind": "pool", "sequence": 1, "pointer": 0xFFFF8880, "site": 0}
    return Finding(rule=rule, **{**defaults, **fields})  # type: ignore[arg-type]


LIVE = {"serial": 3, "size": 64, "what": "bar"}


@pytest.mark.parametrize(
    ("finding", "words"),
    [
        (
            finding(Rule.LEAK, kind="contiguous", **LIVE),
            "`bar`, 64 bytes contiguous, never released",
        ),
        (finding(Rule.LEAK, serial=3, size=1), "allocation 3, 1 byte pool, never released"),
        (
            finding(Rule.NULL_FREE, pointer=0, at="assign"),
            'null released by the pool call at "assign"',
        ),
        (
            finding(Rule.DOUBLE_FREE, at="again", **LIVE),
            '`bar`, 64 bytes pool, released again at "again"',
        ),
        (
            finding(Rule.INVALID_FREE, detail="never allocated"),
            "0xffff8880 released by the pool call, but never allocated",
        ),
        (
            finding(Rule.INVALID_FREE, detail="16 bytes inside of it", **LIVE),
            "`bar`, 64 bytes pool, released by a pointer 16 bytes inside of it",
        ),
        (
            finding(Rule.MISMATCHED_FREE, detail="by the contiguous call", **LIVE),
            "`bar`, 64 bytes pool, released by the contiguous call",
        ),
    ],
)
def test_a_finding_is_a_sentence(finding: Finding, words: str) -> None:
    assert sentence(finding) == words


def test_the_step_stands_beside_the_release_and_not_beside_the_allocation() -> None:
    detail = "as 32 bytes aligned to 4, allocated as 64 bytes aligned to 8"
    one = finding(Rule.WRONG_SIZE_FREE, at="as floats", detail=detail, **LIVE)
    assert sentence(one) == f'`bar`, 64 bytes pool, released at "as floats" {detail}'


def test_the_reason_a_scenario_declares_ends_the_sentence() -> None:
    expectation = Expectation("leak", "contiguous", because=BECAUSE)
    assert sentence(finding(Rule.LEAK, kind="contiguous", **LIVE), expectation) == (
        f"`bar`, 64 bytes contiguous, never released; {BECAUSE}"
    )


def test_the_answer_comes_from_the_four_that_decide_it() -> None:
    results = [result(name, faults(rules)) for name, rules in PREDICTED.items()]
    lines = answer(results)
    assert lines is not None
    text = "\n".join(lines)
    assert "drops the old value" in text
    assert "without dropping the T in it" in text
    assert "ptr::write / the T, then storage: clean" in text


@pytest.mark.parametrize("name", PREDICTED)
def test_without_one_of_the_four_there_is_no_answer(name: str) -> None:
    results = [result(other, faults(rules)) for other, rules in PREDICTED.items() if other != name]
    assert answer(results) is None


@pytest.mark.parametrize("name", PREDICTED)
@pytest.mark.parametrize("otherwise", [{Rule.LEAK, Rule.NULL_FREE}, {Rule.NULL_FREE}, set()])
def test_a_run_that_went_otherwise_does_not_claim_the_answer(
    name: str, otherwise: set[Rule]
) -> None:
    if PREDICTED[name] == otherwise:
        return
    seen = {**PREDICTED, name: otherwise}
    lines = answer([result(one, faults(rules)) for one, rules in seen.items()])
    assert lines is not None
    assert lines[0].startswith("This run does not answer it")


def test_an_incomplete_run_does_not_claim_the_answer() -> None:
    results = [result(name, faults(rules)) for name, rules in PREDICTED.items()]
    results[0] = result(results[0].scenario.name, run())
    lines = answer(results)
    assert lines is not None
    assert "not known" in "\n".join(lines)


EXPECTED = (
    Expectation("null-free", "pool", at="assign"),
    Expectation("leak", "contiguous", what="bar", because=BECAUSE),
)
RESULTS = [
    result("a/faulty", faults({Rule.NULL_FREE, Rule.LEAK}), EXPECTED),
    result("a/clean", run().end().settle()),
    result("a/unexpected", faults({Rule.LEAK})),
    result("a/incomplete", run()),
]


def test_the_document_is_by_the_contract() -> None:
    document = json.loads(json.dumps(run_document(HOST, RESULTS)))
    assert document["schema"] == "freeonce/run/1"
    assert document["ok"] is False
    first, clean, unexpected, incomplete = document["scenarios"]
    assert [one["verdict"] for one in document["scenarios"]] == [
        "faulty",
        "clean",
        "faulty",
        "incomplete",
    ]
    assert [one["as_expected"] for one in document["scenarios"]] == [True, True, False, False]
    null, leak = first["findings"]
    assert (null["rule"], null["kind"], null["at"]) == ("null-free", "pool", "assign")
    assert (leak["rule"], leak["kind"], leak["size"], leak["serial"]) == (
        "leak",
        "contiguous",
        64,
        2,
    )
    assert "at" not in leak
    assert first["expected"][0] == {"rule": "null-free", "kind": "pool", "at": "assign"}
    assert clean["findings"] == unexpected["expected"] == []
    assert incomplete["reasons"] == ["the ledger has no end of this run"]


def test_a_run_of_nothing_is_not_ok() -> None:
    assert run_document(HOST, [])["ok"] is False


def schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(Path(__file__).parents[1] / "data/junit-10.xsd")


def test_junit_is_valid_by_the_schema_of_jenkins() -> None:
    slow = replace(RESULTS[0], seconds=0.1234567)
    hostile = told(RESULTS[2], name='x/"]]><!--&\u202e\ufffd', lesson="<b>")
    text = junit_text([*RESULTS, slow, hostile], {"kernel": '6.1 "<&'})
    schema().validate(text)


def test_the_schema_refuses_what_is_not_junit() -> None:
    wrong = junit_text(RESULTS).replace("<testcase", '<testcase verdict="clean"', 1)
    assert not schema().is_valid(wrong)


def test_junit_tells_what_and_where() -> None:
    places = Everywhere(otherwise={0: Place(Frame("f", None, "freeonce", "guest/x.c", 7), ())})
    (suite,) = JUnitXml.fromstring(junit_text(RESULTS, HOST, places).encode())
    cases = {case.name: case for case in suite}
    assert cases["clean"].classname == "freeonce.a"
    (failure,) = cases["unexpected"].result
    assert failure.message.startswith("leak: `bar`, 64 bytes contiguous, never released")
    assert "allocated at guest/x.c:7" in failure.text
    assert "expected: clean" in failure.text
    assert cases["faulty"].result == []
    properties = suite.properties()  # type: ignore[no-untyped-call]
    assert {one.name: one.value for one in properties} == HOST


def test_junit_counts_what_failed_and_what_is_unknown() -> None:
    (suite,) = JUnitXml.fromstring(junit_text(RESULTS).encode())
    assert (suite.tests, suite.failures, suite.errors) == (4, 1, 1)


def test_no_two_cases_of_junit_have_the_same_names() -> None:
    (suite,) = JUnitXml.fromstring(junit_text([RESULTS[0], *RESULTS, RESULTS[0]]).encode())
    names = [(case.classname, case.name) for case in suite]
    assert len(set(names)) == len(names) == 6
    once = RESULTS[0].scenario.name.rpartition("/")[2]
    assert [name for _, name in names if name.startswith(once)][-2:] == [f"{once} #2", f"{once} #3"]


MARKUP = "mine/[/x][bold]"


def planted_as(name: str, rule: str, kind: str, witness: str) -> Planted:
    return Planted(name, rule, kind, "Rust", False, witness, "at the release", 31_595_000)


def test_names_of_the_guest_are_no_markup() -> None:
    hostile = told(RESULTS[2], name=MARKUP, section=MARKUP, lesson=MARKUP)
    row = planted_as(f"fault/{MARKUP}", "[/rule]", "[/kind]", "[/witness]")
    output = io.StringIO()
    print_report(Console(file=output, width=80), HOST, [hostile], [row])
    said = output.getvalue()
    assert said.count(MARKUP) == 3
    assert "[/rule]" in said


def test_what_was_expected_is_told_with_name_and_step() -> None:
    expected = (
        Expectation("leak", "pool", what="foo"),
        Expectation("leak", "pool", what="bar", at="build"),
    )
    output = io.StringIO()
    console = Console(file=output, width=80, highlight=False)
    print_report(console, HOST, [result("a/missing", run().end().settle(), expected)])
    assert '! expected: leak (pool) of `foo`, leak (pool) of `bar` at "build"' in output.getvalue()


def test_how_a_guest_was_to_be_lost_is_told() -> None:
    lost = RESULTS[3]
    wanted = replace(lost, scenario=replace(lost.scenario, ends="panic", expected=EXPECTED[:1]))
    output = io.StringIO()
    print_report(Console(file=output, width=80, highlight=False), HOST, [wanted])
    told = '! expected: the guest lost (panic), null-free (pool) at "assign"'
    assert told in output.getvalue()


def test_no_line_ends_in_blanks_and_no_name_is_broken() -> None:
    """At 80 columns, whatever the names are, where no terminal shows it."""
    long = "allocated_memory/" + "a_name_longer_than_its_column" * 2
    results = [*RESULTS, told(RESULTS[1], name=long)]
    rows = [planted_as("f", "hardware-use-after-free", "contiguous", "kernel+ledger+memory")]
    output = io.StringIO()
    print_report(Console(file=output, width=80, highlight=False), HOST, results, rows)
    lines = output.getvalue().splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    said = output.getvalue()
    for name in (long, "hardware-use-after-free", "contiguous", "31595 us"):
        assert name in said
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_terminal_report_fits_and_needs_no_colour(width: int) -> None:
    output = io.StringIO()
    print_report(Console(file=output, width=width, highlight=False), HOST, RESULTS)
    text = output.getvalue()
    assert "\x1b" not in text
    assert all(len(line) <= width for line in text.splitlines())
    joined = " ".join(text.split())
    assert BECAUSE in joined
    assert "expected: clean" in joined
    assert "the ledger has no end of this run" in joined
    assert "4 scenarios: 1 clean, 2 faulty, 1 incomplete, 0 unsupported; 2 as expected" in joined

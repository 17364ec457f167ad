"""The guest's table of scenarios: read as declared, refused when it is not one."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeonce.errors import EvidenceError
from freeonce.evidence.scenarios import Expectation, Scenario, parse_scenarios

TABLE = (
    "scenario\ta/first\tSection\tRust\t-\tA lesson.\n"
    "expect\tnull-free\tpool\tassign\t\tbecause of that\n"
    "expect\tleak\tcontiguous\t\tbar\t\n"
    "scenario\tb/second\tOther\tC\tsvm\tAnother lesson.\n"
)


def test_declarations_are_taken_in_order() -> None:
    first, second = parse_scenarios(TABLE)
    assert first == Scenario(
        "a/first",
        "Section",
        "Rust",
        None,
        "A lesson.",
        (
            Expectation("null-free", "pool", at="assign", because="because of that"),
            Expectation("leak", "contiguous", what="bar"),
        ),
    )
    assert second == Scenario("b/second", "Other", "C", "svm", "Another lesson.", ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense\n",
        "expect\tleak\tpool\t\t\t\n",
        "scenario\tonly\tthree\n",
        TABLE + "scenario\ta/first\tSection\tRust\t-\tTwice.\n",
        TABLE + "expect\ttoo\tfew\n",
    ],
)
def test_what_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(EvidenceError):
        parse_scenarios(text)


@given(st.text())
def test_no_text_crashes_the_parser(text: str) -> None:
    with contextlib.suppress(EvidenceError):
        assert parse_scenarios(text)


def test_a_list_without_end_is_refused() -> None:
    endless = "".join(f"scenario\t{number}\tS\tC\t-\tL.\n" for number in range(10_001))
    with pytest.raises(EvidenceError, match="more than"):
        parse_scenarios(endless)

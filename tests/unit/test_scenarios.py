"""The guest's table of scenarios: read as declared, refused when it is not one."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeonce.errors import EvidenceError
from freeonce.evidence.scenarios import Expectation, Scenario, parse_scenarios

TABLE = (
    b"scenario\ta/first\tSection\tRust\t-\t-\t1\t-\tA lesson.\n"
    b"expect\tnull-free\tpool\tassign\t\tbecause of that\n"
    b"expect\tleak\tcontiguous\t\tbar\t\n"
    b"scenario\tb/second\tOther\tC\tsvm\toops\t2\tshares\tAnother lesson.\n"
)


def test_declarations_are_taken_in_order() -> None:
    first, second = parse_scenarios(TABLE)
    assert first == Scenario(
        0,
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
    assert second == Scenario(
        1, "b/second", "Other", "C", "svm", "Another lesson.", (), "oops", cpus=2, shares=True
    )


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nonsense\n",
        b"expect\tleak\tpool\t\t\t\n",
        b"scenario\tonly\tthree\n",
        TABLE + b"scenario\ta/first\tSection\tRust\t-\t-\t1\t-\tTwice.\n",
        b"scenario\ta/first\tSection\tRust\t-\t-\t0\t-\tNo CPU.\n",
        b"scenario\ta/first\tSection\tRust\t-\t-\t65\t-\tTooMany.\n",
        b"scenario\ta/first\tSection\tRust\t-\t-\t\xc2\xb2\t-\tA digit, and no number.\n",
        b"scenario\ta/first\tSection\tRust\t-\t-\t1\tperhaps\tSharesPerhaps.\n",
        TABLE + b"expect\ttoo\tfew\n",
    ],
)
def test_what_is_no_table_is_refused(text: bytes) -> None:
    with pytest.raises(EvidenceError):
        parse_scenarios(text)


def test_the_line_that_is_none_is_told() -> None:
    with pytest.raises(EvidenceError) as failed:
        parse_scenarios(TABLE + b"\n" + b"x" * 200)
    assert str(failed.value) == f"line 6 of the guest's scenarios: {'x' * 100!r}"


def test_a_guest_may_have_as_many_cpus_as_it_can() -> None:
    (scenario,) = parse_scenarios(TABLE.splitlines()[0].replace(b"\t1\t", b"\t64\t"))
    assert scenario.cpus == 64


@pytest.mark.parametrize(("name", "planted"), [("fault/leak", True), ("a/fault/leak", False)])
def test_a_planted_fault_is_known_by_its_name(name: str, planted: bool) -> None:
    assert Scenario(0, name, "S", "C", None, "L.", ()).is_planted == planted


@given(st.binary())
def test_no_bytes_crash_the_parser(text: bytes) -> None:
    with contextlib.suppress(EvidenceError):
        assert parse_scenarios(text)


def endless(scenarios: int, expected: int) -> bytes:
    """As many scenarios; the last one declares as many findings."""
    heads = "".join(f"scenario\t{number}\tS\tC\t-\t-\t1\t-\tL.\n" for number in range(scenarios))
    return (heads + "expect\tleak\tpool\t\t\t\n" * expected).encode()


@pytest.mark.parametrize(("scenarios", "expected"), [(10_001, 0), (2, 101)])
def test_a_list_without_end_is_refused(scenarios: int, expected: int) -> None:
    with pytest.raises(EvidenceError, match="more than 10000 scenarios, or more than 100 findings"):
        parse_scenarios(endless(scenarios, expected))


def test_a_long_list_is_taken() -> None:
    scenarios = parse_scenarios(endless(10_000, 100))
    assert [one.index for one in scenarios] == list(range(10_000))
    assert len(scenarios[-1].expected) == 100


def test_a_table_cannot_move_the_cursor() -> None:
    (scenario,) = parse_scenarios(b"scenario\ta\x1b[2J\tS\tC\t-\t-\t1\t-\tL\x07.\n")
    assert (scenario.name, scenario.lesson) == (r"a\x1b[2J", r"L\x07.")

"""Which expectation each finding meets: the best that can be had, and in time."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from freeonce.audit.match import match
from freeonce.audit.model import Finding, Rule
from freeonce.evidence.scenarios import Expectation
from tests.unit.steps import lines

WORD = st.sampled_from([None, "x", "y"])
FINDINGS = st.lists(st.tuples(WORD, WORD), max_size=4)


def found(*said: tuple[str | None, str | None]) -> tuple[Finding, ...]:
    """Leaks at these steps of these allocations."""
    return tuple(
        Finding(Rule.LEAK, "pool", sequence, 1, 0, at=at, what=what)
        for sequence, (at, what) in enumerate(said)
    )


def expected(*said: tuple[str | None, str | None]) -> tuple[Expectation, ...]:
    return tuple(Expectation("leak", "pool", at, what) for at, what in said)


def meets(finding: Finding, one: Expectation) -> bool:
    return one.at in (None, finding.at) and one.what in (None, finding.what)


def test_what_two_could_have_goes_to_the_one_that_has_no_other() -> None:
    """One says the step, the other the name: the first must leave what both could take."""
    findings = found(("x", "y"), ("x", None))
    assert match(findings, expected(("x", None), (None, "y")))[1]
    assert match(findings, expected((None, "y"), ("x", None)))[1]


def test_who_says_more_is_met_first() -> None:
    """Who says less could have taken what the other alone can have."""
    findings = found(("x", "y"), ("x", None), (None, "y"), (None, None))
    said = expected((None, None), ("x", None), (None, "y"), ("x", "y"))
    for order in permutations(said):
        met, matches = match(findings, order)
        assert matches
        assert met == {one: Expectation("leak", "pool", one.at, one.what) for one in findings}


def test_each_of_two_kinds_of_more_is_more() -> None:
    """With one finding for two expectations, the one that says more has it."""
    for more in (("x", "y"), ("x", None), (None, "y")):
        for less in ((None, None), (more[0], None), (None, more[1])):
            if less == more:
                continue
            met, matches = match(found(("x", "y")), expected(less, more))
            assert list(met.values()) == [Expectation("leak", "pool", *more)]
            assert not matches


@given(FINDINGS, FINDINGS)
def test_both_sides_match_where_any_order_of_them_does(
    said: list[tuple[str | None, str | None]], wanted: list[tuple[str | None, str | None]]
) -> None:
    findings, declared = found(*said), expected(*wanted)
    possible = len(findings) == len(declared) and any(
        all(map(meets, order, declared)) for order in permutations(findings)
    )
    met, matches = match(findings, declared)
    assert matches == possible
    assert all(meets(*pair) for pair in met.items())


@given(FINDINGS, FINDINGS)
def test_as_many_are_met_as_can_be(
    said: list[tuple[str | None, str | None]], wanted: list[tuple[str | None, str | None]]
) -> None:
    findings, declared = found(*said), expected(*wanted)
    padded = [*findings, *[None] * len(declared)]
    most = max(
        sum(one is not None and meets(one, what) for one, what in zip(order, declared, strict=True))
        for order in permutations(padded, len(declared))
    )
    assert len(match(findings, declared)[0]) == most


def test_twice_as_many_findings_are_twice_the_work() -> None:
    def work(count: int) -> int:
        findings = found(*[("x", f"{number}") for number in range(count)])
        declared = expected(*[("x", None), (None, "3"), ("x", "5"), (None, None)] * 5)
        return lines(lambda: match(findings, declared), match.__module__)

    assert work(800) < 2.2 * work(400)

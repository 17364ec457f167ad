"""What is chosen, what the two accounts of a ledger come to, how a run ends."""

import pytest

from freeonce.audit.audit import judge
from freeonce.audit.model import Judgement, Verdict
from freeonce.campaign import Result, exit_status, select, weigh
from freeonce.errors import UsageError
from freeonce.evidence.ledger import RECORD_BYTES, Type
from freeonce.evidence.scenarios import Scenario
from tests.unit.history import History, run

NAMES = ["a/first", "a/second", "b/first"]
SCENARIOS = tuple(Scenario(name, "S", "C", None, "L.", ()) for name in NAMES)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ([], NAMES),
        (["a/*"], ["a/first", "a/second"]),
        (["b/first", "*/first"], ["a/first", "b/first"]),
        (["?/second"], ["a/second"]),
    ],
)
def test_globs_choose_in_the_order_of_the_guest(patterns: list[str], names: list[str]) -> None:
    assert [one.name for one in select(SCENARIOS, patterns)] == names


def test_a_pattern_without_a_match_is_named_with_what_it_may_have_meant() -> None:
    with pytest.raises(UsageError, match=r"'a/frist'.*did you mean a/first"):
        select(SCENARIOS, ["a/second", "a/frist"])
    with pytest.raises(UsageError, match="freeonce list"):
        select(SCENARIOS, ["zzzzzz"])


HISTORY = run().allocate(1, 0x1000).release(1, 0x1000).end().settle()
DATA = HISTORY.data()


def verdict(data: bytes, dropped: int = 0) -> Verdict:
    records, doubts = weigh(data, 0, dropped)
    return judge(records, HISTORY.memory(), doubts).verdict


def test_whole_bytes_are_a_verdict() -> None:
    assert verdict(DATA) is Verdict.CLEAN


def test_dropped_torn_and_damaged_records_are_none() -> None:
    assert verdict(DATA, dropped=1) is Verdict.INCOMPLETE
    assert verdict(bytes(RECORD_BYTES) + DATA[RECORD_BYTES:]) is Verdict.INCOMPLETE
    damaged = DATA[: RECORD_BYTES + 20] + b"\xff" + DATA[RECORD_BYTES + 21 :]
    assert verdict(damaged) is Verdict.INCOMPLETE
    assert verdict(DATA[:-1]) is Verdict.INCOMPLETE


def test_what_the_run_before_left_is_not_of_this_one() -> None:
    history = History(run=1).add(Type.RECLAIM, serial=1).add(Type.SETTLED)
    history.run = 2
    records, doubts = weigh(history.begin().end().settle().data(), 0, 0)
    assert doubts == ()
    assert set(records["run"]) == {2}


def result(verdict: Verdict, as_expected: bool) -> Result:
    judgement = Judgement(verdict, (), (), 0, 0, 0, 0, {})
    return Result(SCENARIOS[0], judgement, as_expected, {}, 0.1)


@pytest.mark.parametrize(
    ("results", "status"),
    [
        ([(Verdict.CLEAN, True), (Verdict.FAULTY, True)], 0),
        ([(Verdict.UNSUPPORTED, True)], 0),
        ([(Verdict.CLEAN, True), (Verdict.CLEAN, False)], 1),
        ([(Verdict.INCOMPLETE, False), (Verdict.CLEAN, False)], 4),
        ([(Verdict.UNSUPPORTED, False)], 1),
    ],
)
def test_exit_status(results: list[tuple[Verdict, bool]], status: int) -> None:
    assert exit_status([result(*one) for one in results]) == status

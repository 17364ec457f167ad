"""What is chosen, what the two accounts of a ledger come to, how a run ends."""

import pytest

from freeonce.audit.audit import judge
from freeonce.audit.model import Account, Judgement, Verdict
from freeonce.campaign import Result, exit_status, select, weigh
from freeonce.errors import UsageError
from freeonce.evidence.ledger import RECORD_BYTES, parse_records
from freeonce.evidence.scenarios import Scenario
from tests.unit.history import run

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


DATA = run().allocate(1, 0x1000).release(1, 0x1000).end().data()


def verdict(guest_bytes: bytes | None, dropped: int = 0, data: bytes = DATA) -> Verdict:
    evidence = weigh(parse_records(data, 0), dropped, data, guest_bytes)
    return judge(evidence.records, evidence.doubts).verdict


def test_two_accounts_that_agree_are_a_verdict() -> None:
    assert verdict(DATA) is Verdict.CLEAN


@pytest.mark.parametrize("byte", [0, 7, 16, 63, RECORD_BYTES, len(DATA) - 1])
def test_a_single_other_byte_is_none(byte: int) -> None:
    told = bytearray(DATA)
    told[byte] ^= 1
    assert verdict(bytes(told)) is Verdict.INCOMPLETE


@pytest.mark.parametrize(
    "told", [None, b"", DATA[:-1], DATA[:-RECORD_BYTES], DATA + bytes(RECORD_BYTES)]
)
def test_a_missing_or_longer_account_is_none(told: bytes | None) -> None:
    assert verdict(told) is Verdict.INCOMPLETE


def test_dropped_torn_and_damaged_records_are_none() -> None:
    assert verdict(DATA, dropped=1) is Verdict.INCOMPLETE
    torn = bytes(RECORD_BYTES) + DATA[RECORD_BYTES:]
    assert verdict(torn, data=torn) is Verdict.INCOMPLETE
    damaged = DATA[: RECORD_BYTES + 20] + b"\xff" + DATA[RECORD_BYTES + 21 :]
    assert verdict(damaged, data=damaged) is Verdict.INCOMPLETE


def test_the_account_says_who_disagrees() -> None:
    parsed = parse_records(DATA, 0)
    assert weigh(parsed, 0, DATA, DATA).accounts["ledger"] is Account.AGREE
    assert weigh(parsed, 0, DATA, b"").accounts["ledger"] is Account.DISAGREE
    assert weigh(parsed, 0, DATA, None).accounts["ledger"] is Account.MISSING


def result(verdict: Verdict, as_expected: bool) -> Result:
    judgement = Judgement(verdict, (), (), 0, 0, 0, 0)
    return Result(SCENARIOS[0], judgement, as_expected, {}, {}, 0.1)


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

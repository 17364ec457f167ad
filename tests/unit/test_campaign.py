"""What is chosen, what the two accounts of a ledger come to, how a run ends."""

from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest

from freeonce.audit.audit import judge
from freeonce.audit.model import Account, Asked, Judgement, Verdict
from freeonce.audit.result import Evidence, Result
from freeonce.audit.run import Run, take_apart
from freeonce.errors import Loss, UsageError
from freeonce.evidence.ledger import RECORD_BYTES, Flag, Type
from freeonce.evidence.scenarios import Expectation, Scenario
from freeonce.report.html import html_text
from freeonce.run.choose import planted_beside, select
from freeonce.run.conclude import conclude, exit_status
from freeonce.run.hear import Early, asked_of, weigh, whole
from tests.unit.history import History, run
from tests.unit.results import HOST

NAMES = ["a/first", "a/second", "b/first"]
SCENARIOS = tuple(
    Scenario(index, name, "S", "C", None, "L.", ()) for index, name in enumerate(NAMES)
)


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


SCENARIO = Scenario(0, "test/scenario", "S", "C", None, "L.", ())
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
    history = History(run=1).add(Type.RECLAIM, serial=1).add(Type.SETTLED, detail=1)
    history.run = 2
    records, doubts = weigh(history.begin().end().settle().data(), 0, 0)
    assert doubts == ()
    assert set(records["run"]) == {2}


def test_the_host_knows_what_it_asked_of_the_guest() -> None:
    guest = Mock(config=Mock(cpus=3))
    assert asked_of(guest, "fail=2") == Asked(cpus=3, flags=0)
    assert asked_of(guest, "fail=2 act=real") == Asked(cpus=3, flags=Flag.REAL)


def test_a_result_is_judged_by_what_the_host_asked_for() -> None:
    evidence = Evidence(HISTORY.records(), HISTORY.memory(), (), Account.AGREE, asked=Asked(cpus=2))
    own = Scenario(0, "test/scenario", "S", "C", None, "L.", ())
    assert conclude(own, evidence, 0.1).judgement.reasons == (
        "the state of CPU 1 was never recorded",
    )


def test_something_before_the_begin_is_no_verdict() -> None:
    history = History(run=1).text(Type.STEP, "what is this")
    history.run = 2
    _, doubts = weigh(history.begin().end().settle().data(), 0, 0)
    assert doubts == ("there are other records before the begin of this run",)


def early_of(history: History) -> Early:
    """What the host has read of a run that has ended and was not settled."""
    records, doubts = weigh(history.data(), 0, 0)
    return Early(history.data(), records, doubts, take_apart(records), history.memory())


def ended() -> History:
    return run().allocate(1, 0x1000).release(1, 0x1000).allocate(2, 0x9000).end()


def test_a_run_is_taken_apart_once(monkeypatch: pytest.MonkeyPatch) -> None:
    early = early_of(ended())

    def again(_: object) -> Run:
        raise AssertionError("the records are taken apart a second time")

    for module in ("hear", "result", "audit"):
        room = "run" if module == "hear" else "audit"
        monkeypatch.setattr(f"freeonce.{room}.{module}.take_apart", again)
    monkeypatch.setattr("freeonce.report.lifetimes.take_apart", again)
    evidence = whole(early, ended().settle().data(), 0, 0)
    done = conclude(SCENARIO, replace(evidence, account=Account.AGREE), 0.1)
    assert [one.rule for one in done.judgement.findings] == ["leak"]
    assert done.judgement.reasons == ()
    assert "test/scenario" in html_text(HOST, [done])


def told(one: Run) -> list[object]:
    """All that a run says, to be compared."""
    fields = (one.records, one.allocates, one.releases, one.target, one.first, one.taken_from)
    disputes = [(dispute.pointer, dispute.text) for dispute in one.disputes]
    return [*(field.tolist() for field in fields), sorted(one.late), disputes]


BEHIND = {
    "settling": (ended().settle(), True),
    "a release": (ended().release(2, 0x9000).settle(), False),
    "an allocation": (ended().allocate(3, 0x5000).settle(), False),
    "a step": (ended().text(Type.STEP, "late").settle(), False),
    "a memory of no kind": (ended().add(Type.RECLAIM, serial=2, pointer=0x9000).settle(), False),
}


@pytest.mark.parametrize("behind", BEHIND)
def test_what_came_behind_is_seen_as_if_all_was_read_at_once(behind: str) -> None:
    history, plain = BEHIND[behind]
    early = early_of(ended())
    evidence = whole(early, history.data(), 0, 0)
    assert (evidence.apart is not None) is plain
    assert told(evidence.run) == told(take_apart(history.records()))
    assert evidence.records.tobytes() == history.records().tobytes()


def test_a_ledger_that_was_rewritten_is_a_doubt() -> None:
    other = run().allocate(1, 0x1000).release(1, 0x1000).allocate(2, 0xA000).end().settle()
    evidence = whole(early_of(ended()), other.data(), 0, 0)
    assert evidence.doubts == ("the ledger was rewritten after the run",)
    assert whole(early_of(ended()), ended().data()[:-1], 0, 0).doubts != ()


def concluded(scenario: Scenario, features: frozenset[str] = frozenset()) -> Result:
    evidence = Evidence(HISTORY.records(), HISTORY.memory(), (), Account.AGREE)
    return conclude(scenario, evidence, 0.1, features)


def test_a_ledger_of_another_scenario_is_no_verdict() -> None:
    own = Scenario(0, "test/scenario", "S", "C", None, "L.", ())
    assert concluded(own).judgement.verdict is Verdict.CLEAN
    for other in (replace(own, name="test/other"), replace(own, index=1)):
        judgement = concluded(other).judgement
        assert judgement.verdict is Verdict.INCOMPLETE
        assert judgement.reasons == ("the ledger is of another scenario: test/scenario",)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            {"expected": (Expectation("leek", "pool"),)},
            "the rule 'leek', which does not exist; there is leak",
        ),
        (
            {"expected": (Expectation("leak", "Pool"),)},
            "the kind 'Pool', which does not exist; there is pool",
        ),
        ({"ends": "panics"}, "the loss 'panics', which does not exist; there is panic"),
    ],
)
def test_a_declaration_that_nothing_can_meet_is_told(words: dict[str, Any], said: str) -> None:
    own = replace(Scenario(0, "test/scenario", "S", "C", None, "L.", ()), **words)
    result = concluded(own)
    assert (result.judgement.verdict, result.as_expected) == (Verdict.INCOMPLETE, False)
    assert result.judgement.reasons == (f"its declaration expects {said}",)


def test_unsupported_is_only_expected_where_the_machine_promised_nothing() -> None:
    history = run().text(Type.UNSUPPORTED, "svm").end().settle()
    evidence = Evidence(history.records(), history.memory(), (), Account.AGREE)
    scenario = Scenario(0, "test/scenario", "S", "C", "svm", "L.", ())
    assert conclude(scenario, evidence, 0.1).as_expected
    assert not conclude(scenario, evidence, 0.1, frozenset({"svm"})).as_expected
    assert not conclude(replace(scenario, needs=None), evidence, 0.1).as_expected


NULL = Expectation("null-free", "pool")


@pytest.mark.parametrize(
    ("ends", "expected", "as_expected"),
    [
        ("panic", (NULL,), True),
        ("oops", (NULL,), False),
        ("panic", (), False),
        ("panic", (NULL, NULL), False),
        ("panic", (Expectation("leak", "pool"),), False),
        (None, (NULL,), False),
    ],
)
def test_a_lost_guest_is_expected_with_what_was_proven_before(
    ends: str | None, expected: tuple[Expectation, ...], as_expected: bool
) -> None:
    """Of a run in which null was released, and then the kernel panicked."""
    history = run().release(0, 0, withheld=True)
    doubts = ("the guest was lost",)
    evidence = Evidence(history.records(), history.memory(), doubts, Account.MISSING, Loss.PANIC)
    scenario = Scenario(0, "test/scenario", "S", "C", None, "L.", expected, ends)
    done = conclude(scenario, evidence, 0.1)
    assert done.judgement.verdict is Verdict.INCOMPLETE
    assert done.as_expected is as_expected


def test_a_guest_that_should_be_lost_and_lives_is_not_expected() -> None:
    assert not concluded(
        Scenario(0, "test/scenario", "S", "C", None, "L.", (), "panic")
    ).as_expected


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


def test_the_planted_faults_run_beside_what_is_named() -> None:
    faults = tuple(
        Scenario(9, f"fault/{name}", "S", "C", None, "L.", ()) for name in ("leak", "double-free")
    )
    everything = (*SCENARIOS, *faults)
    assert planted_beside(everything, SCENARIOS[:1]) == faults
    assert planted_beside(everything, (SCENARIOS[0], faults[0])) == faults[1:]
    assert planted_beside(everything, SCENARIOS[:1], faults=False) == ()
    assert select(everything, [], faults=False) == SCENARIOS
    assert select(everything, ["fault/leak"], faults=False) == faults[:1]


def test_sections_and_names_of_before_choose_too() -> None:
    fixed = replace(SCENARIOS[0], section="SVM on one CPU")
    everything = (fixed, *SCENARIOS[1:])
    assert select(everything, [], sections=["svm*"]) == (fixed,)
    assert select(everything, [], again=["a/second", "gone"]) == tuple(
        one for one in everything if one.name == "a/second"
    )
    with pytest.raises(UsageError, match="no section matches 'vm\\*'; there are: SVM on one CPU"):
        select(everything, [], sections=["vm*"])
    with pytest.raises(UsageError, match="no longer exist: gone"):
        select(everything, [], again=["gone"])

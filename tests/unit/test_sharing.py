"""Scenarios that follow each other in one guest: which, how far, and what is told of them."""

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from freeonce.audit.model import Account, Asked, Rule, Verdict
from freeonce.audit.result import Evidence, Result
from freeonce.errors import CommandFailed, GuestLost, Loss
from freeonce.evidence.ledger import Type
from freeonce.evidence.scenarios import Expectation, Scenario
from freeonce.guest import Guest
from freeonce.machine.argv import MachineConfig
from freeonce.run import campaign, crew
from freeonce.run.campaign import run_one
from freeonce.run.conclude import conclude, doubted
from freeonce.run.crew import Pristine
from freeonce.run.sharing import TOGETHER, may_share, turns
from freeonce.run.task import PLAIN, Options, Task
from tests.unit.history import History
from tests.unit.results import result

ONE = Scenario(0, "a/one", "S", "C", None, "L.", (), shares=True)
OTHER = replace(ONE, index=1, name="a/other")
ALONE = replace(ONE, index=2, name="a/alone", shares=False)
ON_TWO = replace(ONE, index=3, name="a/on_two", cpus=2)


def names(groups: Iterator[list[Task]]) -> list[list[str]]:
    return [[task.scenario.name.removeprefix("a/") for task in group] for group in groups]


def test_those_that_share_and_need_as_many_cpus_come_together() -> None:
    tasks = [Task(one, PLAIN) for one in (ONE, OTHER, ALONE, ONE, ON_TWO, ON_TWO, OTHER)]
    assert names(turns(tasks)) == [
        ["one", "other"],
        ["alone"],
        ["one"],
        ["on_two", "on_two"],
        ["other"],
    ]


def test_a_turn_does_not_grow_without_end() -> None:
    lengths = [len(turn) for turn in turns([Task(ONE, PLAIN)] * (2 * TOGETHER + 1))]
    assert lengths == [TOGETHER, TOGETHER, 1]


def test_there_are_as_many_turns_as_guests_at_a_time() -> None:
    lengths = [len(turn) for turn in turns([Task(ALONE, PLAIN), *[Task(ONE, PLAIN)] * 30], 4)]
    assert lengths == [1, 8, 8, 8, 6]
    assert [len(turn) for turn in turns([Task(ONE, PLAIN)] * 2, 4)] == [1, 1]


def test_who_shares_nothing_is_not_kept_waiting_for_the_next() -> None:
    def tasks() -> Iterator[Task]:
        yield Task(ALONE, PLAIN)
        raise AssertionError

    assert names(iter([next(turns(tasks()))])) == [["alone"]]


@pytest.mark.parametrize(
    ("scenario", "options"),
    [
        (ALONE, PLAIN),
        (replace(ONE, ends="panic"), PLAIN),
        (ONE, Options("fail=1")),
        (ONE, Options(repeat=2)),
        (ONE, Options(pristine=True)),
    ],
)
def test_what_is_not_run_as_it_is_has_a_guest_of_its_own(
    scenario: Scenario, options: Options
) -> None:
    assert not may_share(Task(scenario, options))


CLEAN = History().begin().allocate(1, 0x1000).release(1, 0x1000).end().settle()
LEAK = History().begin().allocate(1, 0x1000).end().settle()


class Guests:
    """Makes guests, and runs in them what `work` says, by number of guest and scenario."""

    def __init__(self, work: Callable[[int, str], tuple[Result, bool]]) -> None:
        self.ran: list[tuple[int, str]] = []
        self.cpus: list[int] = []
        self._work = work
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, cpus: int) -> Iterator[Guest]:
        with self._lock:
            self.cpus.append(cpus)
            yield cast(Guest, SimpleNamespace(number=len(self.cpus)))

    def run_one(self, guest: Guest, scenario: Scenario, _: Options) -> tuple[Result, bool]:
        number = cast(SimpleNamespace, guest).number
        self.ran.append((number, scenario.name))
        return self._work(number, scenario.name)


def led(
    monkeypatch: pytest.MonkeyPatch,
    scenarios: list[Scenario],
    work: Callable[[int, str], tuple[Result, bool]] = lambda _, name: (result(name, CLEAN), True),
) -> tuple[Guests, list[Result]]:
    guests = Guests(work)
    monkeypatch.setattr(crew, "run_one", guests.run_one)
    with Pristine(guests, lambda: tuple(scenarios), 1) as pristine:
        told = list(pristine.run([Task(one, PLAIN) for one in scenarios], lambda _: None))
    return guests, told


def test_one_guest_serves_all_that_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    guests, told = led(monkeypatch, [ONE, OTHER, ALONE, ON_TWO])
    assert guests.ran == [(1, "a/one"), (1, "a/other"), (2, "a/alone"), (3, "a/on_two")]
    assert guests.cpus == [1, 1, 2]
    assert [one.scenario.name for one in told] == ["a/one", "a/other", "a/alone", "a/on_two"]


def lost(name: str) -> Result:
    return doubted(result(name, CLEAN), "the guest was lost (hang): no answer")


@pytest.mark.parametrize(
    ("behind", "fit", "said"),
    [
        (result("a/other", LEAK), True, "it was faulty: leak (pool)"),
        (lost("a/other"), False, "it was incomplete: the guest was lost (hang): no answer"),
    ],
)
def test_what_was_not_clean_behind_another_is_led_again_alone_and_both_are_told(
    behind: Result, fit: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A race that shows once in two runs, or what the one before left: neither is clean."""

    def work(number: int, name: str) -> tuple[Result, bool]:
        if name == "a/other" and number == 1:
            return behind, fit
        return result(name, CLEAN), True

    guests, told = led(monkeypatch, [ONE, OTHER, replace(ONE, name="a/third")], work)
    assert guests.ran == [(1, "a/one"), (1, "a/other"), (2, "a/other"), (2, "a/third")]
    assert [one.judgement.verdict for one in told] == [
        *(Verdict.CLEAN, Verdict.INCOMPLETE, Verdict.CLEAN),
    ]
    assert [one.as_expected for one in told] == [True, False, True]
    (reason,) = told[1].judgement.reasons
    begin = "the result varies, or a/one left something behind: after a/one in one guest"
    assert reason == f"{begin} {said}"


def test_other_findings_alone_do_not_hide_those_behind_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    two = History().begin().allocate(1, 0x1000).allocate(2, 0x2000).end().settle()

    def work(number: int, name: str) -> tuple[Result, bool]:
        leads = {(1, "a/other"): LEAK, (2, "a/other"): two}
        return result(name, leads.get((number, name), CLEAN)), True

    _, told = led(monkeypatch, [ONE, OTHER], work)
    assert [one.rule for one in told[1].judgement.findings] == [Rule.LEAK] * 2
    assert told[1].judgement.verdict is Verdict.INCOMPLETE
    assert "faulty: leak (pool)" in told[1].judgement.reasons[-1]


def test_what_it_comes_to_both_times_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(_: int, name: str) -> tuple[Result, bool]:
        return result(name, LEAK if name == "a/other" else CLEAN), True

    guests, told = led(monkeypatch, [ONE, OTHER], work)
    assert guests.ran == [(1, "a/one"), (1, "a/other"), (2, "a/other")]
    assert told[1].judgement.verdict is Verdict.FAULTY
    assert told[1].judgement.reasons == ()


def test_what_is_found_as_declared_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    leaks = (Expectation("leak", "pool"),)

    def work(_: int, name: str) -> tuple[Result, bool]:
        return result(name, LEAK, leaks) if name == "a/other" else result(name, CLEAN), True

    guests, told = led(monkeypatch, [ONE, replace(OTHER, expected=leaks), ONE], work)
    assert guests.ran == [(1, "a/one"), (1, "a/other"), (1, "a/one")]
    assert [one.judgement.verdict for one in told][1] is Verdict.FAULTY


@pytest.mark.parametrize("fit", [True, False])
def test_a_finding_or_an_unfit_guest_ends_the_sharing(
    fit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(_: int, name: str) -> tuple[Result, bool]:
        return result(name, LEAK if fit and name == "a/one" else CLEAN), fit

    guests, told = led(monkeypatch, [ONE, OTHER], work)
    # Without one that is fit, the second is led again, and the same is told of it.
    assert guests.ran == [(1, "a/one"), (2, "a/other")]
    verdicts = [Verdict.FAULTY if fit else Verdict.CLEAN, Verdict.CLEAN]
    assert [one.judgement.verdict for one in told] == verdicts


class Sound(Guest):
    """Answers `sound` so, and nothing else."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.config = cast(MachineConfig, SimpleNamespace(features=frozenset()))

    def ask(self, request: str, _: float = 0) -> None:
        assert request == "sound"
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer


EVIDENCE = Evidence(CLEAN.records(), CLEAN.memory(), (), Account.AGREE, asked=Asked(cpus=1))


def run_with(
    monkeypatch: pytest.MonkeyPatch,
    error: Exception | None,
    scenario: Scenario = ONE,
    options: Options = PLAIN,
    evidence: Evidence = EVIDENCE,
) -> tuple[Result, bool]:
    """What it comes to where the guest answers `sound` so."""

    guest = Sound(error)
    own = replace(scenario, name="test/scenario", index=0)
    monkeypatch.setattr(campaign, "hear", lambda *_: (evidence, True))
    return run_one(guest, own, options)


def test_who_leaves_nothing_is_believed_when_the_kernel_is_sound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told, fit = run_with(monkeypatch, None)
    assert (told.judgement.verdict, fit) == (Verdict.CLEAN, True)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CommandFailed("it says", errno.EUCLEAN), "the kernel warned of something"),
        (CommandFailed("it says", errno.EBADMSG), "it says"),
        (GuestLost("gone", loss=Loss.QEMU), "the guest was lost"),
    ],
)
def test_who_declares_it_and_leaves_something_is_told(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, fit = run_with(monkeypatch, error)
    assert (told.judgement.verdict, told.as_expected, fit) == (Verdict.INCOMPLETE, False, False)
    (reason,) = told.judgement.reasons
    assert reason.startswith("it declares that it leaves nothing behind, but ")
    assert said in reason


@pytest.mark.parametrize("options", [Options(pristine=True), Options(repeat=2)])
def test_alone_it_is_held_to_the_same(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    told, _ = run_with(monkeypatch, CommandFailed("", errno.EUCLEAN), options=options)
    assert told.judgement.verdict is Verdict.INCOMPLETE


def test_who_did_not_declare_it_is_not_held_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    unsound = CommandFailed("", errno.EUCLEAN)
    told, fit = run_with(monkeypatch, unsound, replace(ONE, shares=False))
    assert (told.judgement.verdict, fit) == (Verdict.CLEAN, True)


def test_what_one_left_is_not_told_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guest tells what is new since it was asked last: so it is asked after each."""
    guest = Sound(CommandFailed("", errno.EUCLEAN), None)
    monkeypatch.setattr(campaign, "hear", lambda *_: (EVIDENCE, True))
    for shares in (False, True):
        told, fit = run_one(guest, replace(ONE, name="test/scenario", shares=shares))
        assert (told.judgement.verdict, fit) == (Verdict.CLEAN, True)
    assert guest.answers == []


def test_a_guest_that_is_lost_when_it_is_asked_serves_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = GuestLost("gone", loss=Loss.QEMU)
    told, fit = run_with(monkeypatch, gone, replace(ONE, shares=False))
    assert (told.judgement.verdict, fit) == (Verdict.CLEAN, False)


@pytest.mark.parametrize("declared", [1, 2])
def test_fewer_cpus_than_declared_are_a_reason_to_be_unsupported(declared: int) -> None:
    history = History().begin().text(Type.UNSUPPORTED, "2 CPUs").end().settle()
    evidence = replace(EVIDENCE, records=history.records(), memory=history.memory())
    told = conclude(replace(ONE, name="test/scenario", cpus=declared), evidence, 0.1)
    assert told.judgement.verdict is Verdict.UNSUPPORTED
    assert told.as_expected is (declared == 2)


def test_a_finding_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    never = CommandFailed("", errno.EUCLEAN)
    evidence = replace(EVIDENCE, records=LEAK.records(), memory=LEAK.memory())
    told, _ = run_with(monkeypatch, never, evidence=evidence)
    assert told.judgement.verdict is Verdict.FAULTY

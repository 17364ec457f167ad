"""Whose life without failures counts: the verdict's, or one on the machine where they come."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from freeonce.audit.attempts import Where
from freeonce.audit.life import Life, Reason, Stage
from freeonce.audit.model import Verdict
from freeonce.audit.points import Outcome, Point, point
from freeonce.audit.result import Evidence
from freeonce.errors import (
    CommandFailed,
    EvidenceError,
    GuestLost,
    HostError,
    Obstacle,
    SubjectError,
)
from freeonce.evidence.ledger import Type
from freeonce.run import audit
from freeonce.run.audit import FEW, NO_GUEST, UNSOUND_THERE, Lives
from freeonce.run.failures import UNSOUND
from freeonce.run.supply import Supply
from tests.unit.history import run
from tests.unit.results import result

TWO: Any = ("two CPUs", "its template")
ONE: Any = ("one CPU", "its template")


def life(attempts: int, stopped: tuple[Reason, ...] = ()) -> Life:
    history = run()
    for number in range(1, attempts + 1):
        history.add(Type.STACK, site=number, pointer=number << 12)
        history.add(Type.ATTEMPT, serial=number, site=number)
    result: Any = SimpleNamespace(evidence=Evidence(history.end().records()), seconds=0.1)
    return Life((), Stage.JUDGE, stopped, (), result)


STOPPED = (Reason(Obstacle.DOES_NOT_UNLOAD, "it stays"),)
REFUSED = (Reason(Obstacle.DOES_NOT_LOAD, "it refuses"),)
Leads = Callable[..., tuple[Any, list[tuple[str, bool]]]]


@pytest.fixture
def leads(monkeypatch: pytest.MonkeyPatch) -> Leads:
    """The plain run of lives that come to this, and how each was led."""

    def leads(lives: dict[str, Life], of_plain: Any, of_failing: Any, clean: bool = True) -> Any:
        led: list[tuple[str, bool]] = []

        def lead(setting: Any, _: object, __: object, count: bool = False) -> Life:
            led.append((setting, count))
            return lives[setting]

        verdict = Verdict.CLEAN if clean else Verdict.FAULTY
        judged = SimpleNamespace(judgement=SimpleNamespace(verdict=verdict))
        monkeypatch.setattr(audit, "audit", lead)
        monkeypatch.setattr(audit, "conclude_led", lambda *_: judged)
        prepared: Any = SimpleNamespace(targets=(), sources=())
        return Lives(of_plain, of_failing, prepared).plain(), led

    return leads


def test_on_one_machine_one_life_is_verdict_and_count(leads: Leads) -> None:
    plain, led = leads({"two CPUs": life(3)}, TWO, TWO)
    assert led == [("two CPUs", True)]
    assert [one.number for one in plain.found] == [1, 2, 3]
    assert not plain.unled


def test_on_another_machine_what_is_acquired_there_is_counted(leads: Leads) -> None:
    verdict = life(3)
    plain, led = leads({"two CPUs": verdict, "one CPU": life(2)}, TWO, ONE)
    assert led == [("two CPUs", False), ("one CPU", True)]
    assert [one.number for one in plain.found] == [1, 2]
    assert plain.result is verdict.result


@pytest.mark.parametrize("refused", [(), REFUSED])
def test_one_that_does_not_load_may_fail_as_well(refused: tuple[Reason, ...], leads: Leads) -> None:
    plain, _ = leads({"two CPUs": life(1, refused)}, TWO, TWO)
    assert len(plain.found) == 1


def test_nothing_is_held_against_a_life_that_is_not_sound(leads: Leads) -> None:
    plain, led = leads({"two CPUs": life(1, STOPPED)}, TWO, ONE)
    assert (plain.found, plain.unled, len(led)) == ((), UNSOUND, 1)
    plain, led = leads({"two CPUs": life(1)}, TWO, ONE, clean=False)
    assert (plain.found, plain.unled, len(led)) == ((), UNSOUND, 1)
    plain, led = leads({"two CPUs": life(1), "one CPU": life(1, STOPPED)}, TWO, ONE)
    assert (plain.found, plain.unled, len(led)) == ((), UNSOUND_THERE, 2)


def test_a_gap_in_the_count_leaves_nothing_to_fail(leads: Leads) -> None:
    whole = life(3)
    records = whole.result.evidence.records
    gap = records[records["serial"] != 2]
    result: Any = SimpleNamespace(evidence=Evidence(gap), seconds=0.1)
    plain, _ = leads({"two CPUs": replace(whole, result=result)}, TWO, TWO)
    assert plain.found == ()
    assert "an acquisition was not recorded" in plain.unled


POINTS = [Where(number) for number in range(1, 2 * FEW + 1)]
ERRORS = (
    GuestLost("gone"),
    HostError("no-room", "the disk is full"),
    SubjectError(Obstacle.MISSING_MODULE, "no such module"),
    CommandFailed("tar: no room"),
    EvidenceError("no ledger"),
)
of_an_error = pytest.mark.parametrize("error", ERRORS, ids=lambda one: type(one).__name__)


class Two(Lives):
    """Lives in two guests. Of those `fail` are ended by the error, the other leads all."""

    def __init__(self, error: Exception, fail: int) -> None:
        prepared: Any = SimpleNamespace(targets=(), sources=())
        super().__init__(TWO, TWO, prepared, guests=2)
        self._error = error
        self._fails = [fail > 0, fail > 1]

    def _led(self, supply: Supply[Where]) -> Iterator[Point]:
        with supply.share() as mine:
            if self._fails.pop():
                raise self._error
            while mine.has(1):
                yield from (point(one, result("a", run().end().settle())) for one in mine.turns)
                mine.led(mine.turns)


@of_an_error
def test_what_one_guest_lacks_the_others_lead(error: Exception) -> None:
    told = list(Two(error, fail=1).failing(POINTS))
    assert sorted(one.number for one in told) == [one.number for one in POINTS]
    assert {one.outcome for one in told} == {Outcome.UNREACHED}


@of_an_error
def test_without_a_guest_what_is_left_is_not_known_and_says_why(error: Exception) -> None:
    told = list(Two(error, fail=2).failing(POINTS))
    assert [one.number for one in told] == [one.number for one in POINTS]
    assert {one.outcome for one in told} == {Outcome.UNKNOWN}
    assert all(str(error) in one.detail for one in told)
    # Only what the host lacks is tried again on another (campaign/census.py, by_host).
    of_host = isinstance(error, GuestLost | HostError)
    for one in told:
        reasons = one.result.judgement.reasons
        assert any(reason.startswith(NO_GUEST) for reason in reasons) is of_host

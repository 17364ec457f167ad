"""A life's stages and what stops them; the guest here is a list of what it was told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from freeonce.audit.life import Stage
from freeonce.audit.model import Verdict
from freeonce.audit.result import NOTHING, Evidence
from freeonce.errors import CommandFailed, EvidenceError, GuestLost, Loss, Obstacle
from freeonce.evidence.ledger import Header
from freeonce.guest.bounded import Ended
from freeonce.run import life
from freeonce.run.conclude import conclude_life
from freeonce.run.exercise import Exercise
from freeonce.run.life import Limits, Lived, Load, Plan, live

FINE = Ended(0, "")
DEP, FIRST, SECOND = (
    Load("dep", b"d", subject=False),
    Load("first", b"1", subject=True, parameters=("a=1", "b=x y")),
    Load("second", b"2", subject=True),
)
PLAN = Plan((DEP, FIRST, SECOND), (Exercise("try", "try me"),))


class Guest:
    """Answers what each command is to end with; the rest succeeds."""

    def __init__(self, ends: dict[str, Ended] | None = None, loses: str = "") -> None:
        self.told: list[str] = []
        self.ends = ends or {}
        self.loses = loses

    def _tell(self, what: str) -> None:
        self.told.append(what)
        if self.loses and self.loses in what:
            raise GuestLost("it oopsed", "the console", Loss.OOPS)

    def command(self, command: str, *_: object) -> bytes:
        self._tell(command)
        return b"virtio\nnet\n" if "/proc/modules" in command else b"[1] kernel: no such card"

    def ask(self, request: str, *_: object) -> None:
        self._tell(request)
        if self.ends.get(request):
            raise CommandFailed(f"{request}: no")

    def header(self) -> Header:
        return Header(capacity=1000, appended=7, release="", page_offset=0, drained=0)

    @contextmanager
    def meanwhile(self, act: Callable[[], None]) -> Iterator[None]:
        self._tell("meanwhile")
        act()
        yield

    def check(self) -> None:
        self._tell("check")

    def bounded(self, command: str) -> Ended:
        self._tell(command)
        return next((one for key, one in self.ends.items() if key in command), FINE)

    @property
    def acts(self) -> list[str]:
        """What changes something in it."""
        idle = ("dmesg", "rm ", "mkdir", "cut", "meanwhile")
        return [one for one in self.told if not one.startswith(idle)]


@pytest.fixture
def lead(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Lived]:
    whole, part = Evidence(NOTHING), Evidence(NOTHING, doubts=("part",))
    monkeypatch.setattr(life, "send", lambda guest, files: guest.told.append("send"))
    monkeypatch.setattr(life, "run_bounded", lambda guest, command, *_: guest.bounded(command))
    monkeypatch.setattr(life, "collect", lambda *_: (whole, True))
    monkeypatch.setattr(life, "salvage", lambda *_: part)
    return lambda guest, plan=PLAN: live(guest, plan)


def test_a_life_goes_through_its_stages_in_order(lead: Callable[..., Lived]) -> None:
    guest = Guest()
    lived = lead(guest)
    assert guest.acts == [
        "send",
        "insert /tmp/modules/dep.ko",
        "echo first second >/sys/kernel/debug/freeonce/subjects",
        "drained 7",
        "life begin drain",
        "insert /tmp/modules/first.ko a=1 'b=x y'",
        "insert /tmp/modules/second.ko",
        "export PATH=/audit:$PATH\ntry me",
        "rmmod second",
        "rmmod first",
        "life end",
    ]
    assert (lived.stage, lived.reasons) == (Stage.JUDGE, [])
    assert [(one.name, one.status) for one in lived.ran] == [("try", 0)]


def test_a_dependency_that_is_there_is_left_alone(lead: Callable[..., Lived]) -> None:
    guest = Guest()
    lead(guest, Plan((Load("net", b"", subject=False), SECOND)))
    assert not any("net.ko" in one for one in guest.acts)


@pytest.mark.parametrize(
    ("ends", "obstacle", "stage", "after"),
    [
        # The kernel's words are quoted; what was loaded before goes, and the life ends in order.
        ({"second.ko": Ended(19, "")}, Obstacle.DOES_NOT_LOAD, Stage.JUDGE, "rmmod first"),
        ({"second.ko": Ended(None, "")}, Obstacle.HANGS_IN_INIT, Stage.LOAD, "second.ko"),
        ({"try me": Ended(3, "it\nfails")}, Obstacle.EXERCISE_FAILED, Stage.JUDGE, "rmmod first"),
        ({"try me": Ended(None, "")}, Obstacle.EXERCISE_FAILED, Stage.JUDGE, "rmmod first"),
        ({"rmmod second": Ended(1, "busy")}, Obstacle.DOES_NOT_UNLOAD, Stage.JUDGE, "rmmod second"),
        ({"rmmod second": Ended(None, "")}, Obstacle.DOES_NOT_UNLOAD, Stage.UNLOAD, "rmmod second"),
        ({"life end": FINE}, Obstacle.NOT_QUIET, Stage.QUIESCE, "life end"),
        ({"dep.ko": Ended(2, "")}, Obstacle.DOES_NOT_LOAD, Stage.PREPARE, "dep.ko"),
    ],
)  # fmt: skip
def test_what_fails_is_a_reason_and_never_clean(
    ends: dict[str, Ended], obstacle: Obstacle, stage: Stage, after: str, lead: Callable[..., Lived]
) -> None:
    guest = Guest(ends)
    lived = lead(guest)
    assert lived.reasons[0].obstacle is obstacle
    assert lived.stage is stage
    # What comes last; only a life that is judged is told to end.
    last = [one for one in guest.acts if one != "life end" or after == "life end"][-1]
    assert after in last
    assert ("life end" in guest.acts) == (stage in (Stage.JUDGE, Stage.QUIESCE))
    result = conclude_life("x", (), lived, 1.0).result
    assert result.judgement.verdict is Verdict.INCOMPLETE
    assert lived.reasons[0].message in result.judgement.reasons
    assert not result.as_expected


def test_the_kernels_own_words_are_in_the_reason(lead: Callable[..., Lived]) -> None:
    lived = lead(Guest({"first.ko": Ended(19, "No such device")}))
    assert "No such device" in lived.reasons[0].message
    assert "kernel: no such card" in lived.reasons[0].message


def test_an_exercise_is_named_with_its_last_words(lead: Callable[..., Lived]) -> None:
    lived = lead(Guest({"try me": Ended(3, "first\nlast words\n")}))
    assert lived.reasons[0].message == 'the exercise try ended with status 3: "last words"'


@pytest.mark.parametrize("when", ["second.ko", "try me", "rmmod second", "life end", "life begin"])
def test_a_lost_guest_is_told_with_what_was_known(when: str, lead: Callable[..., Lived]) -> None:
    lived = lead(Guest(loses=when))
    assert "oops" in lived.reasons[0].message
    assert "the console" in lived.reasons[0].message
    assert lived.evidence.doubts == ("part",)


def test_a_guest_that_is_lost_at_once_ends_in_words(lead: Callable[..., Lived]) -> None:
    lived = lead(Guest(loses="mkdir"))
    assert (lived.stage, lived.reasons[0].obstacle) == (Stage.PREPARE, Obstacle.GUEST_LOST)
    assert lived.evidence.loss is Loss.OOPS


def test_nothing_is_unloaded_when_nobody_wants_that(lead: Callable[..., Lived]) -> None:
    guest = Guest()
    lead(guest, Plan((FIRST,), unload=False))
    assert not any(one.startswith("rmmod") for one in guest.acts)


def test_while_it_is_kept_loaded_the_guest_is_looked_at(lead: Callable[..., Lived]) -> None:
    guest = Guest(loses="check")
    lived = lead(guest, Plan((FIRST,), keep=0.01, limits=Limits()))
    assert (lived.stage, lived.reasons[0].obstacle) == (Stage.EXERCISE, Obstacle.GUEST_LOST)


def test_a_subject_that_the_guest_itself_needs_is_refused(lead: Callable[..., Lived]) -> None:
    lived = lead(Guest(), Plan((Load("net", b"", subject=True),)))
    assert lived.reasons[0].obstacle is Obstacle.DOES_NOT_LOAD
    assert "loaded already" in lived.reasons[0].message


def test_a_ledger_that_is_not_drained_is_the_first_reason_whatever_comes_of_it(
    lead: Callable[..., Lived], monkeypatch: pytest.MonkeyPatch
) -> None:
    def collect(*given: Any) -> None:
        given[-1].doubt = "no room"
        raise EvidenceError("no ledger")

    monkeypatch.setattr(life, "collect", collect)
    lived = lead(Guest())
    assert [one.obstacle for one in lived.reasons] == [Obstacle.NOT_DRAINED, Obstacle.GUEST_LOST]

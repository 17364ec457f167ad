"""Lives longer than the window: nothing is lost, whoever is slow; what is lost is never clean."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from freeonce.audit.model import Account, Verdict
from freeonce.errors import EvidenceError, Obstacle
from freeonce.evidence.ledger import Header
from freeonce.guest import Guest, clone, template_of
from freeonce.guest.drain import Drain
from freeonce.machine.argv import MIB, Window
from freeonce.run import life
from freeonce.run.prepare import Wish, prepare
from freeonce.subject.build import build
from tests.guest.lives import TESTS, Lived, Place, check_whole, headers_of, lead, made_once, shared

PAIRS = 30_000
"""Three records each, of which a window here holds 16,320."""
LOOKS = 20
"""In a row, without a new record: whoever writes them waits."""
SMALL = Window(128 * MIB, MIB)
FAULTS = [
    {"rule": "leak", "family": "slab", "function": "leak_at_the_begin"},
    {"rule": "double-free", "family": "slab", "function": "double_free_in_the_middle"},
    {"rule": "leak", "family": "slab", "function": "leak_at_the_end"},
]


@pytest.fixture(scope="session")
def small(place: Place) -> Iterator[Place]:
    """Where lives are led in a window that is soon full."""
    setting = replace(place[0], window=SMALL)
    with template_of(setting) as source:
        yield setting, source


@pytest.fixture(scope="session")
def module(place: Place, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    def make(into: Path) -> None:
        build(TESTS / "length", headers_of(place[0]), into)

    base = shared(tmp_path_factory.getbasetemp(), worker_id)
    return made_once(base, "length", make) / "length" / "long_life.ko"


def led(small: Place, module: Path, parameters: str) -> Lived:
    return lead(*small, Wish(targets=(str(module),), parameters=parameters))


def records(lived: Lived) -> int:
    return len(lived.life.result.evidence.records)


def test_a_life_longer_than_its_window_is_clean(small: Place, module: Path) -> None:
    lived = led(small, module, f"pairs={PAIRS}")
    check_whole(lived, [])
    assert records(lived) > 3 * PAIRS
    assert lived.life.result.judgement.allocations == PAIRS


@pytest.mark.long
def test_its_faults_at_begin_middle_and_end_are_found(small: Place, module: Path) -> None:
    check_whole(led(small, module, f"pairs={PAIRS} faulty=1"), FAULTS)


def test_a_host_that_stops_reading_makes_the_guest_wait(
    small: Place, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capacity = (SMALL.size - 4096) // 64
    take, filled = Drain.take, [0] * LOOKS

    def stands_still() -> bool:
        return filled[-1] >= capacity * 3 // 4 and len(set(filled[-LOOKS:])) == 1

    def slow(self: Drain) -> None:
        if stands_still():
            return take(self)
        filled.append(self._guest.header().appended)
        return None

    monkeypatch.setattr(Drain, "take", slow)
    lived = led(small, module, f"pairs={PAIRS}")
    assert stands_still(), filled
    assert filled[-1] < capacity, "it did not wait"
    check_whole(lived, [])
    assert lived.life.result.judgement.allocations == PAIRS


@pytest.mark.long
def test_who_waits_in_vain_goes_on_and_the_life_is_incomplete(
    small: Place, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Drain, "take", lambda _: None)
    prepared = life.prepare_guest

    def impatient(guest: Guest, plan: life.Plan) -> object:
        guest.command("echo 300 >/sys/module/freeonce/parameters/room_patience_ms")
        return prepared(guest, plan)

    monkeypatch.setattr(life, "prepare_guest", impatient)
    lived = led(small, module, f"pairs={PAIRS}")
    assert lived.life.result.judgement.verdict is Verdict.INCOMPLETE
    assert Obstacle.NOT_DRAINED in [one.obstacle for one in lived.life.reasons], lived.told


def test_a_host_that_takes_no_more_says_so_and_nobody_waits_or_is_accused(
    small: Place, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Drain, header: Header) -> bool:
        if header.appended - self.first < header.capacity // 2:
            return False
        raise EvidenceError("planted")

    monkeypatch.setattr(Drain, "_take", fail)
    lived = led(small, module, f"pairs={PAIRS}")
    assert lived.life.result.judgement.verdict is Verdict.INCOMPLETE
    assert {one.obstacle for one in lived.life.reasons} == {Obstacle.NOT_DRAINED}, lived.told
    assert "planted" in lived.life.reasons[0].message


@pytest.mark.long
def test_who_may_not_sleep_does_not_wait_and_what_is_lost_is_never_clean(
    small: Place, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Drain, "take", lambda _: None)
    lived = led(small, module, f"pairs={PAIRS} atomic=1")
    assert lived.life.result.judgement.verdict is Verdict.INCOMPLETE
    assert any("full" in one for one in lived.life.result.judgement.reasons), lived.told


@pytest.mark.long
def test_what_the_guest_says_of_what_was_drained_must_be_what_was_read(
    small: Place, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Drain.take

    def misread(self: Drain) -> None:
        take(self)
        self._digest += 1

    monkeypatch.setattr(Drain, "take", misread)
    lived = led(small, module, f"pairs={PAIRS}")
    assert lived.life.result.judgement.verdict is Verdict.INCOMPLETE
    assert lived.life.result.evidence.account is Account.DISAGREE


@pytest.mark.long
def test_a_guest_that_dies_leaves_what_was_drained_and_what_stood_in_its_window(
    small: Place, module: Path
) -> None:
    setting, source = small
    with TemporaryDirectory() as scratch, clone(source, setting.image) as guest:
        wish = Wish(
            targets=(str(module),),
            parameters=f"pairs={PAIRS} faulty=1",
            commands=("echo c >/proc/sysrq-trigger",),
        )
        lived = life.live(guest, prepare(wish, setting.image, Path(scratch)).plan)
    assert Obstacle.GUEST_LOST in [one.obstacle for one in lived.reasons]
    assert len(lived.evidence.run.allocates) == PAIRS + 2

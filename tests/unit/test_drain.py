"""A ledger longer than its window: what the host takes while the guest runs, and believes of it."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from freeonce.audit.model import Verdict
from freeonce.audit.result import Evidence
from freeonce.deadline import PATIENCE_VARIABLE
from freeonce.errors import CommandFailed, EvidenceError, Obstacle
from freeonce.evidence.ledger import (
    RECORD,
    RECORD_BYTES,
    Blind,
    Header,
    Records,
    Type,
    digest,
    finished,
    parse_records,
    seal,
)
from freeonce.guest import drain as module
from freeonce.guest.drain import Drain, drain
from freeonce.guest.guest import Guest
from freeonce.run.conclude import conclude_life
from freeonce.run.life import Lived
from tests.unit.history import LIFE, Life, born

CAPACITY = 64
SUM = 1 << 64


def steps(first: int, count: int) -> Records:
    """Records as the guest would write them, each with its index in `serial`."""
    records = np.zeros(count, RECORD)
    records["sequence"] = np.arange(first + 1, first + count + 1)
    records["serial"] = np.arange(first, first + count)
    records["type"], records["witness"], records["run"] = Type.STEP, 1, 1
    return seal(records)


class Window:
    """A guest that writes a ledger into a small window, and a host's words to it."""

    def __init__(self) -> None:
        self.places = np.zeros(CAPACITY, RECORD)
        self.appended = 0
        self.asked: list[str] = []
        self.held = 0
        self.read = 0
        self.monitor = self

    @contextmanager
    def paused(self) -> Iterator[None]:
        self.held += 1
        yield

    def write(self, count: int) -> None:
        for record in steps(self.appended, count):
            self.places[self.appended % CAPACITY] = record
            self.appended += 1

    def header(self) -> Header:
        return Header(CAPACITY, self.appended, "", 0, 0)

    def records(self, first: int, count: int, capacity: int) -> bytes:
        self.read += count
        rolled = np.roll(self.places, -(first % capacity))
        return rolled[:count].tobytes()

    def ask(self, request: str) -> None:
        self.asked.append(request)

    def command(self, _: str) -> bytes:
        return self.said

    said = b""


@pytest.fixture
def window() -> Window:
    return Window()


@pytest.fixture
def drained(window: Window) -> Iterator[Drain]:
    with drain(cast(Guest, window), 0) as drained:
        yield drained


def indices(drained: Drain, *rest: Records) -> list[int]:
    found = drained.with_rest(*(parse_records(one.tobytes(), drained.next) for one in rest))
    return [int(one) for one in found.records["serial"]]


def test_a_ledger_of_many_laps_is_taken_whole(window: Window, drained: Drain) -> None:
    for count in (30, 64, 17, 60, 64, 64):
        window.write(count)
        drained.take()
    assert drained.next == window.appended == 299
    assert indices(drained, steps(299, 5)) == list(range(304))
    assert window.asked == ["drained 0", *(f"drained {n}" for n in (30, 94, 111, 171, 235, 299))]


def test_what_is_little_is_left_where_it_is(window: Window, drained: Drain) -> None:
    window.write(CAPACITY // module.SHARE - 1)
    drained.take()
    assert drained.next == 0
    assert window.asked == ["drained 0"]


def test_a_record_that_is_being_written_is_taken_when_it_is_finished(
    window: Window, drained: Drain
) -> None:
    window.write(40)
    whole = window.places[20].copy()
    window.places[20]["size"] = 7
    drained.take()
    assert drained.next == 20
    window.places[20] = whole
    drained.take()
    assert drained.next == 40
    assert indices(drained, steps(40, 0)) == list(range(40))


def test_one_of_an_earlier_lap_is_not_taken_for_a_new_one(window: Window, drained: Drain) -> None:
    window.write(64)
    drained.take()
    window.write(20)
    window.appended += 20
    drained.take()
    assert drained.next == 84


def test_the_guest_stands_still_when_it_is_far_ahead(window: Window, drained: Drain) -> None:
    window.write(CAPACITY // 2)
    drained.take()
    assert window.held == 0
    window.write(CAPACITY // 2 + 1)
    drained.take()
    assert window.held == 1


@pytest.mark.parametrize("appended", [CAPACITY + 1, 1 << 40, (1 << 64) - 1])
def test_an_index_that_jumps_makes_the_host_read_no_more_than_a_window(
    window: Window, drained: Drain, appended: int
) -> None:
    window.write(CAPACITY)
    window.appended = appended
    for _ in range(5):
        window.read = 0
        drained.take()
        assert window.read <= CAPACITY
    assert drained.next == CAPACITY
    assert indices(drained, steps(CAPACITY, 0)) == list(range(CAPACITY))


def test_an_index_that_goes_back_ends_it(window: Window, drained: Drain) -> None:
    window.write(40)
    drained.take()
    window.appended = 39
    drained.take()
    assert "fewer records than it had" in drained.doubt
    window.write(60)
    drained.take()
    assert drained.next == 40


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("method", "error"),
    [("header", EvidenceError("no ledger")), ("ask", CommandFailed("it says no"))],
)
def test_what_does_not_answer_ends_it_with_a_reason(
    window: Window, drained: Drain, method: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.write(40)
    monkeypatch.setattr(window, method, raising(error))
    drained.take()
    assert str(error) in drained.doubt


def test_from_the_first_doubt_on_nobody_waits_for_it_and_nothing_is_read(
    window: Window, drained: Drain
) -> None:
    window.write(40)
    drained.take()
    window.appended = 39
    drained.take()
    assert window.asked[-1] == "drained stop"
    window.write(60)
    asked, read = list(window.asked), window.read
    drained.take()
    assert (window.asked, window.read) == (asked, read)


def test_a_record_that_is_never_finished_ends_it_in_bounded_time(
    window: Window, drained: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PATIENCE_VARIABLE, raising=False)
    clock: Any = SimpleNamespace(monotonic=lambda: clock.now, now=0.0)
    monkeypatch.setattr("freeonce.deadline.time", clock)
    window.write(40)
    window.places[3]["size"] = 7
    for clock.now in (0.0, 1.0, module.STALLED_SECONDS):
        drained.take()
        assert drained.doubt == ""
    clock.now += 2.0
    drained.take()
    assert "record 3 was never finished" in drained.doubt
    assert window.asked[-1] == "drained stop"


def test_a_life_that_is_too_long_ends_it(
    window: Window, drained: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_RECORDS", 100)
    for _ in range(5):
        window.write(40)
        drained.take()
    assert "more than the 100 records" in drained.doubt
    assert drained.next == 80


def test_a_full_disk_ends_it(
    window: Window, drained: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drained, "_write", raising(OSError(28, "No space left on device")))
    window.write(40)
    drained.take()
    assert "No space left on device" in drained.doubt
    assert window.asked[-1] == "drained stop"


def test_without_a_place_for_it_a_short_life_is_whole_and_a_long_one_is_told(
    window: Window, drained: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PLACE", "/nowhere")
    monkeypatch.setattr("tempfile.tempdir", "/nowhere/either")
    window.write(7)
    drained.take()
    assert drained.doubt == ""
    assert indices(drained, steps(0, 7)) == list(range(7))
    window.write(40)
    drained.take()
    assert "no room on disk for the ledger" in drained.doubt


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_does_not_fit_on_the_disk_at_the_end_is_kept_in_memory(
    window: Window, drained: Drain
) -> None:
    window.write(40)
    drained.take()
    with no_file_beyond(42 * RECORD_BYTES):
        assert indices(drained, steps(40, 20)) == list(range(60))
        assert indices(drained, steps(40, 24)) == list(range(64))
    assert drained.doubt == ""


def test_what_does_not_fit_on_the_disk_meanwhile_stays_in_the_window(
    window: Window, drained: Drain
) -> None:
    window.write(40)
    drained.take()
    window.write(40)
    with no_file_beyond(50 * RECORD_BYTES):
        drained.take()
        assert "no room on disk for the ledger" in drained.doubt
        assert drained.next == 40
        assert indices(drained, steps(40, 40)) == list(range(80))


def test_what_cannot_be_mapped_is_told(
    window: Window, drained: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.write(40)
    drained.take()
    monkeypatch.setattr(drained, "_mapped", raising(OSError(12, "Cannot allocate memory")))
    assert indices(drained, steps(40, 3)) == [40, 41, 42]
    assert "Cannot allocate memory" in drained.doubt


def test_what_is_damaged_among_it_is_counted_and_left_out(window: Window, drained: Drain) -> None:
    window.write(40)
    window.places["type"][10] = 99
    window.places[10:11] = seal(window.places[10:11])
    drained.take()
    found = drained.with_rest(parse_records(b"", 40))
    assert (found.damaged, found.torn, len(found.records)) == (1, 0, 39)


def test_the_guest_must_tell_the_same_of_it(window: Window, drained: Drain) -> None:
    assert drained.agrees()
    window.write(40)
    drained.take()
    right = sum(digest(window.places[i : i + 1].tobytes()) for i in range(40)) % SUM
    window.said = b"40 %016x\n" % right
    assert drained.agrees()
    for wrong in (b"", b"40 %016x\n" % (right ^ 1), b"39 %016x\n" % right):
        window.said = wrong
        assert not drained.agrees()


def test_the_records_outlive_the_file(window: Window) -> None:
    with drain(cast(Guest, window), 0) as drained:
        window.write(40)
        drained.take()
        found = drained.with_rest(parse_records(steps(40, 3).tobytes(), 40))
    assert list(found.records["serial"]) == list(range(43))


def test_finished_counts_up_to_the_first_that_is_not() -> None:
    data = bytearray(steps(7, 5).tobytes())
    assert finished(bytes(data), 7) == 5
    assert finished(bytes(data), 8) == 0
    data[3 * RECORD_BYTES + 20] ^= 1
    assert finished(bytes(data), 7) == 3
    assert finished(b"", 7) == 0


def test_who_waited_in_vain_makes_a_life_incomplete_by_a_reason_of_its_own() -> None:
    for detail, obstacles in ((Blind.ROOM, [Obstacle.NOT_DRAINED]), (Blind.STACKS, [])):
        life = born().add(Type.BLIND, detail=int(detail))
        assert isinstance(life, Life)
        records = life.dead().settle().records()
        lived = Lived(evidence=Evidence(records, life.memory(), asked=LIFE))
        found = conclude_life("x", (), lived, 1.0)
        assert [one.obstacle for one in found.reasons] == obstacles
        assert found.result.judgement.verdict is Verdict.INCOMPLETE

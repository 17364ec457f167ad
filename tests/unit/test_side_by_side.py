"""Guests that share the points of one sweep: each led once, and nobody outlives it."""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from typing import cast

import pytest

from freeonce.errors import GuestLost
from freeonce.machine.process import Process, announce
from freeonce.run.side_by_side import side_by_side
from freeonce.run.started import Started
from freeonce.run.supply import Supply

SECONDS = 30.0


class FakeProcess:
    """It is only ever killed."""

    def __init__(self) -> None:
        self.killed = threading.Event()

    def kill(self) -> None:
        self.killed.set()


def start() -> FakeProcess:
    process = FakeProcess()
    announce(cast(Process, process))
    return process


def test_a_qemu_that_starts_when_all_is_over_is_ended_at_once() -> None:
    started = Started()
    with started.noted():
        before = start()
        assert not before.killed.is_set()
        started.end()
        assert before.killed.is_set()
        assert start().killed.is_set()


def test_one_that_is_done_with_is_not_killed() -> None:
    started = Started()
    with started.noted():
        process = start()
    started.end()
    assert not process.killed.is_set()


def test_nobody_takes_more_than_a_share_and_what_comes_back_comes_next() -> None:
    supply = Supply(range(10), guests=3)
    assert supply.take(100) == [0, 1, 2, 3]
    assert supply.take(1) == [4]
    supply.done(2, [2, 3])
    assert supply.take(2) == [2, 3]
    assert [supply.take(9) for _ in range(4)] == [[5, 6], [7], [8], [9]]
    supply.done(8)
    assert supply.take(9) == []


def test_what_a_guest_has_when_it_ends_comes_back() -> None:
    supply = Supply(range(9))
    with suppress(GuestLost), supply.share() as mine:
        assert mine.has(4)
        mine.led([0, 2])
        assert mine.turns == [1, 3]
        assert mine.has(9)
        assert mine.turns == [1, 3]
        raise GuestLost("gone")
    assert supply.take(9) == [1, 3, *range(4, 9)]


def test_a_guest_that_finds_nothing_waits_for_what_another_may_give_back() -> None:
    supply = Supply(range(4), guests=2)
    has, waits, over = (threading.Event() for _ in range(3))

    def is_lost() -> Iterator[int]:
        with supply.share() as mine:
            assert mine.has(2)
            has.set()
            assert waits.wait(SECONDS)
            over.wait(0.2)
            raise GuestLost("gone")
        yield

    def leads() -> Iterator[int]:
        assert has.wait(SECONDS)
        with supply.share() as mine:
            while mine.has(1):
                yield from mine.turns
                led.extend(mine.turns)
                mine.led(mine.turns)
                if len(led) == 2:
                    waits.set()
        over.set()

    got: list[int] = []
    led: list[int] = []
    with pytest.raises(GuestLost, match="gone"):
        got.extend(side_by_side([is_lost, leads]))
    assert sorted(got) == list(range(4))


def from_supply(supply: Supply[int]) -> Callable[[], Iterator[int]]:
    def lead() -> Iterator[int]:
        with supply.share() as mine:
            while mine.has(5):
                yield mine.turns[0]
                mine.led(mine.turns[:1])
                mine.keep(0)

    return lead


@pytest.mark.parametrize("guests", [1, 2, 5])
def test_each_turn_is_led_once(guests: int) -> None:
    supply = Supply(range(1000), guests)
    assert sorted(side_by_side([from_supply(supply)] * guests)) == list(range(1000))


def test_they_do_not_wait_for_each_other() -> None:
    here = threading.Barrier(2, timeout=SECONDS)

    def lead() -> Iterator[int]:
        yield here.wait()

    assert sorted(side_by_side([lead, lead])) == [0, 1]


def failing(error: Exception) -> Callable[[], Iterator[int]]:
    def lead() -> Iterator[int]:
        raise error
        yield

    return lead


def test_a_guest_that_cannot_be_had_leaves_the_turns_to_the_others() -> None:
    got: list[int] = []
    stream = side_by_side([failing(GuestLost("no room")), lambda: iter(range(100))])
    with pytest.raises(GuestLost, match="no room"):
        got.extend(stream)
    assert got == list(range(100))


def test_a_fault_of_ours_ends_all_at_once_and_no_guest_outlives_it() -> None:
    there = threading.Event()
    processes: list[FakeProcess] = []

    def waits() -> Iterator[int]:
        processes.append(start())
        there.set()
        if not processes[0].killed.wait(SECONDS):
            yield 1
        raise GuestLost("killed")

    def fails() -> Iterator[int]:
        there.wait(SECONDS)
        raise AssertionError("of ours")
        yield

    with pytest.raises(AssertionError, match="of ours"):
        list(side_by_side([waits, fails]))
    assert processes[0].killed.is_set()


def test_who_stops_listening_ends_all() -> None:
    processes: list[FakeProcess] = []

    def waits() -> Iterator[int]:
        processes.append(start())
        yield 1
        processes[-1].killed.wait(SECONDS)
        raise GuestLost("killed")

    threads = threading.active_count()
    with closing(cast("Generator[int]", side_by_side([waits, waits]))) as stream:
        assert next(stream) == 1
    assert all(process.killed.is_set() for process in processes)
    assert threading.active_count() == threads


def test_one_that_waits_for_what_another_has_is_ended_too() -> None:
    supply = Supply(range(2), guests=2)
    has = threading.Event()
    processes: list[FakeProcess] = []

    def holds() -> Iterator[int]:
        with supply.share() as mine:
            assert mine.has(1)
            processes.append(start())
            has.set()
            processes[0].killed.wait(SECONDS)
            raise GuestLost("killed")
        yield

    def waits() -> Iterator[int]:
        assert has.wait(SECONDS)
        with supply.share() as mine:
            while mine.has(1):
                yield from mine.turns
                mine.led(mine.turns)

    threads = threading.active_count()
    with closing(cast("Generator[int]", side_by_side([holds, waits]))) as stream:
        assert next(stream) == 1
    assert processes[0].killed.is_set()
    assert threading.active_count() == threads

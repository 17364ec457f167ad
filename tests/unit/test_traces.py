"""The stacks of many runs, which several guests' threads number while a report is made."""

import threading
from collections.abc import Iterable
from typing import Any

import pytest

from freeonce.subject import traces
from freeonce.subject.traces import Stacks

SECONDS = 30.0


@pytest.fixture(autouse=True)
def runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is the one place of its only stack, which has number 1 in it."""
    monkeypatch.setattr(traces, "told", lambda run: run)
    monkeypatch.setattr(traces, "spots", lambda run, _: {1: (run,)})


def test_a_stack_that_is_numbered_while_lines_are_asked_for_is_in_the_next_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stacks: Any = Stacks(())

    def lines_of(places: Iterable[Any], _: Any) -> Any:
        stacks.numbers(later, [1])
        return {place: (place,) for place in places}

    monkeypatch.setattr(traces, "lines_of", lines_of)
    later = "later"
    numbers = stacks.numbers("first", [1])
    assert stacks.traces() == {numbers[1]: ("first",)}
    assert sorted(stacks.traces().values()) == [("first",), ("later",)]


class Slow:
    """A place at which one thread is held while it numbers a stack, until another has or cannot."""

    def __init__(self) -> None:
        self.there = threading.Event()
        self.other = threading.Event()

    def __hash__(self) -> int:
        self.there.set()
        self.other.wait(0.5)
        return 1


def test_two_threads_give_no_number_twice() -> None:
    stacks = Stacks(())
    slow: Any = Slow()
    quick: Any = "quick"
    found: list[int] = []

    def number() -> None:
        assert slow.there.wait(SECONDS)
        found.append(stacks.numbers(quick, [1])[1])
        slow.other.set()

    thread = threading.Thread(target=number)
    thread.start()
    found.append(stacks.numbers(slow, [1])[1])
    thread.join(SECONDS)
    assert sorted(found) == [Stacks.FIRST, Stacks.FIRST + 1]

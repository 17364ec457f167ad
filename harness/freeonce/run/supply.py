"""What is still to be done, by several at once."""

import threading
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Supply(Generic[T]):
    """Turns that are still to be led, by `guests` guests at once.

    Who takes some says of each that it was led, or gives it back (Share does).
    """

    def __init__(self, turns: Sequence[T], guests: int = 1) -> None:
        self._left = deque(turns)
        self._taken = 0
        self.guests = guests
        self._changed = threading.Condition()

    @contextmanager
    def share(self) -> Iterator["Share[T]"]:
        """A guest's. What it has at the end comes back."""
        mine = Share(self)
        try:
            yield mine
        finally:
            mine.keep(0)

    def take(self, most: int) -> list[T]:
        """At most so many, and no more than a share of what is left; none when all were led.

        Waits while others have all that is left: they may give it back.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._left or not self._taken)
            share = -(-len(self._left) // self.guests)
            turns = [self._left.popleft() for _ in range(min(most, share))]
            self._taken += len(turns)
            return turns

    def done(self, led: int, back: Sequence[T] = ()) -> None:
        """So many were led. Those that come back were not, and come next."""
        with self._changed:
            self._left.extendleft(reversed(back))
            self._taken -= led + len(back)
            self._changed.notify_all()


class Share(Generic[T]):
    """What one guest has of a supply: `turns`, which it is to lead."""

    def __init__(self, supply: Supply[T]) -> None:
        self._supply = supply
        self.turns: list[T] = []

    def has(self, most: int) -> bool:
        """Whether there is something to lead: what is here, otherwise as `Supply.take`."""
        self.turns = self.turns or self._supply.take(most)
        return bool(self.turns)

    def led(self, turns: Collection[T]) -> None:
        """These of them are over."""
        before = len(self.turns)
        self.turns = [one for one in self.turns if one not in turns]
        self._supply.done(before - len(self.turns))

    def keep(self, most: int) -> None:
        """Only the first so many; the others are given back."""
        back, self.turns = self.turns[most:], self.turns[:most]
        self._supply.done(0, back)

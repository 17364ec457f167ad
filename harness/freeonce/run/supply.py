"""What is still to be done, by several at once."""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Supply(Generic[T]):
    """Turns that are still to be led, by `guests` guests at once."""

    def __init__(self, turns: Sequence[T], guests: int = 1) -> None:
        self._left = deque(turns)
        self.guests = guests
        self._changed = threading.Lock()

    def take(self, most: int) -> list[T]:
        """At most so many, and no more than a share of what is left."""
        with self._changed:
            share = -(-len(self._left) // self.guests)
            return [self._left.popleft() for _ in range(min(most, share))]

    def give_back(self, turns: Sequence[T]) -> None:
        """They were not led, and come next."""
        with self._changed:
            self._left.extendleft(reversed(turns))

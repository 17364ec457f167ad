"""One deadline, made once and passed down, so that nested waits share a budget."""

import time

from freeonce.errors import DeadlineExceeded


class Deadline:
    """A point in monotonic time, and what must be done by then."""

    def __init__(self, seconds: float, purpose: str) -> None:
        self.seconds = seconds
        self.purpose = purpose
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, more than 0. Raises DeadlineExceeded when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"{self.purpose} took more than {self.seconds:g} s")
        return left

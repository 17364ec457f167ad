"""One deadline, made once and passed down, so that nested waits share a budget."""

import math
import os
import time

from freeonce.errors import DeadlineExceeded, UsageError

PATIENCE_VARIABLE = "FREEONCE_PATIENCE"


def patience() -> float:
    """How many times as long as usual everything may take: $FREEONCE_PATIENCE, else 1.

    For a machine that is slower than usual by that factor, as an emulated one is.
    Raises UsageError when it is no number of at least 1.
    """
    text = os.environ.get(PATIENCE_VARIABLE) or "1"
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 1 <= factor < math.inf:
        raise UsageError(f"{PATIENCE_VARIABLE} is {text!r}; it must be a number of at least 1")
    return factor


class Deadline:
    """A point in monotonic time, and what must be done by then.

    `seconds`: on a machine of usual speed; it is more for one that needs patience.
    """

    def __init__(self, seconds: float, purpose: str) -> None:
        self._usual = seconds
        self.seconds = seconds * patience()
        self.purpose = purpose
        self._end = time.monotonic() + self.seconds

    def again(self) -> "Deadline":
        """As long a time for the same, from now on."""
        return Deadline(self._usual, self.purpose)

    @property
    def is_over(self) -> bool:
        """Whether that point is past."""
        return time.monotonic() >= self._end

    def left(self) -> float:
        """Seconds left, more than 0. Raises DeadlineExceeded when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"{self.purpose} took more than {self.seconds:g} s")
        return left

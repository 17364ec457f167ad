"""A signal's exception that Python could only report is raised again.

Where a signal comes in a destructor, or in a callback of a weak reference, its exception cannot
leave it (sys.unraisablehook): who asked us to end would be ignored.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SOON = 0.02
"""Seconds. Within the hook itself it would be lost as well."""


@contextmanager
def insisting() -> Iterator[None]:
    """In this block, for signals that raise KeyboardInterrupt or SystemExit in the main thread."""
    lost: list[BaseException] = []
    hook = sys.unraisablehook

    def report(unraisable: "UnraisableHookArgs") -> None:
        error = unraisable.exc_value
        if not isinstance(error, KeyboardInterrupt | SystemExit):
            hook(unraisable)
            return
        lost.append(error.with_traceback(None))
        signal.setitimer(signal.ITIMER_REAL, SOON)

    def again(_number: int, _frame: FrameType | None) -> None:
        if lost:
            raise lost.pop()

    before = signal.signal(signal.SIGALRM, again)
    sys.unraisablehook = report
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

"""A thread that ends with a block, however that ends."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from freeonce.deadline import Deadline

BEGIN_SECONDS = 5.0
"""In which a thread that was begun is at work."""


@contextmanager
def beside(work: Callable[[], None], end: Callable[[], None]) -> Iterator[None]:
    """Do some work in a thread. When the block ends `end` stops it, and it is waited for: what it
    uses may go then. So, too, when a signal ends us while it begins.
    """
    begun = threading.Event()

    def led() -> None:
        begun.set()
        work()

    # A daemon: an error that ends us must not wait for it.
    thread = threading.Thread(target=led, daemon=True)
    try:
        thread.start()
        yield
    finally:
        # What was broken off in start() may begin yet, or never.
        if begun.wait(Deadline(BEGIN_SECONDS, "a thread's begin").left()):
            end()
            thread.join()

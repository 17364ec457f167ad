"""What is begun while a signal may end us: all of it is there, or nothing."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


@contextmanager
def unparted() -> Iterator[None]:
    """Signals that end us come when the block is over."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def beside(work: Callable[[], None], end: Callable[[], None]) -> Iterator[None]:
    """Do some work in a thread. When the block ends, however it does, `end` stops it, and it is
    waited for: what it uses may go then.
    """
    # A daemon: an error that ends us must not wait for it.
    thread = threading.Thread(target=work, daemon=True)
    try:
        # A signal in the middle would leave a thread that nobody knows.
        with unparted():
            thread.start()
        yield
    finally:
        if thread.ident is not None:
            end()
            thread.join()

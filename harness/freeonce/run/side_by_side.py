"""Several generators at once, each in a thread of its own."""

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

from freeonce.errors import FreeonceError
from freeonce.run.started import Started

SLICE_SECONDS = 0.1

T = TypeVar("T")


def side_by_side(many: Sequence[Callable[[], Iterator[T]]]) -> Iterator[T]:
    """Yields what they yield, in whatever order. A single one runs in the caller's own thread.

    A FreeonceError ends only the one that raises it, and is raised when all are over; anything
    else at once. When we are ended, the guests of those still running are killed, and they are
    waited for.
    """
    if len(many) == 1:
        yield from many[0]()
        return
    # Not a Queue: a signal that ends us while we ask one may leave its lock taken.
    given: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()
    started, over = Started(), threading.Event()

    def lead(one: Callable[[], Iterator[T]]) -> None:
        try:
            with started.noted():
                for item in one():
                    given.put((item,))
                    if over.is_set():
                        return
        except BaseException as error:
            given.put(error)
        finally:
            given.put(None)

    threads = [threading.Thread(target=lead, args=(one,)) for one in many]
    try:
        for thread in threads:
            thread.start()
        yield from _given(given, len(threads))
    finally:
        over.set()
        started.end()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def _given(given: "SimpleQueue[tuple[T] | BaseException | None]", running: int) -> Iterator[T]:
    failed: FreeonceError | None = None
    while running:
        try:
            # In slices: Python sees a signal that comes just before a wait only after it.
            item = given.get(timeout=SLICE_SECONDS)
        except Empty:
            continue
        match item:
            case None:
                running -= 1
            case FreeonceError():
                failed = failed or item
            case BaseException():
                raise item
            case (one,):
                yield one
    if failed is not None:
        raise failed

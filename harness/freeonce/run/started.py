"""QEMU processes that must not outlive what is done with them, whichever thread started them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from freeonce.machine.process import Process, observed


class Started:
    """Those that run."""

    def __init__(self) -> None:
        self._live: set[Process] = set()
        self._over = False
        self._changed = threading.Lock()

    def end(self) -> None:
        """Kill them, and whoever is started from now on. Their owners still stop them."""
        with self._changed:
            self._over = True
            for process in self._live:
                process.kill()

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Each QEMU that this thread starts in the block is one of them, from its start on."""
        mine: list[Process] = []

        def note(process: Process) -> None:
            with self._changed:
                mine.append(process)
                self._live.add(process)
                over = self._over
            if over:
                process.kill()

        try:
            with observed(note):
                yield
        finally:
            with self._changed:
                self._live.difference_update(mine)

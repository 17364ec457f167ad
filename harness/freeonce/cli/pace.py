"""Reports written while the work goes on: now and then, so that who is killed leaves them."""

import time
from collections.abc import Callable

from freeonce.cli.output import STDOUT
from freeonce.cli.outputs import Files, Report, write_reports

EVERY_SECONDS = 30.0
SHARE = 20
"""Writing takes no more than one of so many parts of the time."""


class Pace:
    """When reports are written again. `first`: seconds until they are for the first time.

    `every`: seconds from one time to the next at least; None: EVERY_SECONDS.
    """

    def __init__(self, first: float = 0.0, every: float | None = None) -> None:
        self._next = time.monotonic() + first
        self._every = every

    def keep(self, files: Files, report: Callable[[], Report]) -> None:
        """Write them if it is time. What cannot be written is told at the end."""
        start = time.monotonic()
        on_disk = {name: file for name, file in files.items() if file != STDOUT}
        if start < self._next or not on_disk:
            return
        for _ in write_reports(on_disk, report()):
            pass
        took = time.monotonic() - start
        every = EVERY_SECONDS if self._every is None else self._every
        self._next = start + took + max(every, SHARE * took)

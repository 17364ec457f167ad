"""Which workers refuse their tasks the same way again and again. Pure."""

from collections import Counter, defaultdict

TIMES = 3
"""So often in a row for one reason, and a worker is taken out."""
TRIES = 3
"""So many workers may refuse a task, each for a reason of its own, before it is given up."""


class Trust:
    """By worker: the refusals since it did something; by task: how often it was refused."""

    def __init__(self) -> None:
        self._refusals: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._tries: Counter[str] = Counter()

    def did(self, worker: str) -> None:
        """A worker gave a result."""
        self._refusals.pop(worker, None)

    def refused(self, worker: str, reason: str) -> bool:
        """A worker could not even begin. Whether it is to be taken out: true once."""
        self._refusals[worker][reason] += 1
        return self._refusals[worker][reason] == TIMES

    def again(self, task: str) -> bool:
        """Whether a task that a worker refused may go to another."""
        self._tries[task] += 1
        return self._tries[task] < TRIES

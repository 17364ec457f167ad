"""Which workers refuse their tasks the same way again and again. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable

TIMES = 3
"""So often in a row for one reason, and a worker is taken out."""
TRIES = 3
"""So many workers may refuse a task before it is given up."""


class Trust:
    """By worker: the refusals since it did something; by task: who refused it."""

    def __init__(self) -> None:
        self._refusals: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._refusers: defaultdict[str, set[str]] = defaultdict(set)

    def did(self, worker: str) -> None:
        """A worker gave a result."""
        self._refusals.pop(worker, None)

    def refused(self, worker: str, reason: str) -> bool:
        """A worker could not even begin, for a reason in a word. Whether it is to be taken out:
        true once.
        """
        self._refusals[worker][reason] += 1
        return self._refusals[worker][reason] == TIMES

    def again(self, task: str, worker: str) -> bool:
        """Whether a task that a worker refused may go to another."""
        self._refusers[task].add(worker)
        return len(self._refusers[task]) < TRIES

    def others(self, task: str, workers: Iterable[str]) -> set[str]:
        """Of these those that did not refuse it."""
        return set(workers) - self._refusers.get(task, set())

"""Which workers refuse their tasks the same way again and again. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from freeonce.campaign.outcome import Outcome
from freeonce.errors import HostError

TIMES = 3
"""So often in a row for one reason, and a worker is taken out."""
AT_ONCE = "harness"
"""The reason for which it is the first time: each task would meet it."""
PACKAGE = "package"
"""The reason of a worker whose kernel package is another."""
QEMU = "qemu"
"""That of one whose QEMU is of another version."""
DIFFERENCES = (AT_ONCE, PACKAGE, QEMU)
"""Reasons that are as much the campaign's as the worker's."""
OF_THE_TASK = "differs"
"""The reason for which a worker is none the worse: it has not what this task was made of."""
TRIES = 3
"""So often a task is tried that came to nothing for want of something of a worker's."""
DEATHS = 3
"""After so many dead workers a task is held to have killed them."""


class Trust:
    """By worker: the refusals since it did something; by task: who refused it, and how often."""

    def __init__(self) -> None:
        self._refusals: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._refusers: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def did(self, worker: str) -> None:
        """A worker gave a result."""
        self._refusals.pop(worker, None)

    def refused(self, worker: str, reason: str) -> bool:
        """A worker could not even begin, for a reason in a word. Whether it is to be taken out:
        true once.
        """
        if reason == OF_THE_TASK:
            return False
        self._refusals[worker][reason] += 1
        return self._refusals[worker][reason] == (1 if reason == AT_ONCE else TIMES)

    def again(self, task: str, worker: str) -> bool:
        """Whether a task that came to nothing on a worker may be tried again."""
        self._refusers[task][worker] += 1
        return self._refusers[task].total() < TRIES

    def others(self, task: str, workers: Iterable[str]) -> set[str]:
        """Of these those that did not refuse it."""
        return set(workers) - self._refusers[task].keys()


def why_out(outcome: Outcome) -> str:
    """Why a worker is taken out, whose last answer this was."""
    times = f"it refused {TIMES} tasks in a row" if outcome.reason != AT_ONCE else "it differs"
    return f"{times}: {outcome.refused}"


def nobody_left(outcome: Outcome) -> HostError:
    """The last worker was taken out. `outcome`: its last answer."""
    message = f"no worker is left; the last, {outcome.worker}: {why_out(outcome)}"
    return HostError("workers", f"{message}; the same command continues")

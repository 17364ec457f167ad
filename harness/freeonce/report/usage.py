"""How much of each family a run had over its time, as so many slices of it. Pure.

However long a run is, its slices are as many, and none hides how high it went within one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from freeonce.audit.rules import KIND_NAMES
from freeonce.audit.run import NONE, Run
from freeonce.evidence.ledger import Kind, Records

Numbers = npt.NDArray[np.int64]

LARGEST = 1 << 36
"""Bytes that one allocation counts for at most: the guest says how large it is, and may lie."""


@dataclass(frozen=True)
class Usage:
    """Of one family: in each slice of time the most bytes, and allocations, that were live."""

    family: str
    size: tuple[int, ...]
    live: tuple[int, ...]


def usage(run: Run, inside: Records, slices: int) -> tuple[Usage, ...]:
    """Of each family that had any; who had most comes first.

    `inside`: the records of the run's time, in order.
    """
    if not len(inside) or not len(run.allocates):
        return ()
    when = _Slices(inside, slices)
    back = _gone(run)
    found = []
    for kind in np.unique(run.allocates["kind"]).tolist():
        mine = np.flatnonzero(run.allocates["kind"] == kind)
        made, gone = run.allocates["sequence"][mine].astype(np.int64), back[mine]
        sizes = np.minimum(run.allocates["size"][mine], LARGEST).astype(np.int64)
        size = when.most(made, gone, sizes)
        live = when.most(made, gone, np.ones_like(sizes))
        found.append(Usage(KIND_NAMES[Kind(kind)], tuple(size.tolist()), tuple(live.tolist())))
    return tuple(sorted(found, key=lambda one: (-max(one.size), one.family)))


def _gone(run: Run) -> Numbers:
    """The sequence at which each allocation went, by its owner or by the kernel; NONE: never."""
    own = np.full(len(run.allocates), NONE, dtype=np.int64)
    mine = run.first_at != NONE
    own[mine] = run.releases["sequence"][run.first_at[mine]]
    taken = run.taken_from != NONE
    taken &= own == NONE
    own[taken] = run.taken["sequence"][run.taken_from[taken]]
    return own


class _Slices:
    """A run's time in slices of the same length, each known by the sequence that it begins at."""

    def __init__(self, inside: Records, count: int) -> None:
        # The guest says when, and may say nonsense: in the order of its records it never goes back.
        times = np.maximum.accumulate(inside["time"])
        first, span = int(times[0]), max(int(times[-1]) - int(times[0]), 1)
        bounds = [first - (-span * at // count) for at in range(1, count)]
        begins = np.searchsorted(times, np.array(bounds, np.uint64))
        within = np.minimum(begins, len(times) - 1)
        # A slice that nothing is in begins behind everything.
        never = begins > within
        self._begins = inside["sequence"][within].astype(np.int64) + never
        self._count = count

    def most(self, made: Numbers, gone: Numbers, sizes: Numbers) -> Numbers:
        """The most in each slice; what was there when it began counts too."""
        left = gone != NONE
        sequences = np.concatenate([made, gone[left]])
        order = np.argsort(sequences, kind="stable")
        sums = np.cumsum(np.concatenate([sizes, -sizes[left]])[order])
        of = np.searchsorted(self._begins, sequences[order], side="right")
        starts = np.flatnonzero(np.diff(of, prepend=-1))
        highest = np.zeros(self._count, np.int64)
        highest[of[starts]] = np.maximum.reduceat(sums, starts)
        # What stands at the end of a slice is there when the next one begins.
        ends = np.full(self._count, -1, np.int64)
        ends[of[starts]] = np.append(starts[1:], len(sums)) - 1
        last = np.concatenate([[-1], np.maximum.accumulate(ends)[:-1]])
        before = np.where(last >= 0, sums[last], 0)
        most: Numbers = np.maximum(highest, before)
        return most

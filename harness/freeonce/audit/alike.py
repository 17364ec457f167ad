"""Violations that are alike are told once, counted: of 10^6 there is not an object each. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from freeonce.audit.model import Finding
from freeonce.audit.run import NONE, Indices, Mask, Run
from freeonce.evidence.ledger import within


@dataclass(frozen=True)
class Apart:
    """What is told by itself, since something else speaks of it.

    `pointers`: addresses about which accounts differ; `serials`: of allocations that another
    witness names.
    """

    pointers: frozenset[int] = frozenset()
    serials: frozenset[int] = frozenset()

    def of(self, about: "About") -> Mask:
        """Which of these that is."""
        apart: Mask = within(about.pointers, _array(self.pointers))
        apart |= within(about.serials, _array(self.serials))
        return apart


NOBODY = Apart()


def _array(numbers: frozenset[int]) -> npt.NDArray[np.uint64]:
    return np.fromiter(numbers, dtype=np.uint64, count=len(numbers))


@dataclass(frozen=True)
class About:
    """Of each violation: the address, and the allocation's serial and size in bytes, or 0."""

    pointers: npt.NDArray[np.uint64]
    serials: npt.NDArray[np.uint32]
    sizes: npt.NDArray[np.uint64]


def of_allocates(run: Run, indices: Indices) -> About:
    """Of allocations, by their index."""
    columns = (run.allocates[name][indices] for name in ("pointer", "serial", "size"))
    return About(*columns)


def of_releases(run: Run, indices: Indices) -> About:
    """Of releases, by their index, and of what they released."""
    target = run.target[indices]
    there = np.flatnonzero(target != NONE)
    serials = np.zeros(len(indices), dtype=np.uint32)
    sizes = np.zeros(len(indices), dtype=np.uint64)
    serials[there] = run.allocates["serial"][target[there]]
    sizes[there] = run.allocates["size"][target[there]]
    return About(run.releases["pointer"][indices], serials, sizes)


def alike(
    run: Run,
    site: npt.NDArray[np.uint32],
    others: Sequence[npt.NDArray[np.generic]],
    about: About,
    apart: Apart,
) -> Iterator[tuple[int, int, int]]:
    """The first of each that have the same stack and are the same in `others`, in their order.

    Each by its place, with how many it stands for, and of how many bytes. Only in a life: a
    scenario says of each what it expects. Without a stack nothing says that two are of one place.
    """
    places = np.arange(len(site), dtype=np.intp)
    if not run.is_life or not len(site):
        yield from zip(places.tolist(), [1] * len(site), about.sizes.tolist(), strict=True)
        return
    alone = np.where((site == 0) | apart.of(about), places, NONE)
    columns = (site, *others, alone)
    order = np.lexsort(columns)
    differs = [column[order][1:] != column[order][:-1] for column in columns]
    starts = np.flatnonzero(np.concatenate(([True], np.any(differs, axis=0))))
    # The order is stable: the first of each is the earliest.
    counts = np.diff(np.append(starts, len(site)))
    totals = np.add.reduceat(about.sizes[order], starts)
    first = order[starts]
    again = np.argsort(first)
    yield from zip(*(one[again].tolist() for one in (first, counts, totals)), strict=True)


def counted(one: Finding, count: int, total: int) -> Finding:
    """That finding for so many, of so many bytes."""
    if count == 1:
        return one
    return replace(one, count=count, total=None if one.size is None else total)

"""The physical memory that a run's evidence speaks of: what was allocated where, and looked at.

Pure. Allocations lie far apart, so the map is cut into stretches of whole pages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from freeonce.evidence.ledger import GUARD_BYTES
from freeonce.evidence.snapshot import Extent, Snapshot
from freeonce.report.lifetimes import Bar

PAGE = 4096
STRETCHES = 64
"""More of them nobody reads."""


@dataclass(frozen=True)
class Stretch:
    """Pages without a gap. `looked`: what the host read of it. `serials`: the allocations in it.

    `gpa` and `size` in bytes, multiples of a page.
    """

    gpa: int
    size: int
    looked: tuple[Extent, ...]
    serials: tuple[int, ...]


@dataclass(frozen=True)
class Map:
    """The stretches by address, how many are left out, and all that the host read in bytes."""

    stretches: tuple[Stretch, ...]
    left_out: int
    read: int


def memory_map(bars: Sequence[Bar], snapshot: Snapshot | None) -> Map:
    """The map of those allocations that lie in one piece. `snapshot`: None: nobody could look."""
    read = snapshot.extents if snapshot else ()
    groups = _together([bar for bar in bars if bar.in_one_piece])
    stretches = [_stretch(group, read) for group in groups[:STRETCHES]]
    return Map(tuple(stretches), len(groups) - len(stretches), sum(one.size for one in read))


def _pages(bar: Bar) -> tuple[int, int]:
    """First gpa and the gpa behind the last page that an allocation and its guard touch."""
    end = bar.physical + bar.size + GUARD_BYTES
    return bar.physical // PAGE * PAGE, -(-end // PAGE) * PAGE


def _together(bars: Sequence[Bar]) -> list[list[Bar]]:
    """Allocations by address, those on the same or the next page in one list."""
    groups: list[list[Bar]] = []
    end = -1
    for bar in sorted(bars, key=lambda one: (one.physical, one.serial)):
        first, behind = _pages(bar)
        if first > end:
            groups.append([])
        groups[-1].append(bar)
        end = max(end, behind)
    return groups


def _stretch(group: Sequence[Bar], read: Sequence[Extent]) -> Stretch:
    start = min(_pages(bar)[0] for bar in group)
    end = max(_pages(bar)[1] for bar in group)
    looked = (
        Extent(max(one.gpa, start), min(one.end, end) - max(one.gpa, start))
        for one in read
        if one.gpa < end and one.end > start
    )
    return Stretch(start, end - start, tuple(looked), tuple(bar.serial for bar in group))

"""Guest-physical memory as the host read it: which bytes, merged into few reads. Pure."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

MERGE_GAP = 64 << 10
"""Bytes between two extents up to which one read is cheaper than two."""


@dataclass(frozen=True, order=True)
class Extent:
    """A range of guest-physical memory, in bytes."""

    gpa: int
    size: int

    @property
    def end(self) -> int:
        """The first gpa behind it."""
        return self.gpa + self.size


def merge(extents: Iterable[Extent]) -> list[Extent]:
    """Few extents that cover these, in order. Those close together become one."""
    merged: list[Extent] = []
    for extent in sorted(extents):
        if merged and extent.gpa <= merged[-1].end + MERGE_GAP:
            last = merged.pop()
            extent = Extent(last.gpa, max(last.end, extent.end) - last.gpa)  # noqa: PLW2901
        merged.append(extent)
    return merged


class Snapshot:
    """Bytes read while the guest stood still."""

    def __init__(self, parts: Iterable[tuple[int, bytes]] = ()) -> None:
        self._parts = sorted(parts)
        self._starts = [gpa for gpa, _ in self._parts]

    @property
    def extents(self) -> tuple[Extent, ...]:
        """What was read, in order."""
        return tuple(Extent(gpa, len(data)) for gpa, data in self._parts)

    def read(self, gpa: int, size: int) -> bytes | None:
        """These bytes; None when they were not read."""
        index = bisect_right(self._starts, gpa) - 1
        if index < 0:
            return None
        start, data = self._parts[index]
        found = data[gpa - start : gpa - start + size]
        return found if len(found) == size else None

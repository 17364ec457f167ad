"""Which memory is whose when, by guest-physical address. Pure, and near-linear."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from freeonce.audit.families import of_subjects
from freeonce.audit.run import NONE, Run
from freeonce.evidence.ledger import Flag, Kind, Records, Type

PAGE = 4096
MOST = 1 << 52
"""Bytes that have an address (5.3)."""

FOREVER = 1 << 32
"""Behind every sequence number."""

Question = tuple[int, int, int]
"""A moment, a gpa and a size."""


class Lives:
    """The allocations of a run that a CPU may be given, and where each lies.

    In a life of every family; in a scenario of pool and contiguous memory: of no other does the
    instrument keep a release back there.
    Of vmalloc's memory the ledger tells where the first page lies: `scattered` has those that go
    on elsewhere. Addresses come back: of a subject's memory when the kernel has it again, of the
    pools' with act=real.
    """

    def __init__(self, run: Run) -> None:
        places, sizes = _extents(run.allocates)
        if not run.is_life:
            sizes[of_subjects(run.allocates["kind"])] = 0
        known = np.flatnonzero(sizes > 0)
        chosen = known[np.argsort(places[known], kind="stable")]
        self._allocates = run.allocates[chosen]
        self._starts: list[int] = places[chosen].tolist()
        self._sizes: list[int] = sizes[chosen].tolist()
        self._place = {int(one): at for at, one in enumerate(self._allocates["sequence"])}
        self.scattered = bool(np.any(sizes[known] < run.allocates["size"][known]))
        self._release: dict[int, np.void] = {}
        for index in np.flatnonzero(run.first):
            sequence = int(run.allocates["sequence"][run.target[index]])
            self._release[sequence] = run.releases[index]
        self._back = _given_back(run)
        for index in np.flatnonzero(run.taken_from != NONE):
            sequence, record = (
                int(run.allocates["sequence"][index]),
                run.taken[run.taken_from[index]],
            )
            own = self._release.get(sequence)
            if own is None or record["sequence"] < own["sequence"]:
                self._release[sequence] = record

    def extent(self, allocate: np.void) -> tuple[int, int]:
        """Its gpa and how many bytes lie there."""
        place = self._place[int(allocate["sequence"])]
        return self._starts[place], self._sizes[place]

    def released(self) -> Iterator[tuple[np.void, np.void]]:
        """Each first release and its allocation."""
        for allocate in self._allocates:
            release = self._release.get(int(allocate["sequence"]))
            if release is not None:
                yield release, allocate

    def release(self, allocate: np.void) -> np.void | None:
        """Its first one."""
        return self._release.get(int(allocate["sequence"]))

    def end(self, allocate: np.void) -> int:
        """The sequence of its first release, or FOREVER."""
        release = self.release(allocate)
        return FOREVER if release is None else int(release["sequence"])

    def keeps(self, moment: int, allocate: np.void) -> bool:
        """Whether the instrument has it still: released, and nobody else's since."""
        release = self.release(allocate)
        if release is None or not int(release["flags"]) & Flag.KEPT:
            return False
        back = self._back.get(int(allocate["serial"]), FOREVER)
        return int(release["sequence"]) < moment < back

    def around(self, gpa: int, size: int) -> np.void | None:
        """The first allocation, whenever it was, that shares bytes with these."""
        place = bisect_right(self._starts, gpa)
        if place and gpa < self._end(place - 1):
            place -= 1
        elif place == len(self._starts) or self._starts[place] >= gpa + size:
            return None
        found: np.void = self._allocates[place]
        return found

    def at(self, questions: list[Question]) -> list[np.void | None]:
        """For each, by rising moments, the first allocation that shares bytes with these.

        Of those that were before the moment, released ones too until another lies there.
        """
        order = np.argsort(self._allocates["sequence"], kind="stable").tolist()
        sequences = self._allocates["sequence"][order].tolist()
        latest, done = _Marked(len(order)), 0
        found: list[np.void | None] = []
        for moment, gpa, size in questions:
            upto = max(done, bisect_left(sequences, moment))
            for place in order[done:upto]:
                self._supersede(latest, place)
            done = upto
            place = self._first(latest, gpa, gpa + size)
            found.append(None if place is None else self._allocates[place])
        return found

    def holds(self, moment: int, allocate: np.void | None, gpa: int, size: int) -> bool:
        """Whether all these bytes are of this allocation, and it is live."""
        if allocate is None or self.end(allocate) < moment:
            return False
        start, length = self.extent(allocate)
        return start <= gpa and gpa + size <= start + length

    def _end(self, place: int) -> int:
        return self._starts[place] + self._sizes[place]

    def _first(self, latest: "_Marked", start: int, end: int) -> int | None:
        """None of the latest share bytes with each other: only one may begin before."""
        after = bisect_right(self._starts, start)
        before = latest.last_below(after)
        if before is not None and start < self._end(before):
            return before
        inside = latest.first_from(after)
        return inside if inside is not None and self._starts[inside] < end else None

    def _supersede(self, latest: "_Marked", place: int) -> None:
        """What lay there is over."""
        start, end = self._starts[place], self._end(place)
        while (other := self._first(latest, start, end)) is not None:
            latest.mark(other, on=False)
        latest.mark(place, on=True)


def _given_back(run: Run) -> dict[int, int]:
    """When the kernel had each serial's memory again, in fact."""
    reclaims = run.records[run.records["type"] == Type.RECLAIM]
    told = [
        (int(one["sequence"]), int(one["serial"])) for some in (reclaims, run.taken) for one in some
    ]
    return {serial: sequence for sequence, serial in sorted(told, reverse=True)}


def _extents(allocates: Records) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The gpa of each allocation and how many bytes lie there; 0: nobody knows."""
    kinds = allocates["kind"]
    places = allocates["physical"].astype(np.int64)
    sizes = np.minimum(allocates["size"], MOST).astype(np.int64)
    lies = ~of_subjects(kinds) | np.isin(kinds, (Kind.SLAB, Kind.PAGES))
    virtual = np.isin(kinds, (Kind.VMALLOC, Kind.KVMALLOC))
    objects = kinds == Kind.OBJECT
    if np.any(objects):
        told = allocates[lies]
        offset = int(told["pointer"][0]) - int(told["physical"][0]) if len(told) else None
        if offset is not None:
            places[objects] = (
                allocates["pointer"][objects] - np.uint64(offset % (1 << 64))
            ).astype(np.int64)
            lies |= objects
    # What kvmalloc() got of the slab allocator lies there as a whole; none tells which it was.
    in_page = PAGE - places % PAGE
    sizes = np.where(virtual, np.minimum(sizes, in_page), sizes)
    return places, np.where(lies | virtual, sizes, 0)


class _Marked:
    """Some of many places: a tree of whether any below is marked."""

    def __init__(self, places: int) -> None:
        self._leaves = 1
        while self._leaves < places:
            self._leaves *= 2
        self._any = [False] * (2 * self._leaves)

    def mark(self, place: int, *, on: bool) -> None:
        """Or take the mark away."""
        node = self._leaves + place
        self._any[node] = on
        while node > 1:
            node //= 2
            self._any[node] = self._any[2 * node] or self._any[2 * node + 1]

    def first_from(self, place: int) -> int | None:
        """The lowest marked place from there on."""
        if place >= self._leaves:
            return None
        node = self._leaves + place
        while not self._any[node]:
            while node % 2:
                node //= 2
            if not node:
                return None
            node += 1
        while node < self._leaves:
            node = 2 * node if self._any[2 * node] else 2 * node + 1
        return node - self._leaves

    def last_below(self, place: int) -> int | None:
        """The highest marked place below there."""
        if not place:
            return None
        node = self._leaves + place - 1
        while not self._any[node]:
            while not node % 2:
                node //= 2
            if node == 1:
                return None
            node -= 1
        while node < self._leaves:
            node = 2 * node + 1 if self._any[2 * node + 1] else 2 * node
        return node - self._leaves

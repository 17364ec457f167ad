"""The CPU as an owner: every address it was given, judged while it may use it. Pure.

Nothing here looks at all operands for each operand, whatever the guest wrote. Sections are
of the AMD manual, volume 2.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from freeonce.audit.held import Held
from freeonce.audit.model import Finding, Rule
from freeonce.audit.operands import FIELDS, FOREVER, MAPPED, Operand, operands
from freeonce.audit.rules import CACHE_NAMES, NONE, WRITE_BACK, Run, make_finding
from freeonce.evidence.ledger import Structure, Type

PAGE = 4096

Event = tuple[int, Callable[[], None]]
"""A sequence, and what happens there."""

SHAREABLE = {Structure.IOPM, Structure.MSRPM, Structure.VMSAVE}
"""The CPU only reads the maps; what VMSAVE writes may be bound to the same CPU."""


def judge_operands(run: Run) -> list[Finding]:
    """`hardware-use-after-free` and `misplaced` for what the CPU was given.

    At most one finding for an allocation and rule: its release, or else the first; where
    no allocation is, for an address.
    """
    given = [one for one in operands(run) if one.structure is not Structure.MORE]
    if not given:
        return []
    lives = _Lives(run)
    found = [*_used(run, given, lives), *_misplaced(run, given, lives)]
    releases = set(run.releases["sequence"].tolist())
    first: dict[tuple[Rule, int, int | None], Finding] = {}
    for finding in sorted(found, key=lambda one: (one.sequence not in releases, one.sequence)):
        key = (finding.rule, finding.serial, None if finding.serial else finding.gpa)
        first.setdefault(key, finding)
    return list(first.values())


def _used(run: Run, given: list[Operand], lives: "_Lives") -> Iterator[Finding]:
    limit = _limit(run)
    usable = [one for one in given if not one.identity and one.gpa + one.size <= limit]
    for one in usable:
        fault = lives.fault(one)
        if fault is not None:
            allocate, why = fault
            yield _finding(run, Rule.HARDWARE_USE_AFTER_FREE, one, allocate, why)
    yield from _released(run, usable, lives)


def _released(run: Run, given: list[Operand], lives: "_Lives") -> Iterator[Finding]:
    """Releases of what the CPU may use at that moment."""
    held = Held(given)
    found: list[Finding] = []

    def look(release: np.void, allocate: np.void) -> None:
        user = held.user(int(allocate["physical"]), int(allocate["size"]))
        if user is not None:
            why = f"released while the CPU may still use it as {_whose(user)}"
            found.append(make_finding(run, Rule.HARDWARE_USE_AFTER_FREE, release, allocate, why))

    looks: list[Event] = [
        (int(release["sequence"]), partial(look, release, allocate))
        for release, allocate in lives.released()
    ]
    _in_order(_openings(held, given) + looks)
    yield from found


def _openings(held: Held, given: list[Operand]) -> list[Event]:
    """Each operand opens, and most close; what counts for one instruction does neither."""
    events: list[Event] = []
    for one in given:
        if one.start < one.end:
            events.append((one.start, partial(held.open, one)))
            events.append((one.end, partial(held.close, one)))
    return events


def _in_order(events: list[Event]) -> None:
    for _, happen in sorted(events, key=lambda event: event[0]):
        happen()


def _whose(one: Operand) -> str:
    kind, number = one.owner
    name = f"L2 {number}" if kind == "vcpu" else f"CPU {number}"
    return f"{FIELDS[one.structure]} of {name}"


def _finding(run: Run, rule: Rule, one: Operand, allocate: np.void | None, why: str) -> Finding:
    detail = f"{FIELDS[one.structure]}: {why}"
    return make_finding(run, rule, one.record, allocate, detail, gpa=one.gpa)


class _Lives:
    """Which memory is allocated when, by guest-physical address."""

    def __init__(self, run: Run) -> None:
        self._allocates = run.allocates[np.argsort(run.allocates["physical"], kind="stable")]
        self._starts = [int(start) for start in self._allocates["physical"]]
        self._earliest = _Earliest([int(one) for one in self._allocates["sequence"]])
        self._release: dict[int, np.void] = {}
        for index in np.flatnonzero(run.first & (run.target != NONE)):
            sequence = int(run.allocates["sequence"][run.target[index]])
            self._release[sequence] = run.releases[index]

    def released(self) -> Iterator[tuple[np.void, np.void]]:
        """Each first release and its allocation."""
        for allocate in self._allocates:
            release = self._release.get(int(allocate["sequence"]))
            if release is not None:
                yield release, allocate

    def _places(self, gpa: int, size: int) -> tuple[int, int]:
        """From where to where the allocations lie that share bytes with these.

        Within a run none share with each other: only the first may begin before.
        """
        after = bisect_right(self._starts, gpa)
        last = bisect_left(self._starts, gpa + size)
        before = max(after - 1, 0)
        if before < len(self._starts):
            start = self._starts[before]
            if start < gpa + size and gpa < start + int(self._allocates["size"][before]):
                return before, max(last, before + 1)
        return after, max(last, after)

    def around(self, gpa: int, size: int) -> np.void | None:
        """The first allocation, whenever it was, that shares bytes with these."""
        first, last = self._places(gpa, size)
        return self._allocates[first] if first < last else None

    def fault(self, one: Operand) -> tuple[np.void | None, str] | None:
        """Why these bytes are not the L2's to use when they are given; None when they are.

        They lie in one allocation: behind each stands its guard, so none touch.
        """
        place = self._earliest.before(one.start, *self._places(one.gpa, one.size))
        if place is None:
            return None, f"{one.gpa:#x}, given to the CPU, is in no allocation"
        allocate = self._allocates[place]
        release = self._release.get(int(allocate["sequence"]))
        if release is not None and int(release["sequence"]) < one.start:
            return allocate, f"given to the CPU at {one.gpa:#x} after its release"
        before = int(allocate["physical"]) - one.gpa
        if before > 0:
            return allocate, f"begins {before} bytes before it"
        room = int(allocate["size"]) + before
        return None if one.size <= room else (allocate, f"needs {one.size} bytes of it, has {room}")


class _Earliest:
    """The first of some places where something came before a moment: a tree of least sequences."""

    def __init__(self, sequences: list[int]) -> None:
        self._leaves = 1
        while self._leaves < len(sequences):
            self._leaves *= 2
        self._least = [FOREVER] * self._leaves + sequences
        self._least += [FOREVER] * (2 * self._leaves - len(self._least))
        for node in range(self._leaves - 1, 0, -1):
            self._least[node] = min(self._least[2 * node], self._least[2 * node + 1])

    def before(self, moment: int, first: int, last: int) -> int | None:
        """The lowest place from `first` on, and below `last`, or None."""
        ahead = [(1, 0, self._leaves)]
        while ahead:
            node, low, high = ahead.pop()
            if high <= first or last <= low or self._least[node] >= moment:
                continue
            if high - low == 1:
                return low
            middle = (low + high) // 2
            ahead += [(2 * node + 1, middle, high), (2 * node, low, middle)]
        return None


def _limit(run: Run) -> int:
    """The first gpa that the CPU has no address bits for (15.5.1; CPUID Fn8000_0008_EAX)."""
    states = run.records[run.records["type"] == Type.CPU_STATE]
    bits = int(states["size"][0]) if len(states) else 52
    return 1 << min(bits, 64)


def _misplaced(run: Run, given: list[Operand], lives: "_Lives") -> Iterator[Finding]:
    limit = _limit(run)
    for one in given:
        broken = list(_broken(one, limit))
        if broken and not one.identity:
            allocate = lives.around(one.gpa, one.size)
            yield _finding(run, Rule.MISPLACED, one, allocate, "; ".join(broken))
    yield from _shared(run, given, lives)


def _broken(one: Operand, limit: int) -> Iterator[str]:
    if one.gpa + one.size > limit:
        yield f"{one.gpa:#x} is above the CPU's physical addresses, which end at {limit:#x}"
        return
    if one.gpa % PAGE:
        yield f"{one.gpa:#x} is not aligned to {PAGE}"
    # The L2's own pages may be of any type.
    if one.structure not in MAPPED and one.cache != WRITE_BACK:
        yield f"cache type {CACHE_NAMES.get(one.cache, 'unknown')}, must be WB"


def _shared(run: Run, given: list[Operand], lives: "_Lives") -> Iterator[Finding]:
    """What two L2s that can both be entered must not have in common.

    Permission maps may be shared, since the CPU only reads them, and tables and pages by
    vcpus of the same page table.
    """
    chosen = [one for one in given if not one.identity and one.structure not in SHAREABLE]
    held = Held(chosen)
    found: list[Finding] = []

    def look(one: Operand) -> None:
        other = held.against(one)
        if other is not None:
            allocate = lives.around(one.gpa, one.size)
            text = f"shared with {_whose(other)}"
            found.append(_finding(run, Rule.MISPLACED, one, allocate, text))

    # At the same moment, so before it opens, since the sort is stable.
    events: list[Event] = [(one.start, partial(look, one)) for one in chosen]
    _in_order(events + _openings(held, chosen))
    yield from found

"""The memory witness for foreign modules: guards of what they hold, poison in what they released.

The instrument keeps released memory for a while, full of poison. What it still keeps at the
end of the run, and the guards of what is still held, the host reads itself.
"""

from dataclasses import dataclass, replace

import numpy as np

from freeonce.audit.families import FAMILIES, of_subjects
from freeonce.audit.model import Finding, Rule
from freeonce.audit.rules import make_finding, released_site
from freeonce.audit.run import NONE, Dispute, Mask, Run, end_of
from freeonce.evidence.ledger import (
    GUARD_BYTES,
    GUARD_LIVE,
    POISON_RELEASED,
    Flag,
    Kind,
    Type,
    within,
)
from freeonce.evidence.snapshot import Extent, Snapshot

PAGE = 4096
TAG = b"free"
"""Where the guard has room for one; then the serial, then the pattern."""


@dataclass(frozen=True)
class Kept:
    """Bytes to look at. `index`: of the allocation; `guard`: whether they are its guard."""

    index: int
    gpa: int
    size: int
    guard: bool

    @property
    def extent(self) -> Extent:
        """Where they lie."""
        return Extent(self.gpa, self.size)


def to_look_at(run: Run, page_offset: int) -> list[Kept]:
    """Poison of what is kept at the end of the run, and guards of what is held then.

    `page_offset`: the gva at which the kernel maps all memory.
    """
    mine = of_subjects(run.allocates["kind"])
    found = []
    for index in np.flatnonzero(mine & _kept(run)):
        found += _poison(run.allocates[index], int(index), page_offset)
    for index in np.flatnonzero(mine & ~run.freed_before(end_of(run.records))):
        found += _guard(run.allocates[index], int(index), page_offset)
    return found


def _kept(run: Run) -> Mask:
    """Which allocations the instrument keeps at the end, full of poison."""
    kept = np.zeros(len(run.allocates), dtype=np.bool_)
    flagged = run.first & (run.releases["flags"] & Flag.KEPT != 0)
    kept[run.target[flagged]] = True
    kept[run.taken_from != NONE] = False
    back = (run.records["type"] == Type.RECLAIM) & (run.records["sequence"] < end_of(run.records))
    return kept & ~within(run.allocates["serial"], run.records["serial"][back])


def _gpa(allocate: np.void, page_offset: int) -> tuple[int, int]:
    """Where an allocation lies, and how many bytes from there on are known to.

    Memory of vmalloc is one page only: the next may lie anywhere.
    """
    kind, pointer = Kind(int(allocate["kind"])), int(allocate["pointer"])
    if FAMILIES[kind].mapped and page_offset:
        return pointer - page_offset, int(allocate["size"]) + _guard_bytes(allocate)
    if kind in (Kind.VMALLOC, Kind.KVMALLOC) and int(allocate["physical"]):
        return int(allocate["physical"]), PAGE - pointer % PAGE
    return 0, 0


def _poison(allocate: np.void, index: int, page_offset: int) -> list[Kept]:
    gpa, known = _gpa(allocate, page_offset)
    size = min(int(allocate["size"]), known)
    return [Kept(index, gpa, size, guard=False)] if size else []


def _guard_bytes(allocate: np.void) -> int:
    return int(allocate["detail"]) >> 16


def _guard(allocate: np.void, index: int, page_offset: int) -> list[Kept]:
    gpa, known = _gpa(allocate, page_offset)
    size, guard = int(allocate["size"]), _guard_bytes(allocate)
    inside = guard and size + guard <= known
    return [Kept(index, gpa + size, guard, guard=True)] if inside else []


def compare(
    run: Run, snapshot: Snapshot, looked_at: list[Kept], *, unread: int = 0
) -> tuple[list[Finding], list[Dispute]]:
    """Findings of `use-after-free` and `out-of-bounds`, and where memory is not to be had."""
    findings: list[Finding] = []
    disputes: list[Dispute] = []
    for one in looked_at:
        allocate = run.allocates[one.index]
        data = snapshot.read(one.gpa, one.size)
        if one.index in run.late:
            continue  # it may have been released before the memory was read, or while it was
        if data is None and unread:
            continue  # there was more than is looked at, which is a reason of its own
        if data is None:
            text = f"the ledger puts it at gpa {one.gpa:#x}, where no memory is"
            disputes.append(Dispute(allocate, text, "memory"))
            continue
        whole = _whole_guard(allocate, one.size) if one.guard else _POISON * one.size
        if data != whole:
            findings.append(_finding(run, one, data, whole))
    return findings, disputes


_POISON = bytes([POISON_RELEASED])


def _whole_guard(allocate: np.void, size: int) -> bytes:
    """The guard as the instrument writes it."""
    pattern = bytes([GUARD_LIVE]) * size
    if size < GUARD_BYTES:
        return pattern
    return TAG + int(allocate["serial"]).to_bytes(4, "little") + pattern[8:]


def _finding(run: Run, one: Kept, data: bytes, whole: bytes) -> Finding:
    allocate = run.allocates[one.index]
    wrong = np.flatnonzero(np.frombuffer(data, np.uint8) != np.frombuffer(whole, np.uint8))
    first = int(wrong[0])
    where = "behind its end" if one.guard else "after its release"
    stands = data[first : first + 8].hex(" ")
    detail = f"written at byte {first} {where} ({_many(len(wrong))}, from the first on: {stands})"
    rule = Rule.OUT_OF_BOUNDS if one.guard else Rule.USE_AFTER_FREE
    found = make_finding(run, rule, allocate, allocate, detail, witness="memory")
    return replace(found, released_site=released_site(run, one.index))


def _many(count: int) -> str:
    return "1 wrong byte" if count == 1 else f"{count} wrong bytes"

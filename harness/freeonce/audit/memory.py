"""The memory witness: what stands in physical memory, held against the owner's account.

Behind every allocation stands a guard that says whose it is and whether it is live or
released; released memory is full of poison until the run is settled.
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from freeonce.audit import quarantine, static
from freeonce.audit.families import of_subjects
from freeonce.audit.model import Finding, Rule
from freeonce.audit.rules import make_finding
from freeonce.audit.run import NONE, Dispute, Run
from freeonce.evidence.ledger import (
    GUARD,
    GUARD_BYTES,
    GUARD_LIVE,
    GUARD_RELEASED,
    PAGE_TAG,
    POISON_RELEASED,
    Flag,
    Kind,
    Type,
    bytes_of,
)
from freeonce.evidence.snapshot import Extent, Snapshot


@dataclass(frozen=True)
class Memory:
    """What the host read while the guest stood still, before the run was settled.

    `gpas`: by gva, from the guest's own page tables; None where nothing is mapped.
    `page_offset`: the gva at which the kernel maps all memory. `unread`: bytes that the
    ledger names beyond MOST_BYTES.
    """

    snapshot: Snapshot
    gpas: dict[int, int | None]
    page_offset: int = 0
    unread: int = 0


PAGE = 4096

MOST_STATIC = 4096
"""Pages of static memory that are looked up for one run."""

MOST_BYTES = 64 << 20
"""Of memory to read for one run, whatever its ledger says."""


@dataclass(frozen=True)
class Wanted:
    """What to read: memory with its guard, and the gvas to look up (first and last byte)."""

    extents: list[Extent]
    gvas: list[int]
    unread: int


def wanted(run: Run, page_offset: int) -> Wanted:
    """What the host must read before the run is settled. It is bounded; `unread` says by what."""
    extents, gvas = _of_pools(run)
    extents += [one.extent for one in quarantine.to_look_at(run, page_offset)]
    fits = bisect_right(list(accumulate(one.size for one in extents)), MOST_BYTES)
    unread = sum(one.size for one in extents[fits:])
    return Wanted(extents[:fits], gvas, unread)


def _of_pools(run: Run) -> tuple[list[Extent], list[int]]:
    extents, gvas = [], []
    chosen = np.flatnonzero(~of_subjects(run.allocates["kind"]))
    for allocate, gone in zip(run.allocates[chosen], _released(run)[chosen], strict=True):
        size = int(allocate["size"])
        gpa, gva = int(allocate["physical"]), int(allocate["pointer"])
        # Of live memory only the guard tells something.
        start = gpa if gone else gpa + size
        extents.append(Extent(start, gpa + size + GUARD_BYTES + _rest(allocate) - start))
        gvas += [gva, gva + size + GUARD_BYTES - 1]
    return extents, gvas + [int(one["pointer"]) for one in static.told(run)[:MOST_STATIC]]


def _rest(allocate: np.void) -> int:
    """Bytes behind the guard that are nobody's, to the end of the last page."""
    if allocate["kind"] != Kind.CONTIGUOUS:
        return 0
    return -(int(allocate["size"]) + GUARD_BYTES) % PAGE


def _released(run: Run) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which allocations the owner released by the right call: only those are poisoned."""
    released = np.zeros(len(run.allocates), dtype=np.bool_)
    kept = run.releases["flags"] & Flag.WITHHELD == 0
    released[run.target[(run.target != NONE) & run.first & kept]] = True
    return released


def compare(run: Run, memory: Memory) -> tuple[list[Finding], list[Dispute]]:
    """Findings of `use-after-free` and `out-of-bounds`, and where memory says otherwise."""
    looked_at = quarantine.to_look_at(run, memory.page_offset)
    findings, disputes = quarantine.compare(run, memory.snapshot, looked_at, unread=memory.unread)
    at_release, released = _guards_at_release(run), _released(run)
    for index in np.flatnonzero(~of_subjects(run.allocates["kind"])):
        allocate, gone = run.allocates[index], released[index]
        if run.real and run.released[index]:
            continue  # the kernel has it, right or not, and may have given it to somebody else
        if int(index) in run.past:
            continue  # the kernel has it
        if int(index) in run.late:
            continue  # it may have been released before the memory was read, or while it was
        doubt = _unlike(allocate, bool(gone), memory) or _untaken(allocate, bool(gone), at_release)
        if doubt is not None and not memory.unread:
            disputes.append(Dispute(allocate, doubt, "memory"))
        if doubt is not None:
            continue
        _look(run, allocate, bool(gone), memory, at_release, findings, disputes)
    return findings, disputes + list(static.disputes(run, memory.gpas))


def _guards_at_release(run: Run) -> dict[int, list[np.void]]:
    found: dict[int, list[np.void]] = {}
    for record in run.records[run.records["type"] == Type.GUARD]:
        found.setdefault(int(record["serial"]), []).append(record)
    return found


def _untaken(allocate: np.void, gone: bool, at_release: dict[int, list[np.void]]) -> str | None:
    """Why the guard at the release is not known: the module writes it anew there.

    Without it a write behind the end would be hidden, so it must have been told once.
    """
    told = len(at_release.get(int(allocate["serial"]), []))
    return f"released, but its guard was recorded {told} times then" if gone and told != 1 else None


def _unlike(allocate: np.void, gone: bool, memory: Memory) -> str | None:
    """Why the addresses in the ledger do not belong together; None when they do."""
    size = int(allocate["size"])
    for offset in (0, size + GUARD_BYTES - 1):
        told = int(allocate["physical"]) + offset
        mapped = memory.gpas.get(int(allocate["pointer"]) + offset)
        if mapped != told:
            seen = "nothing" if mapped is None else f"{mapped:#x}"
            return f"the ledger puts it at gpa {told:#x}, the guest's page tables at {seen}"
    start = 0 if gone else size
    needed = size + GUARD_BYTES + _rest(allocate) - start
    if memory.snapshot.read(int(allocate["physical"]) + start, needed) is None:
        return f"the ledger puts it at gpa {int(allocate['physical']):#x}, where no memory is"
    return None


def _look(  # noqa: PLR0917
    run: Run,
    allocate: np.void,
    gone: bool,
    memory: Memory,
    at_release: dict[int, list[np.void]],
    findings: list[Finding],
    disputes: list[Dispute],
) -> None:
    size = int(allocate["size"])
    guard = memory.snapshot.read(int(allocate["physical"]) + size, GUARD_BYTES) or b""
    pattern = GUARD_RELEASED if gone else GUARD_LIVE
    other = GUARD_LIVE if gone else GUARD_RELEASED
    if guard == _guard(allocate, other):
        said = ("released", "live") if gone else ("live", "released")
        text = f"the ledger says it is {said[0]}, its guard in memory says {said[1]}"
        disputes.append(Dispute(allocate, text, "memory"))
        return
    earlier = at_release[int(allocate["serial"])][0] if gone else None
    if earlier is not None and (broken := _broken_before(earlier, allocate)):
        findings.append(_out_of_bounds(run, earlier, allocate, f"{broken}, found at its release"))
    elif broken := _broken(guard, allocate, pattern) or _written(allocate, memory, pattern):
        findings.append(_out_of_bounds(run, allocate, allocate, f"{broken}, found at the end"))
    if gone and (written := _unpoisoned(allocate, memory)) is not None:
        detail = f"written at byte {written} after its release"
        findings.append(
            make_finding(run, Rule.USE_AFTER_FREE, allocate, allocate, detail, witness="memory")
        )


def _guard(allocate: np.void, pattern: int) -> bytes:
    """The guard as the module writes it."""
    guard = np.zeros((), GUARD)
    guard["tag"] = allocate["detail"] if allocate["kind"] == Kind.POOL else PAGE_TAG
    guard["serial"] = allocate["serial"]
    guard["pattern"] = pattern
    return guard.tobytes()


def _broken(guard: bytes, allocate: np.void, pattern: int) -> str:
    """Where a guard is not what it should be; empty when it is whole."""
    whole = _guard(allocate, pattern)
    for offset, (found, expected) in enumerate(zip(guard[:GUARD_BYTES], whole, strict=True)):
        if found != expected:
            return f"written at byte {offset} behind its end"
    return ""


def _broken_before(earlier: np.void, allocate: np.void) -> str:
    """The same of the guard and the rest of the page as a release found them."""
    if broken := _broken(bytes_of(earlier), allocate, GUARD_LIVE):
        return broken
    written = int(earlier["detail"])
    return f"written at byte {written} behind its end" if written else ""


def _written(allocate: np.void, memory: Memory, pattern: int) -> str:
    """Where the rest of its last page is not as it was left; empty when it is."""
    end = int(allocate["physical"]) + int(allocate["size"]) + GUARD_BYTES
    data = memory.snapshot.read(end, _rest(allocate)) or b""
    wrong = np.flatnonzero(np.frombuffer(data, np.uint8) != pattern)
    return f"written at byte {GUARD_BYTES + int(wrong[0])} behind its end" if len(wrong) else ""


def _out_of_bounds(run: Run, record: np.void, allocate: np.void, detail: str) -> Finding:
    return make_finding(run, Rule.OUT_OF_BOUNDS, record, allocate, detail, witness="memory")


def _unpoisoned(allocate: np.void, memory: Memory) -> int | None:
    """The first byte of released memory that is not poison."""
    data = memory.snapshot.read(int(allocate["physical"]), int(allocate["size"])) or b""
    wrong = np.flatnonzero(np.frombuffer(data, np.uint8) != POISON_RELEASED)
    return int(wrong[0]) if len(wrong) else None

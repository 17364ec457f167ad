"""The CPU as an owner: every address it was given, judged while it may use it. Pure.

Nothing here looks at all operands for each operand, whatever the guest wrote. Sections are
of the AMD manual, volume 2.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from freeonce.audit.freed import freed
from freeonce.audit.held import Held, contested, during
from freeonce.audit.lives import Lives
from freeonce.audit.model import Finding, Rule
from freeonce.audit.operands import FIELDS, HANDLER, MAPPED, WALKED, Operand, operands
from freeonce.audit.rules import CACHE_NAMES, WRITE_BACK, make_finding
from freeonce.audit.run import Run
from freeonce.audit.static import Static
from freeonce.audit.tlb import Entry, Tlb
from freeonce.evidence.ledger import Structure, Type

PAGE = 4096

SHAREABLE = {Structure.IOPM, Structure.MSRPM, Structure.VMSAVE, *HANDLER}
"""The CPU only reads the maps; what VMSAVE writes may be bound to the same CPU."""


def judge_operands(run: Run) -> list[Finding]:
    """`hardware-use-after-free` and `misplaced` for what the CPU was given.

    At most one finding for an allocation and rule: its release, or else the first; where
    no allocation is, for an address.
    """
    given = [one for one in operands(run) if one.structure is not Structure.MORE]
    if not given:
        return []
    lives = Lives(run)
    found = [*_used(run, given, lives), *_misplaced(run, given, lives)]
    releases = set(run.releases["sequence"].tolist())
    first: dict[tuple[Rule, int, int | None], Finding] = {}
    for finding in sorted(found, key=lambda one: (one.sequence not in releases, one.sequence)):
        key = (finding.rule, finding.serial, None if finding.serial else finding.gpa)
        first.setdefault(key, finding)
    return list(first.values())


def _used(run: Run, given: list[Operand], lives: Lives) -> Iterator[Finding]:
    limit = _limit(run)
    static = Static(run)
    usable = [
        one
        for one in given
        if not one.identity and one.gpa + one.size <= limit and not static.holds(one)
    ]
    lying = lives.at([(one.start, one.gpa, one.size) for one in usable])
    for one, place in zip(usable, lying, strict=True):
        if place is None and one.foreign and (one.anybodys or lives.scattered):
            continue
        fault = _fault_of_leaf(one, place, lives) if one.anybodys else _fault(one, place, lives)
        if fault is not None:
            allocate, why = fault
            found = _finding(run, Rule.HARDWARE_USE_AFTER_FREE, one, allocate, why)
            yield replace(found, released_site=_released_at(allocate, lives))
    yield from _released(run, usable, lives)
    yield from _stale(run, list(zip(usable, lying, strict=True)), lives)
    others = [
        one
        for one, place in zip(usable, lying, strict=True)
        if one.anybodys and (place is None or lives.end(place) < one.start)
    ]
    yield from freed(run, others)


def _fault(
    one: Operand, allocate: np.void | None, lives: Lives
) -> tuple[np.void | None, str] | None:
    """Why these bytes are not the L2's to use when they are given; None when they are.

    They lie in one allocation: behind each stands its guard, so none touch.
    """
    if allocate is None:
        return None, f"{one.gpa:#x}, given to the CPU, is in no allocation"
    if lives.end(allocate) < one.start:
        return allocate, f"given to the CPU at {one.gpa:#x} after its release"
    gpa, size = lives.extent(allocate)
    before = gpa - one.gpa
    if before > 0:
        return allocate, f"begins {before} bytes before it"
    room = size + before
    return None if one.size <= room else (allocate, f"needs {one.size} bytes of it, has {room}")


def _fault_of_leaf(
    one: Operand, allocate: np.void | None, lives: Lives
) -> tuple[np.void | None, str] | None:
    """The same of pages that may be anybody's: whatever a subject's memory was before, they may
    be somebody else's once the kernel has it back."""
    if allocate is None or not lives.keeps(one.start, allocate):
        return None
    return allocate, f"given to the CPU at {one.gpa:#x} after its release"


def _released(run: Run, given: list[Operand], lives: Lives) -> Iterator[Finding]:
    """Releases of what the CPU may use at that moment."""
    held = Held(given, lambda one: None)
    released = [(int(release["sequence"]), (release, made)) for release, made in lives.released()]
    for release, made in during(given, [held], released):
        user = held.other(*lives.extent(made))
        if user is not None:
            why = f"released while the CPU may still use it as {_whose(user)}"
            yield make_finding(run, Rule.HARDWARE_USE_AFTER_FREE, release, made, why)


def _stale(
    run: Run, given: list[tuple[Operand, np.void | None]], lives: Lives
) -> Iterator[Finding]:
    """VMRUNs under an ASID whose TLB may lead to what was released since it was filled.

    What is missing is one flush, so it is one finding, about what was released last.
    """
    tlb = Tlb(run)
    missing: defaultdict[int, dict[int, tuple[int, Operand, np.void, Entry]]] = defaultdict(dict)
    for one, allocate in given:
        if allocate is None or one.structure not in WALKED or lives.end(allocate) < one.end:
            continue
        released = lives.end(allocate)
        span = one.owner[1], one.start, one.end, released
        if one.structure is Structure.PAGE:
            entry = tlb.stale_page(*span, _pages(one, allocate, lives))
        else:
            entry = tlb.stale(*span)
        if entry is not None:
            others = missing[entry.start]
            others.setdefault(int(allocate["sequence"]), (released, one, allocate, entry))
    for others in missing.values():
        yield _without_flush(run, list(others.values()), lives)


def _pages(one: Operand, allocate: np.void, lives: Lives) -> range:
    """The numbers, for the L2, of those pages that have bytes of an allocation."""
    begins, bytes_ = lives.extent(allocate)
    low, high = max(one.gpa, begins), min(one.gpa + one.size, begins + bytes_)
    at = int(one.record["pointer"]) - one.gpa
    return range((low + at) // PAGE, (high + at - 1) // PAGE + 1)


def _without_flush(
    run: Run, lost: list[tuple[int, Operand, np.void, Entry]], lives: Lives
) -> Finding:
    released, one, allocate, entry = max(lost, key=lambda each: each[0])
    when = (
        f"while CPU {entry.cpu} was in guest mode under ASID {entry.asid}"
        if entry.start < released
        else f"and CPU {entry.cpu} entered an L2 under ASID {entry.asid} without a flush"
    )
    also = f"; so were {len(lost) - 1} more allocations" if len(lost) > 1 else ""
    why = f"released {when}: its TLB may still have it (15.16) as {_whose(one)}{also}"
    found = make_finding(run, Rule.HARDWARE_USE_AFTER_FREE, entry.record, allocate, why)
    return replace(found, released_site=_released_at(allocate, lives))


def _released_at(allocate: np.void | None, lives: Lives) -> int:
    """The number of the stack by which it was released; 0: it was not."""
    release = None if allocate is None else lives.release(allocate)
    return 0 if release is None else int(release["site"])


def _whose(one: Operand) -> str:
    kind, number = one.owner
    name = f"L2 {number}" if kind == "vcpu" else f"CPU {number}"
    return f"{FIELDS[one.structure]} of {name}"


def _finding(run: Run, rule: Rule, one: Operand, allocate: np.void | None, why: str) -> Finding:
    detail = f"{FIELDS[one.structure]}: {why}"
    return make_finding(run, rule, one.record, allocate, detail, gpa=one.gpa)


def _limit(run: Run) -> int:
    """The first gpa that the CPU has no address bits for (15.5.1; CPUID Fn8000_0008_EAX)."""
    states = run.records[run.records["type"] == Type.CPU_STATE]
    bits = int(states["size"][0]) if len(states) else 52
    return 1 << min(bits, 64)


def _misplaced(run: Run, given: list[Operand], lives: Lives) -> Iterator[Finding]:
    limit = _limit(run)
    for one in given:
        broken = list(_broken(one, limit))
        if broken and not one.identity:
            allocate = lives.around(one.gpa, one.size)
            yield _finding(run, Rule.MISPLACED, one, allocate, "; ".join(broken))
    yield from _shared(run, given, lives)


def _broken(one: Operand, limit: int) -> Iterator[str]:
    if one.structure in HANDLER:
        return
    if one.gpa + one.size > limit:
        yield f"{one.gpa:#x} is above the CPU's physical addresses, which end at {limit:#x}"
        return
    if one.gpa % PAGE:
        yield f"{one.gpa:#x} is not aligned to {PAGE}"
    # The L2's own pages may be of any type.
    if one.structure not in MAPPED and one.cache != WRITE_BACK:
        yield f"cache type {CACHE_NAMES.get(one.cache, 'unknown')}, must be WB"


def _shared(run: Run, given: list[Operand], lives: Lives) -> Iterator[Finding]:
    """What two L2s that can both be entered must not have in common.

    Permission maps may be shared, since the CPU only reads them, and tables and pages by
    vcpus of the same page table.
    """
    chosen = contested(
        [one for one in given if not (one.identity or one.anybodys or one.structure in SHAREABLE)],
        lambda one: one.owner if one.written else one.root,
    )
    written = [one for one in chosen if one.written]
    read = [one for one in chosen if not one.written]
    writers = Held(written, lambda one: one.owner)
    readers = Held(read, lambda one: one.owner)
    roots = Held(read, lambda one: one.root)
    asked = [(one.start, one) for one in chosen]
    for one in _both(during(written, [writers], asked), during(read, [readers, roots], asked)):
        bytes_ = one.gpa, one.size
        other = writers.other(*bytes_, one.owner) or (
            readers.other(*bytes_, one.owner) if one.written else roots.other(*bytes_, one.root)
        )
        if other is not None:
            allocate = lives.around(one.gpa, one.size)
            yield _finding(run, Rule.MISPLACED, one, allocate, f"shared with {_whose(other)}")


def _both(these: Iterator[Operand], those: Iterator[Operand]) -> Iterator[Operand]:
    """Each of the same questions, when both have come to it."""
    return (one for one, _ in zip(these, those, strict=True))

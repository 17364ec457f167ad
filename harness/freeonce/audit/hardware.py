"""The CPU as an owner: every address it was given, judged while it may use it. Pure.

Nothing here looks at all operands for each operand, whatever the guest wrote. Sections are
of the AMD manual, volume 2.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from freeonce.audit.held import Held
from freeonce.audit.lives import Lives
from freeonce.audit.model import Finding, Rule
from freeonce.audit.operands import FIELDS, HANDLER, MAPPED, Operand, operands
from freeonce.audit.rules import CACHE_NAMES, WRITE_BACK, make_finding
from freeonce.audit.run import Run
from freeonce.audit.static import Static
from freeonce.evidence.ledger import Structure, Type

PAGE = 4096

Event = tuple[int, Callable[[], None]]
"""A sequence, and what happens there."""

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
        fault = _fault(one, place, lives)
        if fault is not None:
            allocate, why = fault
            yield _finding(run, Rule.HARDWARE_USE_AFTER_FREE, one, allocate, why)
    yield from _released(run, usable, lives)


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
    before = int(allocate["physical"]) - one.gpa
    if before > 0:
        return allocate, f"begins {before} bytes before it"
    room = int(allocate["size"]) + before
    return None if one.size <= room else (allocate, f"needs {one.size} bytes of it, has {room}")


def _released(run: Run, given: list[Operand], lives: Lives) -> Iterator[Finding]:
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

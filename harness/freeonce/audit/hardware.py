"""The CPU as an owner: every address it was given, judged while it may use it. Pure.

A vcpu's operands count from its `bind` until the next one or `unbind`; a host save area
counts from VM_HSAVE_PA's write to `svm_off`. Sections are of the AMD manual, volume 2.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from freeonce.audit.model import Finding, Rule
from freeonce.audit.rules import CACHE_NAMES, NONE, WRITE_BACK, Run, make_finding
from freeonce.evidence.ledger import Flag, Records, Structure, Type

PAGE = 4096
FOREVER = 1 << 32
"""Behind every sequence number."""

FIELDS = {
    Structure.VMCB: "VMCB, rax at VMRUN (15.5.1)",
    Structure.HOST_VMCB: "host's VMCB, rax at VMSAVE and VMLOAD (15.5.2)",
    Structure.HOST_SAVE_AREA: "host save area, VM_HSAVE_PA (15.30.4)",
    Structure.IOPM: "I/O permissions map, IOPM_BASE_PA (15.10.1)",
    Structure.MSRPM: "MSR permissions map, MSRPM_BASE_PA (15.11)",
    Structure.NESTED_TABLE: "nested page table, nCR3 (15.25.3)",
    Structure.NESTED_PAGE: "page of the nested page table (15.25.5)",
    Structure.PAGE_TABLE: "page table, CR3 without nested paging (5.3)",
    Structure.PAGE: "page of the page table (5.3)",
    Structure.VMSAVE: "state-save area, rax at VMSAVE (15.5.2)",
}
"""Structure, the field that gives it to the CPU, and where that is written."""

ONE_AT_A_TIME = {Structure.VMCB, Structure.HOST_VMCB, Structure.HOST_SAVE_AREA}
"""The CPU writes them as it enters and leaves; maps it only reads."""

MAPPED = {Structure.NESTED_PAGE, Structure.PAGE}
"""The L2's own memory."""


@dataclass(frozen=True)
class Operand:
    """One address given to the CPU. `start` and `end`: sequences between which it counts.

    `owner`: which vcpu, or which CPU for a host save area. `root`: nCR3, or CR3 without nested
    paging; 0 for neither.
    """

    record: np.void
    structure: Structure
    owner: tuple[str, int]
    root: int
    start: int
    end: int

    @property
    def gpa(self) -> int:
        """Where it begins."""
        return int(self.record["physical"])

    @property
    def size(self) -> int:
        """How many bytes of it the CPU may use."""
        return int(self.record["size"])

    @property
    def cache(self) -> int:
        """Its cache type as the guest's page tables had it."""
        return int(self.record["detail"]) >> 8 & 0xFF

    @property
    def identity(self) -> bool:
        """Whether it is L1's own memory, mapped where it lies: nothing that was allocated."""
        flagged = bool(int(self.record["flags"]) & Flag.IDENTITY)
        return (
            flagged
            and self.structure is Structure.NESTED_PAGE
            and self.record["pointer"] == self.record["physical"]
        )


def _structure(record: np.void) -> Structure:
    number = int(record["detail"]) & 0xFF
    return Structure(number) if number in set(Structure) else Structure.MORE


def _told(run: Run) -> Records:
    kinds = (Type.BIND, Type.OPERAND, Type.UNBIND, Type.SVM_OFF)
    told: Records = run.records[np.isin(run.records["type"], kinds)]
    return told


def operands(run: Run) -> list[Operand]:
    """Every operand of a run with the span in which the CPU may use it."""
    done: list[Operand] = []
    current: dict[tuple[str, int], tuple[int, list[np.void]]] = {}

    def close(owner: tuple[str, int], end: int) -> None:
        root, records = current.pop(owner, (0, []))
        done.extend(
            Operand(record, _structure(record), owner, root, int(record["sequence"]), end)
            for record in records
        )

    for record in _told(run):
        sequence, vcpu = int(record["sequence"]), ("vcpu", int(record["serial"]))
        cpu = ("CPU", int(record["cpu"]))
        match Type(int(record["type"])):
            case Type.BIND:
                close(vcpu, sequence)
                current[vcpu] = (int(record["pointer"]), [])
            case Type.OPERAND if record["serial"]:
                current.setdefault(vcpu, (0, []))[1].append(record)
            case Type.OPERAND if _structure(record) is Structure.VMSAVE:
                once = Operand(record, Structure.VMSAVE, cpu, 0, sequence, sequence)
                done.append(once)
            case Type.OPERAND:
                close(cpu, sequence)
                current[cpu] = (0, [record])
            case Type.UNBIND:
                close(vcpu, sequence)
            case _:
                close(cpu, sequence)
    for owner in list(current):
        close(owner, FOREVER)
    return sorted(done, key=lambda one: one.start)


def reasons(run: Run) -> Iterator[str]:
    """What is not known of the addresses given to the CPU."""
    told = _told(run)
    if any(_structure(one) is Structure.MORE for one in told[told["type"] == Type.OPERAND]):
        yield "not all addresses given to the CPU are known"
    bound: dict[int, set[tuple[Structure, int]]] = {}
    kinds = (Type.BIND, Type.OPERAND, Type.UNBIND, Type.VMRUN)
    for record in run.records[np.isin(run.records["type"], kinds)]:
        vcpu, gpa = int(record["serial"]), int(record["physical"])
        match Type(int(record["type"])):
            case Type.BIND:
                bound[vcpu] = set()
            case Type.OPERAND if vcpu in bound:
                bound[vcpu].add((_structure(record), gpa))
            case Type.UNBIND:
                bound.pop(vcpu, None)
            case Type.VMRUN if (Structure.VMCB, gpa) not in bound.get(vcpu, set()):
                yield "a VMRUN whose addresses were not told"
                return
            case _:
                pass


def judge_operands(run: Run) -> list[Finding]:
    """`hardware-use-after-free` and `misplaced` for what the CPU was given.

    At most one finding for an allocation and rule: its release, or else the first.
    """
    given = [one for one in operands(run) if one.structure is not Structure.MORE]
    found = [*_used(run, given), *_misplaced(run, given)]
    releases = set(run.releases["sequence"].tolist())
    first: dict[tuple[Rule, int, str], Finding] = {}
    for finding in sorted(found, key=lambda one: (one.sequence not in releases, one.sequence)):
        key = (finding.rule, finding.serial, "" if finding.serial else finding.detail)
        first.setdefault(key, finding)
    return list(first.values())


def _used(run: Run, given: list[Operand]) -> Iterator[Finding]:
    limit = _limit(run)
    lives = _Lives(run)
    for one in given:
        if one.identity or one.gpa + one.size > limit:
            continue
        fault = lives.fault(one)
        if fault is not None:
            allocate, why = fault
            yield _finding(run, Rule.HARDWARE_USE_AFTER_FREE, one, allocate, why)
        for index in lives.released_within(one):
            release, allocate = lives.release(index), run.allocates[index]
            why = f"released while the CPU may still use it as {_whose(one)}"
            yield make_finding(run, Rule.HARDWARE_USE_AFTER_FREE, release, allocate, why)


def _whose(one: Operand) -> str:
    kind, number = one.owner
    name = f"L2 {number}" if kind == "vcpu" else f"CPU {number}"
    return f"{FIELDS[one.structure]} of {name}"


def _finding(run: Run, rule: Rule, one: Operand, allocate: np.void | None, why: str) -> Finding:
    return make_finding(run, rule, one.record, allocate, f"{FIELDS[one.structure]}: {why}")


class _Lives:
    """Which memory is allocated when, by guest-physical address."""

    def __init__(self, run: Run) -> None:
        self._allocates = run.allocates
        self._order = np.argsort(run.allocates["physical"], kind="stable")
        self._starts = run.allocates["physical"][self._order]
        self._release: dict[int, np.void] = {}
        for index in np.flatnonzero(run.first & (run.target != NONE)):
            self._release[int(run.target[index])] = run.releases[index]

    def release(self, index: int) -> np.void:
        """The release of an allocation that has one."""
        return self._release[index]

    def _ended(self, index: int) -> int:
        record = self._release.get(index)
        return FOREVER if record is None else int(record["sequence"])

    def overlapping(self, gpa: int, size: int) -> list[int]:
        """Allocations that share bytes with these; within a run none share with each other."""
        last = int(np.searchsorted(self._starts, gpa + size))
        first = max(int(np.searchsorted(self._starts, gpa, side="right")) - 1, 0)
        found = []
        for place in range(first, last):
            index = int(self._order[place])
            allocate = self._allocates[index]
            start = int(allocate["physical"])
            if start < gpa + size and gpa < start + int(allocate["size"]):
                found.append(index)
        return found

    def fault(self, one: Operand) -> tuple[np.void | None, str] | None:
        """Why these bytes are not the L2's to use when they are given; None when they are.

        They lie in one allocation: behind each stands its guard, so none touch.
        """
        made = [
            index
            for index in self.overlapping(one.gpa, one.size)
            if int(self._allocates[index]["sequence"]) < one.start
        ]
        if not made:
            return None, f"{one.gpa:#x}, given to the CPU, is in no allocation"
        index = made[0]
        allocate = self._allocates[index]
        if self._ended(index) < one.start:
            return allocate, f"given to the CPU at {one.gpa:#x} after its release"
        before = int(allocate["physical"]) - one.gpa
        if before > 0:
            return allocate, f"begins {before} bytes before it"
        room = int(allocate["size"]) + before
        return None if one.size <= room else (allocate, f"needs {one.size} bytes of it, has {room}")

    def released_within(self, one: Operand) -> list[int]:
        """Allocations that were released while these bytes were the CPU's to use."""
        return [
            index
            for index in self.overlapping(one.gpa, one.size)
            if one.start < self._ended(index) < min(one.end, FOREVER)
        ]


def _limit(run: Run) -> int:
    """The first gpa that the CPU has no address bits for (15.5.1; CPUID Fn8000_0008_EAX)."""
    states = run.records[run.records["type"] == Type.CPU_STATE]
    bits = int(states["size"][0]) if len(states) else 52
    return 1 << min(bits, 64)


def _misplaced(run: Run, given: list[Operand]) -> Iterator[Finding]:
    limit = _limit(run)
    lives = _Lives(run)
    for one in given:
        broken = list(_broken(one, limit))
        if not broken or one.identity:
            continue
        around = lives.overlapping(one.gpa, one.size)
        allocate = run.allocates[around[0]] if around else None
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


def _shared(run: Run, given: Iterable[Operand], lives: _Lives) -> Iterator[Finding]:
    """What two L2s that can both be entered must not have in common.

    Permission maps may be shared, since the CPU only reads them, and tables and pages by
    vcpus of the same nested page table.
    """
    open_ones: list[Operand] = []
    for one in given:
        if one.identity or one.structure in (Structure.IOPM, Structure.MSRPM):
            continue
        open_ones = [other for other in open_ones if other.end > one.start]
        for other in open_ones:
            if other.owner == one.owner or not _overlap(one, other):
                continue
            written = {one.structure, other.structure} & ONE_AT_A_TIME
            if not written and one.root == other.root:
                continue
            around = lives.overlapping(one.gpa, one.size)
            allocate = run.allocates[around[0]] if around else None
            text = f"shared with {_whose(other)}"
            yield _finding(run, Rule.MISPLACED, one, allocate, text)
            break
        open_ones.append(one)


def _overlap(one: Operand, other: Operand) -> bool:
    return one.gpa < other.gpa + other.size and other.gpa < one.gpa + one.size

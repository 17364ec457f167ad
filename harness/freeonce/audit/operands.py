"""Every address that the CPU was given, and from when to when it may use it. Pure.

A vcpu's operands count from its `bind` until the next one or `unbind`; a host save area
counts from VM_HSAVE_PA's write to `svm_off`. Sections are of the AMD manual, volume 2.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from freeonce.audit.lives import FOREVER, Lives
from freeonce.audit.run import Run
from freeonce.evidence.ledger import Flag, Records, Structure, Type

PAGE = 4096

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
    Structure.HANDLER_STACK: "stack of the handler",
    Structure.HANDLER_DATA: "data of the handler",
}
"""Structure, the field that gives it to the CPU, and where that is written."""

ONE_AT_A_TIME = {Structure.VMCB, Structure.HOST_VMCB, Structure.HOST_SAVE_AREA}
"""The CPU writes them as it enters and leaves; maps it only reads."""

HANDLER = {Structure.HANDLER_STACK, Structure.HANDLER_DATA}
"""Software's: what runs below Linux uses whole allocations, of any kind and place."""

MAPPED = {Structure.NESTED_PAGE, Structure.PAGE}
"""The L2's own memory."""


@dataclass(frozen=True)
class Operand:
    """One address given to the CPU. `start` and `end`: sequences between which it counts.

    `owner`: which vcpu, or which CPU where no vcpu is. `root`: nCR3, or CR3 without nested
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
    def written(self) -> bool:
        """Whether the CPU writes it as it enters and leaves, so that one L2 at most has it."""
        return self.structure in ONE_AT_A_TIME

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
    kinds = (Type.BIND, Type.OPERAND, Type.UNBIND, Type.SVM_OFF, Type.LEFT)
    told: Records = run.records[np.isin(run.records["type"], kinds)]
    return told


def _owner(record: np.void) -> tuple[str, int]:
    """Who has what such a record gives or ends: a vcpu, the handler below a CPU, or the CPU."""
    kind, cpu = Type(int(record["type"])), int(record["cpu"])
    given = kind is Type.OPERAND
    if kind in (Type.BIND, Type.UNBIND) or (given and record["serial"]):
        return "vcpu", int(record["serial"])
    if kind is Type.LEFT or (given and _structure(record) in HANDLER):
        return "handler", cpu
    return "CPU", cpu


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
        sequence, owner = int(record["sequence"]), _owner(record)
        match Type(int(record["type"])):
            case Type.BIND:
                close(owner, sequence)
                current[owner] = (int(record["pointer"]), [])
            case Type.OPERAND if _structure(record) is Structure.VMSAVE and not record["serial"]:
                done.append(Operand(record, Structure.VMSAVE, owner, 0, sequence, sequence))
            case Type.OPERAND:
                if owner[0] == "CPU":
                    close(owner, sequence)
                current.setdefault(owner, (0, []))[1].append(record)
            case _:
                close(owner, sequence)
    for owner in list(current):
        close(owner, FOREVER)
    return sorted(done, key=lambda one: one.start)


def reasons(run: Run) -> Iterator[str]:
    """What is not known of the addresses given to the CPU."""
    told = _told(run)
    if any(_structure(one) is Structure.MORE for one in told[told["type"] == Type.OPERAND]):
        yield "not all addresses given to the CPU are known"
    if not all(_entries_told(run)):
        yield "a VMRUN whose addresses were not told"
    if not all(_save_areas_told(run)):
        yield "a host save area that a CPU was given was not told"
    if any(not _size_fits(one) for one in told[told["type"] == Type.OPERAND]):
        yield "an address given to the CPU with a size that the manual does not know"


SIZES = {
    Structure.IOPM: 3 * PAGE,
    Structure.MSRPM: 2 * PAGE,
    **dict.fromkeys(
        (
            *(Structure.VMCB, Structure.HOST_VMCB, Structure.VMSAVE, Structure.HOST_SAVE_AREA),
            *(Structure.NESTED_TABLE, Structure.PAGE_TABLE),
        ),
        PAGE,
    ),
}
"""What the manual fixes: 15.5.1, 15.10.1, 15.11, 15.30.4, 5.3. An L2 is given whole pages."""


def _size_fits(record: np.void) -> bool:
    structure, size = _structure(record), int(record["size"])
    if structure is Structure.MORE:
        return True
    if structure in HANDLER:
        return size > 0
    return size == SIZES[structure] if structure in SIZES else size > 0 and size % PAGE == 0


def _save_areas_told(run: Run) -> Iterator[bool]:
    """Whether what each SVM_ON names is that CPU's next operand of its own."""
    waiting: dict[int, int] = {}
    for record in run.records[np.isin(run.records["type"], (Type.SVM_ON, Type.OPERAND))]:
        cpu, kind = int(record["cpu"]), record["type"]
        if kind == Type.OPERAND and _structure(record) is not Structure.HOST_SAVE_AREA:
            continue
        named = waiting.pop(cpu, None)
        if named is not None:
            yield kind == Type.OPERAND and int(record["physical"]) == named
        if kind == Type.SVM_ON:
            waiting[cpu] = int(record["size"])
    yield not waiting


TABLES = {Structure.NESTED_TABLE, Structure.PAGE_TABLE}


@dataclass
class _Bound:
    """What one `bind` told so far. `root`: of the page tables."""

    sequence: int
    root: int
    vmcb: int
    told: set[tuple[Structure, int]] = field(default_factory=set)
    structures: set[Structure] = field(default_factory=set)

    def tell(self, structure: Structure, gpa: int) -> None:
        """An operand of it."""
        self.told.add((structure, gpa))
        self.structures.add(structure)

    def has_vmcbs(self) -> bool:
        """The VMCB and the host's, which every VMRUN uses."""
        return (Structure.VMCB, self.vmcb) in self.told and Structure.HOST_VMCB in self.structures

    def has_reached(self) -> bool:
        """What a VMCB leads to: both maps, and the first page table."""
        if Structure.MORE in self.structures:
            return True
        rooted = any((table, self.root) in self.told for table in TABLES)
        return rooted and self.structures >= {Structure.IOPM, Structure.MSRPM}


def _entries_told(run: Run) -> Iterator[bool]:
    """Whether each VMRUN that was not withheld had its addresses told before it.

    What stands in a VMCB that is not live is nobody's, and need not be.
    """
    bound: dict[int, _Bound] = {}
    without: dict[int, _Bound] = {}
    kinds = (Type.BIND, Type.OPERAND, Type.UNBIND, Type.VMRUN)
    for record in run.records[np.isin(run.records["type"], kinds)]:
        vcpu, gpa = int(record["serial"]), int(record["physical"])
        one = bound.get(vcpu)
        match Type(int(record["type"])):
            case Type.BIND:
                bound[vcpu] = _Bound(int(record["sequence"]), int(record["pointer"]), gpa)
            case Type.OPERAND if one is not None:
                one.tell(_structure(record), gpa)
            case Type.UNBIND:
                bound.pop(vcpu, None)
            case Type.VMRUN if not int(record["flags"]) & Flag.WITHHELD:
                yield one is not None and one.vmcb == gpa and one.has_vmcbs()
                if one is not None and not one.has_reached():
                    without[one.sequence] = one
            case _:
                pass
    lives, binds = Lives(run), sorted(without.values(), key=lambda one: one.sequence)
    places = lives.at([(one.sequence, one.vmcb, VMCB_BYTES) for one in binds])
    for one, place in zip(binds, places, strict=True):
        yield not lives.holds(one.sequence, place, one.vmcb, VMCB_BYTES)


VMCB_BYTES = 4096

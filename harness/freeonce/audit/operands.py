"""Every address that the CPU was given, and from when to when it may use it. Pure.

A vcpu's operands count until they are told as gone, until its next `bind` or its `unbind`; a
host save area counts from VM_HSAVE_PA's write to `svm_off`. What a CPU's TLB has kept beyond
that: `tlb`. Sections are of the AMD manual, volume 2.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from freeonce.audit.lives import FOREVER, Lives
from freeonce.audit.run import Run
from freeonce.evidence.ledger import Field, Flag, Records, Structure, Type, among, within

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
    Structure.VMSAVE: "state-save area, rax at VMSAVE or VMLOAD (15.5.2)",
    Structure.HANDLER_STACK: "stack of the handler",
    Structure.HANDLER_DATA: "data of the handler",
}
"""Structure, the field that gives it to the CPU, and where that is written."""

UNTOLD = {
    Field.AVIC: "AVIC pages (15.29.1)",
    Field.VMSA: "VMSA pointer (15.35.1)",
    Field.CR3: "CR3 without nested paging (15.25.1), which it may have loaded since",
}
"""Fields of a VMCB in a subject's own code that are not followed."""

ONE_AT_A_TIME = {Structure.VMCB, Structure.HOST_VMCB, Structure.HOST_SAVE_AREA}
"""The CPU writes them as it enters and leaves; maps it only reads."""

HANDLER = {Structure.HANDLER_STACK, Structure.HANDLER_DATA}
"""Software's: what runs below Linux uses whole allocations, of any kind and place."""

MAPPED = {Structure.NESTED_PAGE, Structure.PAGE}
"""The L2's own memory."""


TABLES = {Structure.NESTED_TABLE, Structure.PAGE_TABLE}

WALKED = TABLES | MAPPED
"""What the CPU finds by itself, and its TLB may keep (15.16)."""


class Operand(NamedTuple):
    """One address given to the CPU. `start` and `end`: sequences between which it counts.

    `gpa` and `size`: the bytes that the CPU may use. `owner`: which vcpu, or which CPU where no
    vcpu is. `root`: nCR3, or CR3 without nested paging; 0 for neither. `identity`: L1's own
    memory, mapped where it lies: nothing that was allocated. `foreign`: by a VMRUN in a
    subject's own code, whose L2 has whatever pages it is given.
    """

    record: np.void
    structure: Structure
    owner: tuple[str, int]
    root: int
    start: int
    end: int
    gpa: int
    size: int
    identity: bool
    foreign: bool

    @property
    def anybodys(self) -> bool:
        """Whether it may be memory of whomever: it must be in use, not the subject's."""
        return self.foreign and self.structure in MAPPED

    @property
    def cache(self) -> int:
        """Its cache type as the guest's page tables had it."""
        return int(self.record["detail"]) >> 8 & 0xFF

    @property
    def written(self) -> bool:
        """Whether the CPU writes it as it enters and leaves, so that one L2 at most has it."""
        return self.structure in ONE_AT_A_TIME


STRUCTURES = {int(structure): structure for structure in Structure}


def _structure(detail: int) -> Structure:
    return STRUCTURES.get(detail & 0xFF, Structure.MORE)


def _told(run: Run, *others: Type) -> Records:
    kinds = (Type.BIND, Type.OPERAND, Type.UNBIND, Type.SVM_OFF, Type.LEFT, *others)
    told: Records = run.records[among(run.records["type"], kinds)]
    return told


class _Telling(NamedTuple):
    """A record of those, as Python's numbers."""

    record: np.void
    sequence: int
    type: int
    serial: int
    cpu: int
    detail: int
    pointer: int
    physical: int
    size: int
    flags: int

    @property
    def structure(self) -> Structure:
        return _structure(self.detail)

    @property
    def owner(self) -> tuple[str, int]:
        """Who has what this gives or ends: a vcpu, the handler below a CPU, or the CPU."""
        given = self.type == Type.OPERAND
        if self.type in (Type.BIND, Type.UNBIND) or (given and self.serial):
            return "vcpu", self.serial
        if self.type == Type.LEFT or (given and self.structure in HANDLER):
            return "handler", self.cpu
        return "CPU", self.cpu

    @property
    def gone(self) -> bool:
        """Of an operand: whether it is none any more."""
        return bool(self.flags & Flag.GONE)

    @property
    def foreign(self) -> bool:
        """Of a `bind`: whether it is of a VMRUN in a subject's own code."""
        return bool(self.flags & Flag.FOREIGN)

    @property
    def what(self) -> tuple[int, ...]:
        """Of an operand: all that it says, so that its end finds its beginning."""
        identity = self.flags & Flag.IDENTITY
        return self.detail, self.pointer, self.physical, self.size, identity


def _tellings(told: Records) -> Iterator[_Telling]:
    names = ("sequence", "type", "serial", "cpu", "detail", "pointer", "physical", "size", "flags")
    columns = (told[name].tolist() for name in names)
    return map(_Telling._make, zip(told, *columns, strict=True))


@dataclass
class _Given:
    """What an owner has, by all that was said of it."""

    root: int = 0
    foreign: bool = False
    operands: dict[tuple[int, ...], list[_Telling]] = field(default_factory=dict)


class _Spans:
    """Puts operands together with their ends."""

    def __init__(self, told: Records) -> None:
        self._told = told
        self._current: dict[tuple[str, int], _Given] = {}
        self.done: list[Operand] = []
        self.never_given = 0

    def follow(self) -> None:
        """All that is told."""
        for one in _tellings(self._told):
            match one.type:
                case Type.BIND:
                    self._close(one.owner, one.sequence)
                    self._current[one.owner] = _Given(one.pointer, one.foreign)
                case Type.OPERAND if one.gone:
                    self._end(one)
                case Type.OPERAND:
                    self._begin(one)
                case _:
                    self._close(one.owner, one.sequence)
        for owner in list(self._current):
            self._close(owner, FOREVER)

    def _begin(self, one: _Telling) -> None:
        owner = one.owner
        if owner[0] == "CPU":
            if one.structure is Structure.VMSAVE:
                self.done.append(_operand(one, owner, _Given(), one.sequence))
                return
            self._close(owner, one.sequence)
        given = self._current.setdefault(owner, _Given())
        given.operands.setdefault(one.what, []).append(one)

    def _end(self, one: _Telling) -> None:
        owner = one.owner
        given = self._current.get(owner, _Given())
        begun = given.operands.get(one.what)
        if not begun:
            self.never_given += 1
            return
        self.done.append(_operand(begun.pop(), owner, given, one.sequence))

    def _close(self, owner: tuple[str, int], end: int) -> None:
        given = self._current.pop(owner, _Given())
        for begun in given.operands.values():
            self.done.extend(_operand(one, owner, given, end) for one in begun)


def _operand(one: _Telling, owner: tuple[str, int], given: _Given, end: int) -> Operand:
    identity = (
        one.flags & Flag.IDENTITY != 0
        and one.structure is Structure.NESTED_PAGE
        and one.pointer == one.physical
    )
    return Operand(
        *(one.record, one.structure, owner, given.root, one.sequence, end),
        *(one.physical, one.size, identity, given.foreign),
    )


def operands(run: Run) -> list[Operand]:
    """Every operand of a run with the span in which the CPU may use it."""
    spans = _Spans(_told(run))
    spans.follow()
    return sorted(spans.done, key=lambda one: one.start)


def reasons(run: Run) -> Iterator[str]:
    """What is not known of the addresses given to the CPU. Most runs are no hypervisor's."""
    if len(_told(run, Type.VMRUN, Type.SVM_ON)):
        yield from _reasons(run)


def _reasons(run: Run) -> Iterator[str]:
    told = run.records[run.records["type"] == Type.OPERAND]
    structures = told["detail"] & 0xFF
    if not np.all(within(structures, [*STRUCTURES])):
        yield "not all addresses given to the CPU are known"
    more = told["detail"][structures == Structure.MORE] >> 16
    for one, words in UNTOLD.items():
        if np.any(more == one):
            yield f"what an L2 reaches by its VMCB's {words} is not known"
    if not np.all(within(more, [*UNTOLD])):
        yield "not all addresses given to the CPU are known"
    spans = _Spans(_told(run))
    spans.follow()
    if spans.never_given:
        yield "the ledger takes an address from the CPU that it was never given"
    if not all(_entries_told(run)):
        yield "a VMRUN whose addresses were not recorded"
    if not all(_save_areas_told(run)):
        yield "a host save area that a CPU was given was not recorded"
    if _scattered(run, spans.done):
        yield "the CPU was given memory of a vmalloc area, whose first page alone is in the ledger"
    if not all(_sizes_fit(told)):
        yield "an address was given to the CPU with a size that the AMD manual does not have"


def _scattered(run: Run, given: list[Operand]) -> bool:
    """Whether what a subject gave lies nowhere that is known, and could be where nobody told."""
    asked = sorted(
        (one.start, one.gpa, one.size) for one in given if one.foreign and not one.anybodys
    )
    lives = Lives(run) if asked else None
    return lives is not None and lives.scattered and any(place is None for place in lives.at(asked))


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


def _sizes_fit(told: Records) -> Iterator[bool]:
    structures = told["detail"] & 0xFF
    for structure in set(Structure) - {Structure.MORE}:
        sizes = told["size"][structures == structure]
        if structure in SIZES:
            yield bool(np.all(sizes == SIZES[structure]))
        elif structure in HANDLER:
            yield bool(np.all(sizes > 0))
        else:
            yield bool(np.all((sizes > 0) & (sizes % PAGE == 0)))


def _save_areas_told(run: Run) -> Iterator[bool]:
    """Whether what each SVM_ON names is that CPU's next operand of its own."""
    areas = run.records["detail"] & 0xFF == Structure.HOST_SAVE_AREA
    named = run.records["type"] == Type.SVM_ON
    waiting: dict[int, int] = {}
    for record in run.records[named | (areas & (run.records["type"] == Type.OPERAND))]:
        cpu, kind = int(record["cpu"]), record["type"]
        expected = waiting.pop(cpu, None)
        if expected is not None:
            yield kind == Type.OPERAND and int(record["physical"]) == expected
        if kind == Type.SVM_ON:
            waiting[cpu] = int(record["size"])
    yield not waiting


class _Bound:
    """What one vcpu has been told since its `bind`. `root`: of the page tables."""

    def __init__(self, bind: _Telling) -> None:
        self.root = bind.pointer
        self.vmcb = bind.physical
        self._foreign = bind.foreign
        self._places: dict[tuple[Structure, int], int] = {}
        self._structures: dict[Structure, int] = {}

    def tell(self, one: _Telling) -> None:
        """An operand of it, or the end of one."""
        by = -1 if one.gone else 1
        place = one.structure, one.physical
        self._places[place] = self._places.get(place, 0) + by
        self._structures[one.structure] = self._structures.get(one.structure, 0) + by

    def _has(self, *structures: Structure) -> bool:
        return all(self._structures.get(one, 0) > 0 for one in structures)

    def has_vmcbs(self) -> bool:
        """The VMCB and the host's, which every VMRUN uses."""
        own = self._places.get((Structure.VMCB, self.vmcb), 0) > 0
        return own and (self._foreign or self._has(Structure.HOST_VMCB))

    def has_reached(self) -> bool:
        """What a VMCB leads to: both maps, and the first page table."""
        if self._has(Structure.MORE):
            return True
        rooted = any(self._places.get((table, self.root), 0) > 0 for table in TABLES)
        return rooted and self._has(Structure.IOPM, Structure.MSRPM)


def _entries_told(run: Run) -> Iterator[bool]:
    """Whether each VMRUN that was not withheld had its addresses told before it.

    What stands in a VMCB that is not live is nobody's, and need not be.
    """
    bound: dict[int, _Bound] = {}
    without: list[tuple[int, int, int]] = []
    for record in _tellings(_told(run, Type.VMRUN)):
        one = bound.get(record.serial)
        match record.type:
            case Type.BIND:
                bound[record.serial] = _Bound(record)
            case Type.OPERAND if one is not None:
                one.tell(record)
            case Type.UNBIND:
                bound.pop(record.serial, None)
            case Type.VMRUN if not record.flags & Flag.WITHHELD:
                yield one is not None and one.vmcb == record.physical and one.has_vmcbs()
                if one is not None and not one.has_reached():
                    without.append((record.sequence, one.vmcb, VMCB_BYTES))
            case _:
                pass
    if not without:
        return
    lives = Lives(run)
    for (moment, vmcb, size), place in zip(without, lives.at(without), strict=True):
        yield not lives.holds(moment, place, vmcb, size)


VMCB_BYTES = 4096

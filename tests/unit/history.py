"""Runs written by hand: what the owner, the kernel and the memory would tell of them."""

from dataclasses import dataclass, field

import numpy as np

from freeonce.audit.audit import judge
from freeonce.audit.kernel import PROBES
from freeonce.audit.memory import Memory
from freeonce.audit.model import Asked, Judgement
from freeonce.evidence.ledger import (
    CPU_STATE_GIF,
    GUARD_BYTES,
    GUARD_LIVE,
    GUARD_RELEASED,
    PAGE_TAG,
    POISON_RELEASED,
    RECORD,
    Flag,
    Kind,
    Phase,
    Records,
    Structure,
    Type,
    Witness,
    seal,
)
from freeonce.evidence.snapshot import Snapshot

PAT_WB = 6
PAGE = 4096

ROOM = 0x800_0000
"""Pages for what any L2 needs besides its VMCB."""
ROOM_SERIAL = 900
REACHED = {
    Structure.NESTED_TABLE: (0, 1),
    Structure.HOST_VMCB: (1, 1),
    Structure.IOPM: (2, 3),
    Structure.MSRPM: (5, 2),
}
"""Where in it each lies, and how many pages it has."""


def guard(tag: int, serial: int, pattern: int) -> bytes:
    return tag.to_bytes(4, "little") + serial.to_bytes(4, "little") + bytes([pattern]) * 8


@dataclass
class Block:
    """One allocation as the guest's memory shows it."""

    serial: int
    pointer: int
    physical: int
    size: int
    kind: Kind
    tag: int
    released: bool = False
    mapped: int | None = None
    cache: int = PAT_WB

    def memory(self) -> bytes:
        filling = POISON_RELEASED if self.released else 0x5A
        pattern = GUARD_RELEASED if self.released else GUARD_LIVE
        return bytes([filling]) * self.size + guard(self.tag, self.serial, pattern) + self.rest()

    def rest(self) -> bytes:
        """Of the last page, behind the guard."""
        behind = -(self.size + GUARD_BYTES) % PAGE if self.kind is Kind.CONTIGUOUS else 0
        return bytes([GUARD_RELEASED if self.released else GUARD_LIVE]) * behind


@dataclass
class History:
    """Appends records as the guest would, sequence and run filled in."""

    run: int = 1
    rows: list[dict[str, int]] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    of_kernel: dict[int, int] = field(default_factory=dict)
    """Pointers by serial of what was taken from the kernel itself, and is live."""

    def add(self, what: Type, /, **fields: int) -> "History":
        self.rows.append(
            {
                "sequence": len(self.rows) + 1,
                "time": 1000 * len(self.rows),
                "run": self.run,
                "type": int(what),
                "witness": int(Witness.LEDGER),
                **fields,
            }
        )
        return self

    def kernel(self, what: Type, /, **fields: int) -> "History":
        return self.add(what, witness=int(Witness.KERNEL), **fields)

    def text(self, what: Type, text: str, serial: int = 0, piece: int = 0) -> "History":
        raw = text.encode().ljust(24, b"\0")
        pointer, physical, size = (
            int.from_bytes(raw[at : at + 8], "little") for at in range(0, 24, 8)
        )
        return self.add(
            what, pointer=pointer, physical=physical, size=size, serial=serial, detail=piece
        )

    def begin(self) -> "History":
        self.text(Type.BEGIN, "test/scenario")
        return self.kernel(Type.WITNESS_ON, detail=PROBES).cpu_state()

    def cpu_state(self, cpu: int = 0, efer: int = 0xD01, host_save_area: int = 0) -> "History":
        """A CPU with GIF set and 40 bits of physical address."""
        return self.add(
            Type.CPU_STATE,
            serial=cpu,
            cpu=cpu,
            pointer=efer,
            physical=host_save_area,
            size=40,
            detail=CPU_STATE_GIF,
        )

    def end(self, status: int = 0, *, states: bool = True) -> "History":
        if states:
            self.cpu_state()
        return self.add(Type.END, detail=status & 0xFFFF_FFFF, size=self.live())

    def live(self) -> int:
        """Allocations of the kernel's own allocators that are live."""
        return len(self.of_kernel)

    def take(self, serial: int, pointer: int, size: int = 64) -> "History":
        """By kmalloc()."""
        self.of_kernel[serial] = pointer
        return self.add(
            Type.ALLOCATE, serial=serial, pointer=pointer, size=size, kind=int(Kind.SLAB), detail=1
        )

    def give(
        self, serial: int, pointer: int, kind: Kind = Kind.SLAB, *, withheld: bool = False
    ) -> "History":
        """A release by a call of the kernel's, or of what was taken from it by one of ours."""
        if not withheld:
            self.of_kernel.pop(serial, None)
        flags = int(Flag.WITHHELD) if withheld else 0
        return self.add(Type.RELEASE, serial=serial, pointer=pointer, kind=int(kind), flags=flags)

    def stack(self, number: int, *frames: int) -> "History":
        """At most three return addresses."""
        pointer, physical, size = (*frames, 0, 0)[:3]
        return self.add(Type.STACK, site=number, pointer=pointer, physical=physical, size=size)

    def bind(self, vcpu: int, vmcb: int, nested_cr3: int = 0) -> "History":
        return self.add(Type.BIND, serial=vcpu, physical=vmcb, pointer=nested_cr3, detail=1)

    def operand(
        self,
        vcpu: int,
        structure: Structure,
        gpa: int,
        size: int = PAGE,
        cache: int = PAT_WB,
        **fields: int,
    ) -> "History":
        detail = int(structure) | cache << 8
        return self.add(Type.OPERAND, serial=vcpu, physical=gpa, size=size, detail=detail, **fields)

    def allocate_room(self) -> "History":
        """An allocation for what `bind_whole` gives to the CPU."""
        size, kind = 7 * PAGE, Kind.CONTIGUOUS
        return self.allocate(ROOM_SERIAL, ROOM, size, kind, 12, detail=PAT_WB)

    def release_room(self) -> "History":
        return self.release(ROOM_SERIAL, ROOM, 7 * PAGE, Kind.CONTIGUOUS, 12)

    def bind_whole(self, vcpu: int, vmcb: int, *but: Structure) -> "History":
        """All that a VMRUN needs to be told before it, but some."""
        self.bind(vcpu, vmcb, nested_cr3=ROOM)
        if Structure.VMCB not in but:
            self.operand(vcpu, Structure.VMCB, vmcb)
        for structure, (first, pages) in REACHED.items():
            if structure not in but:
                self.operand(vcpu, structure, ROOM + first * PAGE, pages * PAGE)
        return self

    def gone(
        self, vcpu: int, structure: Structure, gpa: int, size: int = PAGE, **fields: int
    ) -> "History":
        """The end of what `operand` gave."""
        return self.operand(vcpu, structure, gpa, size, flags=int(Flag.GONE), **fields)

    def vmrun(
        self, vcpu: int, vmcb: int, asid: int = 1, control: int = 0, cpu: int = 0
    ) -> "History":
        fields = {"serial": vcpu, "physical": vmcb, "detail": asid, "size": control, "cpu": cpu}
        return self.add(Type.VMRUN, **fields)

    def enter(
        self, vcpu: int, vmcb: int, asid: int = 1, control: int = 0, cpu: int = 0
    ) -> "History":
        """A VMRUN and its #VMEXIT."""
        self.vmrun(vcpu, vmcb, asid, control, cpu)
        return self.add(Type.VMEXIT, serial=vcpu, detail=0x72, cpu=cpu)

    def settle(self) -> "History":
        """Every allocation goes back to the kernel."""
        for block in self.blocks:
            self.add(Type.RECLAIM, serial=block.serial, pointer=block.pointer, kind=block.kind)
            self.kernel(Type.RELEASE, pointer=block.pointer, kind=block.kind, size=self.room(block))
        return self.add(Type.SETTLED, detail=len(self.blocks), size=self.broken())

    def broken(self) -> int:
        """How often memory was found broken."""
        return sum(row["type"] == Type.BROKEN for row in self.rows)

    @staticmethod
    def room(block: Block) -> int:
        """What the kernel gave for it."""
        needed = block.size + GUARD_BYTES
        return needed if block.kind is Kind.POOL else -(-needed // PAGE) * PAGE

    def allocate(
        self,
        serial: int,
        pointer: int,
        size: int = 64,
        kind: Kind = Kind.POOL,
        align_log2: int = 3,
        physical: int | None = None,
        detail: int | None = None,
        *,
        seen: bool = True,
    ) -> "History":
        gpa = pointer if physical is None else physical
        if detail is None:
            detail = 0 if kind is Kind.POOL else PAT_WB
        tag = detail if kind is Kind.POOL else PAGE_TAG
        cache = PAT_WB if kind is Kind.POOL else detail & 0xFF
        block = Block(serial, pointer, gpa, size, kind, tag, mapped=gpa, cache=cache)
        self.blocks.append(block)
        if seen:
            self.kernel(Type.ALLOCATE, pointer=pointer, kind=int(kind), size=self.room(block))
        self.add(
            Type.ALLOCATE,
            serial=serial,
            pointer=pointer,
            physical=gpa,
            size=size,
            kind=int(kind),
            align_log2=align_log2,
            detail=detail,
        )
        if kind is Kind.CONTIGUOUS:
            self.add(
                Type.CONSTRAINT,
                serial=serial,
                kind=int(kind),
                physical=(1 << 64) - 1,
                detail=detail & 0xFF,
            )
        return self

    def release(
        self,
        serial: int,
        pointer: int,
        size: int = 64,
        kind: Kind = Kind.POOL,
        align_log2: int = 3,
        withheld: bool = False,
        named: int = 0,
        flags: int = 0,
    ) -> "History":
        """`named`: the tag, or 1 + the cache type, that the release names."""
        self.add(
            Type.RELEASE,
            serial=serial,
            pointer=pointer,
            size=size,
            kind=int(kind),
            align_log2=align_log2,
            detail=named,
            flags=flags | (int(Flag.WITHHELD) if withheld else 0),
        )
        for block in self.blocks:
            if block.serial == serial and not withheld and not block.released:
                taken = guard(block.tag, serial, GUARD_LIVE)
                words = (int.from_bytes(taken[at : at + 8], "little") for at in (0, 8))
                pointer, physical = words
                self.add(Type.GUARD, serial=serial, pointer=pointer, physical=physical)
                if block.cache != PAT_WB:
                    self.add(Type.RESTORED, serial=serial, pointer=block.pointer, detail=PAT_WB)
                block.released = True
        return self

    def records(self) -> Records:
        records = np.zeros(len(self.rows), RECORD)
        for index, row in enumerate(self.rows):
            for name, value in row.items():
                records[index][name] = value
        return seal(records)

    def data(self) -> bytes:
        return self.records().tobytes()

    def memory(self, written: dict[int, int] | None = None) -> Memory:
        """What the host reads; `written`: bytes by gpa that somebody wrote over."""
        gpas: dict[int, int | None] = {}
        parts = []
        for block in self.blocks:
            last = block.size + GUARD_BYTES - 1
            gpas[block.pointer] = block.mapped
            gpas[block.pointer + last] = None if block.mapped is None else block.mapped + last
            data = bytearray(block.memory())
            for gpa, value in (written or {}).items():
                if 0 <= gpa - block.physical < len(data):
                    data[gpa - block.physical] = value
            parts.append((block.physical, bytes(data)))
        return Memory(Snapshot(parts), gpas)

    def judged(self, written: dict[int, int] | None = None) -> Judgement:
        """The judgement on the run when all three witnesses are heard."""
        return judge(self.records(), self.memory(written))

    def done(self) -> Judgement:
        """As `judged`, with end and settling added."""
        return self.end().settle().judged()


def run() -> History:
    """A history with its begin."""
    return History().begin()


PAGE_OFFSET = 0xFFFF_8880_0000_0000
CACHE = PAGE_OFFSET + 0x7000
MAPPED = (Kind.SLAB, Kind.OBJECT, Kind.PAGES)
LIFE = Asked(cpus=1, flags=int(Flag.LIFE))


@dataclass
class Holding:
    """One allocation of a subject. `contents`: what stands in it, with its guard."""

    serial: int
    pointer: int
    size: int
    kind: Kind
    guard: int
    live: bool = True
    kept: bool = False

    def contents(self) -> bytes:
        pattern = bytes([GUARD_LIVE]) * self.guard
        if self.guard >= GUARD_BYTES:
            pattern = b"free" + self.serial.to_bytes(4, "little") + pattern[8:]
        return bytes([POISON_RELEASED if self.kept else 0x5A]) * self.size + pattern


class Life(History):
    """The life of one module as the instrument tells it, with what it acquires and releases."""

    def __init__(self) -> None:
        super().__init__()
        self.holdings: dict[int, Holding] = {}
        self.serial = 0

    def born(self) -> "Life":
        """From the begin to a module that is live."""
        self.text(Type.BEGIN, "life", serial=0xFFFF_FFFF)
        self.rows[-1]["flags"] = int(Flag.LIFE)
        self.kernel(Type.WITNESS_ON, detail=PROBES).cpu_state()
        self.text(Type.SUBJECT, "zram", serial=1)
        return self.phase(Phase.COMING).phase(Phase.LIVE)

    def phase(self, phase: Phase, load: int = 1) -> "Life":
        self.add(Type.PHASE, serial=load, detail=int(phase))
        return self

    def acquire(
        self,
        kind: Kind,
        pointer: int,
        size: int = 64,
        site: int = 1,
        guard: int = 0,
        cache: int = 0,
        **fields: int,
    ) -> int:
        """The serial of it."""
        self.serial += 1
        self.holdings[self.serial] = Holding(self.serial, pointer, size, kind, guard)
        physical = pointer - PAGE_OFFSET if kind in MAPPED else 0
        if kind is Kind.OBJECT:
            physical = cache or CACHE
        self.add(
            Type.ALLOCATE,
            serial=self.serial,
            pointer=pointer,
            physical=physical,
            size=size,
            kind=int(kind),
            site=site,
            detail=1 | guard << 16,
            **fields,
        )
        return self.serial

    def drop(
        self,
        serial: int,
        kind: Kind | None = None,
        pointer: int | None = None,
        flags: int = 0,
        size: int | None = None,
        site: int = 2,
        cache: int = 0,
    ) -> "Life":
        """Released, by the right call unless `kind` says otherwise."""
        holding = self.holdings.get(serial)
        if holding is not None and pointer is None:
            pointer, kind = holding.pointer, kind or holding.kind
            holding.kept |= holding.live and bool(flags & Flag.KEPT)
            # What is withheld from the kernel stays its owner's.
            holding.live &= bool(flags & Flag.WITHHELD)
            size = holding.size if size is None and kind is Kind.PAGES else size
            cache = CACHE if kind is Kind.OBJECT and not cache else cache
        self.add(
            Type.RELEASE,
            serial=serial,
            pointer=pointer or 0,
            size=size or 0,
            kind=int(kind or Kind.SLAB),
            flags=flags,
            site=site,
            physical=cache,
        )
        return self

    def taken(self, serial: int, site: int = 3) -> "Life":
        """The kernel releases it by itself."""
        holding = self.holdings[serial]
        holding.live = holding.kept = False
        self.kernel(
            Type.RELEASE, serial=serial, pointer=holding.pointer, kind=int(holding.kind), site=site
        )
        return self

    def reclaim(self, serial: int) -> "Life":
        """What was kept goes back to the kernel."""
        holding = self.holdings[serial]
        holding.kept = False
        kind = int(holding.kind)
        self.add(Type.RECLAIM, serial=serial, pointer=holding.pointer, kind=kind, size=holding.size)
        return self

    def dead(self, *, unloaded: bool = True) -> "Life":
        """Unloaded, come to rest, at its end."""
        if unloaded:
            self.phase(Phase.GOING).phase(Phase.GONE)
        self.add(Type.QUIESCED, detail=0b111, size=self.live())
        self.end()
        self.kept_at_end = {one.serial: one.contents() for one in self.holdings.values()}
        return self

    def live(self) -> int:
        return sum(one.live for one in self.holdings.values())

    def settle(self) -> "Life":
        """What is kept goes back."""
        kept = [one.serial for one in self.holdings.values() if one.kept]
        for serial in kept:
            self.reclaim(serial)
        self.add(Type.SETTLED, detail=len(kept), size=self.broken())
        return self

    def memory(self, written: dict[int, int] | None = None) -> Memory:
        parts = []
        for serial, contents in self.kept_at_end.items():
            holding, data = self.holdings[serial], bytearray(contents)
            for gva, value in (written or {}).items():
                if 0 <= gva - holding.pointer < len(data):
                    data[gva - holding.pointer] = value
            if holding.kind in MAPPED:
                parts.append((holding.pointer - PAGE_OFFSET, bytes(data)))
        return Memory(Snapshot(parts), {}, PAGE_OFFSET)

    def judged(self, written: dict[int, int] | None = None) -> Judgement:
        return judge(self.records(), self.memory(written), asked=LIFE)

    def whole(self, written: dict[int, int] | None = None) -> Judgement:
        """As `judged`, with the end of its life and the settling added."""
        return self.dead().settle().judged(written)


def born() -> Life:
    """A module that is live."""
    return Life().born()

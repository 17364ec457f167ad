"""Runs written by hand: what the owner, the kernel and the memory would tell of them."""

from dataclasses import dataclass, field

import numpy as np

from freeonce.audit.audit import judge
from freeonce.audit.memory import Memory
from freeonce.audit.model import Judgement
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
        return bytes([filling]) * self.size + guard(self.tag, self.serial, pattern)


@dataclass
class History:
    """Appends records as the guest would, sequence and run filled in."""

    run: int = 1
    rows: list[dict[str, int]] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)

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

    def text(self, what: Type, text: str, serial: int = 0) -> "History":
        raw = text.encode().ljust(24, b"\0")
        pointer, physical, size = (
            int.from_bytes(raw[at : at + 8], "little") for at in range(0, 24, 8)
        )
        return self.add(what, pointer=pointer, physical=physical, size=size, serial=serial)

    def begin(self) -> "History":
        self.text(Type.BEGIN, "test/scenario")
        return self.kernel(Type.WITNESS_ON, detail=0b1111).cpu_state()

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
        return self.add(Type.END, detail=status & 0xFFFF_FFFF)

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

    def enter(self, vcpu: int, vmcb: int) -> "History":
        """A VMRUN and its #VMEXIT."""
        self.add(Type.VMRUN, serial=vcpu, physical=vmcb)
        return self.add(Type.VMEXIT, serial=vcpu, detail=0x72)

    def settle(self) -> "History":
        """Every allocation goes back to the kernel."""
        for block in self.blocks:
            self.add(Type.RECLAIM, serial=block.serial, pointer=block.pointer, kind=block.kind)
            self.kernel(Type.RELEASE, pointer=block.pointer, kind=block.kind, size=self.room(block))
        return self.add(Type.SETTLED, detail=len(self.blocks))

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
    ) -> "History":
        self.add(
            Type.RELEASE,
            serial=serial,
            pointer=pointer,
            size=size,
            kind=int(kind),
            align_log2=align_log2,
            flags=int(Flag.WITHHELD) if withheld else 0,
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

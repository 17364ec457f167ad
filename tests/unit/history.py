"""Ledgers written by hand: what a run would leave, record by record."""

from dataclasses import dataclass, field

import numpy as np

from freeonce.evidence.ledger import RECORD, Flag, Kind, Records, Type, Witness, seal

PAT_WB = 6


@dataclass
class History:
    """Appends records as the guest would, sequence and run filled in."""

    run: int = 1
    rows: list[dict[str, int]] = field(default_factory=list)

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

    def text(self, what: Type, text: str, serial: int = 0) -> "History":
        raw = text.encode().ljust(24, b"\0")
        pointer, physical, size = (
            int.from_bytes(raw[at : at + 8], "little") for at in range(0, 24, 8)
        )
        return self.add(what, pointer=pointer, physical=physical, size=size, serial=serial)

    def begin(self) -> "History":
        return self.text(Type.BEGIN, "test/scenario")

    def end(self, status: int = 0) -> "History":
        return self.add(Type.END, detail=status & 0xFFFF_FFFF)

    def allocate(
        self,
        serial: int,
        pointer: int,
        size: int = 64,
        kind: Kind = Kind.POOL,
        align_log2: int = 3,
        physical: int | None = None,
        detail: int = 0,
    ) -> "History":
        return self.add(
            Type.ALLOCATE,
            serial=serial,
            pointer=pointer,
            physical=pointer if physical is None else physical,
            size=size,
            kind=int(kind),
            align_log2=align_log2,
            detail=detail,
        )

    def release(
        self,
        serial: int,
        pointer: int,
        size: int = 64,
        kind: Kind = Kind.POOL,
        align_log2: int = 3,
        withheld: bool = False,
    ) -> "History":
        return self.add(
            Type.RELEASE,
            serial=serial,
            pointer=pointer,
            size=size,
            kind=int(kind),
            align_log2=align_log2,
            flags=int(Flag.WITHHELD) if withheld else 0,
        )

    def records(self) -> Records:
        records = np.zeros(len(self.rows), RECORD)
        for index, row in enumerate(self.rows):
            for name, value in row.items():
                records[index][name] = value
        return seal(records)

    def data(self) -> bytes:
        return self.records().tobytes()


def run() -> History:
    """A history with its begin."""
    return History().begin()

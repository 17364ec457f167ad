"""The guest's memory under a changed ledger: whatever address a record claims, something answers.

Only what the host read of the true run is known. All else of the guest's RAM is zeros: nobody
put a guard or poison where nothing was allocated.
"""

from freeonce.audit.memory import Memory
from freeonce.evidence.snapshot import Extent, Snapshot

RAM = 256 << 20
DIRECT_MAP = 0xFFFF_8880_0000_0000
"""Where Linux maps all of it (Documentation/arch/x86/x86_64/mm.rst)."""
MOST = 1 << 20
"""Bytes of one read here. The harness bounds what it looks at as well."""


class _Ram(Snapshot):
    """All RAM. `true`: what stands in those parts that were read."""

    def __init__(self, true: Snapshot) -> None:
        super().__init__((one.gpa, true.read(one.gpa, one.size) or b"") for one in true.extents)

    def read(self, gpa: int, size: int) -> bytes | None:
        """What was read there, zeros between."""
        found = super().read(gpa, size)
        if found is not None or gpa < 0 or gpa + size > RAM or size > MOST:
            return found
        data = bytearray(size)
        for part in self.extents:
            shared = Extent(max(part.gpa, gpa), min(part.end, gpa + size) - max(part.gpa, gpa))
            if shared.size > 0:
                known = super().read(shared.gpa, shared.size) or b""
                data[shared.gpa - gpa : shared.gpa - gpa + shared.size] = known
        return bytes(data)


class _Tables(dict[int, int | None]):
    """Page tables: those of the true run, and behind them the map of all memory."""

    def get(self, gva: int, default: object = None) -> int | None:
        """The gpa, None where nothing is mapped."""
        if gva in self:
            return self[gva]
        gpa = gva - DIRECT_MAP
        return gpa if 0 <= gpa < RAM else None


def world(true: Memory) -> Memory:
    """The memory of a true run for whoever looks elsewhere in it."""
    return Memory(_Ram(true.snapshot), _Tables(true.gpas), DIRECT_MAP)

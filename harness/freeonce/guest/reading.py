"""What the host reads of a guest, whether that runs, stands or has died."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from freeonce.errors import EvidenceError
from freeonce.evidence.ledger import HEADER_BYTES, RECORD_BYTES, Header, parse_header
from freeonce.evidence.paging import CR4_LA57, translate
from freeonce.evidence.snapshot import Extent, Snapshot, merge
from freeonce.machine.argv import MachineConfig
from freeonce.machine.monitor import Monitor

MAX_LOOK = 256 << 20
"""Bytes of memory that one look may read: the ledger says where, and it may lie."""


class Readable:
    """A machine whose ledger, memory and page tables are read, all of it untrusted.

    Registers come over QMP, and so does memory if nothing else is said. Every method raises
    GuestLost when QEMU is gone, and what `read` raises.
    """

    def __init__(
        self,
        config: MachineConfig,
        line: Monitor,
        read: Callable[[int, int], bytes] | None = None,
    ) -> None:
        """`read`: bytes from a gpa on, by another way than QMP; with `Mapped` it raises OSError."""
        self.config = config
        self.monitor = line
        self._read = read or line.read_memory

    def header(self) -> Header:
        """The ledger's header, read by the host. Raises EvidenceError."""
        window = self.config.window
        return parse_header(self._read(window.base, HEADER_BYTES), window.size)

    def window(self, first: int, *, drained: int | None = None) -> tuple[Header, bytes]:
        """The header and the records from `first` (0-based), as they stand in memory.

        Read by the host while the guest is held still. `drained`: how many records the host has
        by its own count, which is believed in place of the header's. Raises EvidenceError.
        """
        with self.monitor.paused():
            header = self.header()
            if drained is not None:
                header = replace(header, drained=drained)
            return header, self.records(first, header.count - first, header.capacity)

    def records(self, first: int, count: int, capacity: int) -> bytes:
        """At most `capacity` records from `first` on, as they stand in memory now."""
        begin, count = first % capacity, max(min(count, capacity), 0)
        to_end = min(count, capacity - begin)
        base = self.config.window.base + HEADER_BYTES
        data = self._read(base + begin * RECORD_BYTES, to_end * RECORD_BYTES)
        if count > to_end:
            data += self._read(base, (count - to_end) * RECORD_BYTES)
        return data

    def look(self, extents: Sequence[Extent]) -> Snapshot:
        """Guest-physical memory; what lies outside of the guest's memory is left out.

        Raises EvidenceError when that is more than MAX_LOOK.
        """
        inside = [one for one in extents if one.gpa >= 0 and one.end <= self.config.memory]
        reads = merge(inside)
        if sum(extent.size for extent in reads) > MAX_LOOK:
            raise EvidenceError(f"the ledger names more than {MAX_LOOK} bytes to look at")
        return Snapshot((extent.gpa, self._read(extent.gpa, extent.size)) for extent in reads)

    def translate(self, gvas: Sequence[int]) -> dict[int, int | None]:
        """The gpa of each gva, by the page tables that the CPU uses now."""
        if not gvas:
            return {}
        registers = self.monitor.registers()
        found = {}
        for name in ("CR3", "CR4"):
            match = re.search(rf"\b{name}=([0-9a-f]+)", registers)
            if match is None:
                raise EvidenceError(f"QEMU does not tell {name}")
            found[name] = int(match[1], 16)
        levels = 5 if found["CR4"] & CR4_LA57 else 4
        return translate(gvas, found["CR3"], levels, self.look)

"""The guest's page tables, walked by the host. AMD manual volume 2, 5.3. Pure.

All addresses are walked together, a level at a time, so that the number of reads is
the number of levels and not of addresses.
"""

from collections.abc import Callable, Iterable, Sequence

from freeonce.evidence.snapshot import Extent, Snapshot

Read = Callable[[Sequence[Extent]], Snapshot]

PAGE_BYTES = 4096
ENTRY_BYTES = 8
PRESENT = 1
LARGE = 1 << 7
ADDRESS = 0x000F_FFFF_FFFF_F000
CR4_LA57 = 1 << 12


def translate(gvas: Iterable[int], cr3: int, levels: int, read: Read) -> dict[int, int | None]:
    """The gpa of each gva; None where nothing is mapped or a table could not be read.

    `levels`: 4, or 5 with CR4.LA57. `read` is called once a level.
    """
    found: dict[int, int | None] = dict.fromkeys(gvas)
    tables = dict.fromkeys(found, cr3 & ADDRESS)
    for level in range(levels, 0, -1):
        shift = 12 + 9 * (level - 1)
        snapshot = read([Extent(table, PAGE_BYTES) for table in sorted(set(tables.values()))])
        below = {}
        for gva, table in tables.items():
            entry = _entry(snapshot, table, gva >> shift & 0x1FF)
            if not entry & PRESENT:
                continue
            if level == 1 or (entry & LARGE and level <= 3):
                offset = (1 << shift) - 1
                found[gva] = (entry & ADDRESS & ~offset) | (gva & offset)
            else:
                below[gva] = entry & ADDRESS
        tables = below
    return found


def _entry(snapshot: Snapshot, table: int, index: int) -> int:
    raw = snapshot.read(table + index * ENTRY_BYTES, ENTRY_BYTES)
    return int.from_bytes(raw, "little") if raw else 0

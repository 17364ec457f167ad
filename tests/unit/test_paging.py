"""The guest's page tables as the host walks them. AMD manual volume 2, 5.3."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from freeonce.evidence.paging import translate
from freeonce.evidence.snapshot import Extent, Snapshot

PAGE = 4096
# 5.4: present and writable, with the page size, not to be executed.
TABLE, LARGE, NO_EXECUTE = 0b11, 1 << 7, 1 << 63


class Tables:
    """Page tables by their gpa. `reads`: which of them were read, level by level."""

    def __init__(self) -> None:
        self.tables: dict[int, dict[int, int]] = {}
        self.reads: list[list[int]] = []

    def set(self, table: int, index: int, entry: int) -> None:
        self.tables.setdefault(table, {})[index] = entry

    def read(self, extents: Sequence[Extent]) -> Snapshot:
        assert {extent.size for extent in extents} <= {PAGE}
        self.reads.append([extent.gpa for extent in extents])
        parts = []
        for extent in extents:
            table = self.tables.get(extent.gpa, {})
            raw = b"".join(table.get(index, 0).to_bytes(8, "little") for index in range(512))
            parts.append((extent.gpa, raw))
        return Snapshot(parts)


@pytest.mark.parametrize("levels", [4, 5])
def test_page_tables_are_walked_a_level_at_a_time(levels: int) -> None:
    tables = Tables()
    top = 0x8000 if levels == 5 else 0x1000
    if levels == 5:
        tables.set(0x1000, 0, top | TABLE)
    tables.set(top, 0, 0x2000 | TABLE)
    tables.set(0x2000, 0, 0x3000 | TABLE)
    tables.set(0x2000, 1, 0x8000_0000 | TABLE | LARGE)
    tables.set(0x3000, 0, 0x4000 | TABLE)
    tables.set(0x3000, 1, 0x60_0000 | TABLE | LARGE)
    tables.set(0x4000, 5, 0x123_4000 | TABLE | NO_EXECUTE)
    gvas = [0x6000, 0x1_0000_0000, 0x5678, 0x20_0042, 0x4000_1234]
    # Bits 3 and 4 of CR3 say how its table is cached.
    found = translate(gvas, 0x1000 | 0x18, levels, tables.read)
    assert found == {
        0x5678: 0x123_4678,
        0x20_0042: 0x60_0042,
        0x4000_1234: 0x8000_1234,
        0x6000: None,
        0x1_0000_0000: None,
    }
    above = [[0x1000]] if levels == 5 else []
    assert tables.reads == [*above, [top], [0x2000], [0x3000], [0x4000]]


def test_each_level_has_nine_bits_of_the_address() -> None:
    """511, 510, 509, 508 and 507, from the top on: bits 48, 39, 30, 21 and 12."""
    gva = 0xFFFF << 48 | 511 << 48 | 510 << 39 | 509 << 30 | 508 << 21 | 507 << 12 | 0xABC
    # All of 5.3.3's bits 51 to 12 are the address.
    roots = [0xF_FFFF_FFFF_1000, 0x2000, 0x3000, 0x4000, 0x5000]
    below = [*roots[1:], 0xA_BCDE_F012_3000]
    tables = Tables()
    for table, index, entry in zip(roots, (511, 510, 509, 508, 507), below, strict=True):
        tables.set(table, index, entry | TABLE | NO_EXECUTE)
    assert translate([gva], roots[0], 5, tables.read) == {gva: 0xA_BCDE_F012_3ABC}
    assert tables.reads == [[table] for table in roots]
    assert translate([gva], roots[1], 4, tables.read) == {gva: 0xA_BCDE_F012_3ABC}


@pytest.mark.parametrize(
    ("size", "mapped"), [(1 << 30, 0x1_8000_0000), (1 << 21, 0x1_8060_0000), (1 << 12, 0x7000)]
)
def test_a_page_has_the_rest_of_the_address(size: int, mapped: int) -> None:
    tables = Tables()
    for table, below in ((0x1000, 0x2000), (0x2000, 0x3000), (0x3000, 0x4000)):
        tables.set(table, 0, below | TABLE)
    last = {1 << 30: 0x2000, 1 << 21: 0x3000, 1 << 12: 0x4000}[size]
    # The PAT bit is bit 12 of a large page's entry, and bit 7 of a small one's.
    tables.set(last, 0, mapped | TABLE | LARGE | (1 << 12 if size > PAGE else 0))
    found = translate([0, size - 1], 0x1000, 4, tables.read)
    assert found == {0: mapped, size - 1: mapped + size - 1}


@pytest.mark.parametrize("level", [4, 5])
def test_there_is_no_page_above_1_gib(level: int) -> None:
    """The bit is reserved there."""
    tables = Tables()
    ways = [0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x7000][5 - level :]
    for number, (table, below) in enumerate(pairwise(ways)):
        tables.set(table, 0, below | TABLE | (LARGE if number == 0 else 0))
    assert translate([0x12], ways[0], level, tables.read) == {0x12: 0x7012}


@pytest.mark.parametrize("missing", [0x1000, 0x2000, 0x3000, 0x4000])
def test_where_a_table_cannot_be_read_nothing_is_known(missing: int) -> None:
    tables = Tables()
    for table in (0x1000, 0x2000, 0x3000, 0x4000):
        tables.set(table, 0, table + 0x1000 | TABLE)

    def read(extents: Sequence[Extent]) -> Snapshot:
        return tables.read([extent for extent in extents if extent.gpa != missing])

    assert translate([0x12], 0x1000, 4, read) == {0x12: None}


def test_an_entry_that_is_not_present_says_nothing() -> None:
    tables = Tables()
    tables.set(0x1000, 0, 0x2000 | TABLE & ~1)
    tables.set(0x2000, 0, 0x8000_0000 | TABLE | LARGE)
    assert translate([0x12], 0x1000, 4, tables.read) == {0x12: None}


def test_a_table_is_read_once_for_all_addresses() -> None:
    tables = Tables()
    tables.set(0x1000, 0, 0x3000 | TABLE)
    tables.set(0x1000, 1, 0x2000 | TABLE)
    tables.set(0x2000, 0, 0x4000_0000 | TABLE | LARGE)
    tables.set(0x3000, 0, 0xC000_0000 | TABLE | LARGE)
    gvas = [1, 2, (1 << 39) + 1]
    found = translate(gvas, 0x1000, 4, tables.read)
    assert found == {1: 0xC000_0001, 2: 0xC000_0002, (1 << 39) + 1: 0x4000_0001}
    assert tables.reads[:2] == [[0x1000], [0x2000, 0x3000]]

"""A module's relocations: who names which code, and more of them. Pure. System V ABI, chapter 4."""

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from freeonce.subject.elf import ALLOC, EXECUTABLE, Elf, Table, damaged

RELA = np.dtype([("offset", "<u8"), ("info", "<u8"), ("addend", "<i8")])
ENTRY = struct.Struct("<QQq")
RELA_TYPE = 4
"""Of a section: relocations with addends."""
PC32, PLT32 = 2, 4
"""R_X86_64_PC32 and R_X86_64_PLT32: relative to where they stand."""
WIDE = (1, 24)
"""R_X86_64_64 and R_X86_64_PC64, of 8 bytes; a module's others have 4."""
EXCEPTIONS = "__ex_table"
"""The section that names instructions which may fault, and where to go on then."""


class Reference(NamedTuple):
    """That something of a module names a place in its code.

    `section` and `offset`: where it stands; `target`: the offset that it means; `from_code`:
    whether it is code that goes there.
    """

    section: int
    offset: int
    target: int
    from_code: bool


@dataclass
class Relocations:
    """All of a file. `tables`: by the section that they are for: their own, and the entries."""

    elf: Elf
    tables: dict[int, tuple[int, Table]]
    added: defaultdict[int, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    aimed: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, elf: Elf) -> "Relocations":
        """Raises SubjectError `damaged`."""
        tables = {}
        for index in np.flatnonzero(elf.sections["type"] == RELA_TYPE):
            data = elf.content(int(index))
            of = int(elf.sections[index]["info"])
            if len(data) % RELA.itemsize or of >= len(elf.sections):
                raise damaged("its relocations end within one, or are for no section")
            table: Table = np.frombuffer(data, RELA).copy()
            if np.any(table["info"] >> np.uint64(32) >= len(elf.symbols)):
                raise damaged("a relocation by a symbol that it does not have")
            tables[of] = int(index), table
        return cls(elf, tables)

    def table_of(self, section: int) -> int | None:
        """The index of the section with those for one."""
        found = self.tables.get(section)
        return None if found is None else found[0]

    def count(self, section: int) -> int:
        """How many there are for one."""
        return len(self.tables[section][1]) if section in self.tables else 0

    def within(self, section: int, start: int, end: int) -> bool:
        """Whether any of these bytes is filled in when the module is loaded."""
        if section not in self.tables:
            return False
        table = self.tables[section][1]
        sizes = np.where(np.isin(table["info"] & np.uint64(0xFFFFFFFF), WIDE), 8, 4)
        offsets = table["offset"].astype(np.int64)
        return bool(np.any((offsets + sizes > start) & (offsets < end)))

    def places(self, section: int) -> frozenset[int]:
        """Where in a section each of its relocations stands."""
        if section not in self.tables:
            return frozenset()
        return frozenset(self.tables[section][1]["offset"].tolist())

    def to(self, section: int, start: int, end: int) -> Iterator[Reference]:
        """Who names these bytes of a section."""
        symbols = self.elf.symbols
        mine = np.flatnonzero(symbols["section"] == section)
        for of, (_, table) in self.tables.items():
            flags = int(self.elf.sections[of]["flags"])
            code = flags & (ALLOC | EXECUTABLE) == ALLOC | EXECUTABLE
            numbers = (table["info"] >> np.uint64(32)).astype(np.int64)
            kinds = (table["info"] & np.uint64(0xFFFFFFFF)).astype(np.int64)
            # Of a call or jump the distance counts from behind its last four bytes.
            ahead = np.where(code & np.isin(kinds, (PC32, PLT32)), 4, 0)
            targets = symbols["value"][numbers].astype(np.int64) + table["addend"] + ahead
            for i in np.flatnonzero(np.isin(numbers, mine) & (targets >= start) & (targets < end)):
                yield Reference(of, int(table["offset"][i]), int(targets[i]), bool(code))

    def meant(self, section: int, offset: int) -> tuple[int, int] | None:
        """The section and offset that the distance which stands there leads to."""
        if section not in self.tables:
            return None
        table = self.tables[section][1]
        for entry in table[(table["offset"] == offset) & (table["info"] & 0xFFFFFFFF == PC32)]:
            symbol = self.elf.symbols[int(entry["info"]) >> 32]
            return int(symbol["section"]), int(symbol["value"]) + int(entry["addend"])
        return None

    def add(self, section: int, offset: int, kind: int, symbol: int, addend: int) -> None:
        """One more. `symbol`: its index, which may be one that is not there yet."""
        self.added[section].append(ENTRY.pack(offset, symbol << 32 | kind, addend))

    def aim(self, name: str, section: int, old: int, new: int) -> None:
        """Whoever in the section of that name means one place in another means a new one."""
        of = self.elf.index_of(name)
        if of is None or of not in self.tables:
            return
        symbols, (_, table) = self.elf.symbols, self.tables[of]
        numbers = (table["info"] >> np.uint64(32)).astype(np.int64)
        targets = symbols["value"][numbers].astype(np.int64) + table["addend"]
        chosen = (symbols["section"][numbers] == section) & (targets == old)
        if np.any(chosen):
            table["addend"][chosen] += new - old
            self.aimed.add(of)

    def contents(self) -> dict[int, bytes]:
        """By the index of a section with relocations, what is to stand in it."""
        changed = self.added.keys() | self.aimed
        return {
            self.tables[of][0]: self.tables[of][1].tobytes() + b"".join(self.added.get(of, ()))
            for of in changed
        }

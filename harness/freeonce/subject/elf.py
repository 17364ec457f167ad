"""Relocatable ELF files for x86-64: read and written, with every bound checked. Pure.

Format: System V ABI, chapters 4 and 5, ELF-64. Not by a library: none of those here can write
one, and what a hostile file makes them raise is anything.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from freeonce.errors import Obstacle, SubjectError
from freeonce.evidence.text import printable

MAGIC = b"\x7fELF"
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
ELF64, LITTLE_ENDIAN, RELOCATABLE, X86_64 = 2, 1, 1, 62

SECTION = np.dtype(
    [
        ("name", "<u4"),
        ("type", "<u4"),
        ("flags", "<u8"),
        ("address", "<u8"),
        ("offset", "<u8"),
        ("size", "<u8"),
        ("link", "<u4"),
        ("info", "<u4"),
        ("align", "<u8"),
        ("entry", "<u8"),
    ]
)
SYMTAB, NOBITS = 2, 8
ALLOC, EXECUTABLE = 2, 4

SYMBOL = np.dtype(
    [
        ("name", "<u4"),
        ("info", "u1"),
        ("other", "u1"),
        ("section", "<u2"),
        ("value", "<u8"),
        ("size", "<u8"),
    ]
)
UNDEFINED = 0
FUNCTION = 2
"""Of a symbol's type, the lower half of `info`."""

Table = npt.NDArray[np.void]


def damaged(message: str) -> SubjectError:
    """What to raise for a file that contradicts itself."""
    return SubjectError(Obstacle.DAMAGED, f"a damaged ELF file: {message}")


@dataclass(frozen=True)
class Elf:
    """A file's bytes, its section headers, and where its symbols are.

    `sections`: of SECTION; `symbols`: of SYMBOL; `names`: index of the symbols' string table,
    0 without symbols; `symtab`: likewise of the symbols.
    """

    data: bytes
    sections: Table
    section_names: tuple[str, ...]
    symtab: int
    names: int

    def content(self, index: int) -> bytes:
        """The bytes of a section. Raises SubjectError `damaged` when the file ends before."""
        return content(self.data, self.sections, index)

    @cached_property
    def symbols(self) -> Table:
        """The symbol table; empty without one. Raises SubjectError `damaged`."""
        data = self.content(self.symtab) if self.symtab else b""
        if len(data) % SYMBOL.itemsize:
            raise damaged("its symbol table ends within a symbol")
        table: Table = np.frombuffer(data, SYMBOL)
        if np.any(table["name"] >= max(len(self.strings), 1)):
            raise damaged("a symbol's name lies outside of its string table")
        return table

    @cached_property
    def strings(self) -> bytes:
        """The symbols' string table."""
        return self.content(self.names) if self.names else b""

    def symbol_name(self, index: int) -> str:
        """The name of a symbol by its index."""
        return text_at(self.strings, int(self.symbols[index]["name"]))

    def index_of(self, name: str) -> int | None:
        """The first section of that name."""
        return self.section_names.index(name) if name in self.section_names else None

    def named(self, name: str) -> bytes:
        """The content of the first section of that name; empty when there is none."""
        index = self.index_of(name)
        return b"" if index is None else self.content(index)


def text_at(strings: bytes, offset: int, limit: int = 512) -> str:
    """The string that begins at `offset`, at most `limit` bytes of it, safe to print."""
    end = strings.find(b"\0", offset, offset + limit)
    return printable(strings[offset : end if end >= 0 else offset + limit], "")


def content(data: bytes, sections: Table, index: int) -> bytes:
    """The bytes of a section, none of one without."""
    one = sections[index]
    if one["type"] == NOBITS:
        return b""
    start, size = int(one["offset"]), int(one["size"])
    if start + size > len(data):
        raise damaged(f"section {index} ends at byte {start + size} of {len(data)}")
    return data[start : start + size]


def parse_elf(data: bytes) -> Elf:
    """The file, when it is a relocatable one for x86-64. Raises SubjectError with what it is."""
    if not data.startswith(MAGIC):
        begins = data[:8].hex(" ") or "nothing"
        raise SubjectError(Obstacle.NO_ELF, f"no ELF file: it begins with {begins}")
    if len(data) < HEADER.size:
        raise damaged(f"only {len(data)} bytes")
    ident, kind, machine, *rest = HEADER.unpack_from(data)
    if (ident[4], ident[5], machine) != (ELF64, LITTLE_ENDIAN, X86_64):
        message = f"built for another machine (ELF machine {machine}), not for x86-64"
        raise SubjectError(Obstacle.WRONG_MACHINE, message)
    if kind != RELOCATABLE:
        message = "an ELF file, but a program or a library: a module is relocatable"
        raise SubjectError(Obstacle.NOT_A_MODULE, message)
    start, entry, count, names = rest[3], *rest[8:11]
    if entry != SECTION.itemsize or not count or names >= count:
        raise damaged("its section table is not valid")
    if start + count * entry > len(data):
        raise damaged("its section table lies outside the file; is the file truncated?")
    sections: Table = np.frombuffer(data, SECTION, count, start)
    stored = sections["size"][sections["type"] != NOBITS].astype(float)
    if stored.sum() > len(data):
        raise damaged("its sections are larger than the file")
    strings = content(data, sections, names)
    section_names = tuple(text_at(strings, int(offset)) for offset in sections["name"])
    return Elf(data, sections, section_names, *_symbol_tables(sections))


def _symbol_tables(sections: Table) -> tuple[int, int]:
    """The index of the symbol table and of its strings; 0 without."""
    found = np.flatnonzero(sections["type"] == SYMTAB)
    if not len(found):
        return 0, 0
    symtab = int(found[0])
    names = int(sections[symtab]["link"])
    if not 0 < names < len(sections):
        raise damaged("its symbol table has no string table")
    return symtab, names


def rewrite(elf: Elf, contents: Mapping[int, bytes], dropped: frozenset[int]) -> bytes:
    """The same file with other contents of some sections, and none of those `dropped`.

    Every section and every symbol keeps its index. What follows the sections, as a
    module's signature does, is not there any more.
    """
    sections = elf.sections.copy()
    out = bytearray(elf.data[: HEADER.size])
    for index, section in enumerate(sections):
        if index in dropped:
            section["type"], section["size"] = NOBITS, 0
        elif index and section["type"] != NOBITS:
            new = contents.get(index, elf.content(index))
            _pad(out, max(int(section["align"]), 1))
            section["offset"], section["size"] = len(out), len(new)
            out += new
    _pad(out, 8)
    fields = list(HEADER.unpack_from(out))
    fields[6] = len(out)
    HEADER.pack_into(out, 0, *fields)
    return bytes(out + sections.tobytes())


def _pad(out: bytearray, align: int) -> None:
    # More than a page is no alignment of a module's section.
    if align > 1 << 16 or align & (align - 1):
        raise damaged(f"a section aligned to {align}")
    out += bytes(-len(out) % align)

"""Addresses in the guest to places in a module's file: module, section, offset. Pure.

The module that is loaded is long gone when a report is written, its .init.text sooner, and
other modules may have had its addresses. A place is told by the file that the host sent in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from freeonce.evidence.stacks import Section, Stack, Told
from freeonce.subject.elf import FUNCTION, Elf
from freeonce.subject.module import Module


@dataclass(frozen=True)
class Spot:
    """A return address. `module`: empty in the kernel; `section`, `offset`: in its file.

    `symbol`: for the kernel `name+0xoff`, or the bare address.
    """

    module: str
    section: int = 0
    offset: int = 0
    symbol: str = ""


@dataclass(frozen=True)
class _Range:
    sequence: int
    start: int
    end: int
    module: str
    section: int


def spots(told: Told, modules: Mapping[str, Module]) -> dict[int, tuple[Spot, ...]]:
    """Each stack's places, innermost first. `modules`: by name, as they were sent in.

    Of several that had an address, the one loaded last before the stack was told.
    """
    ranges = [one for section in told.sections for one in _range(section, told, modules)]
    starts = np.array([one.start for one in ranges], dtype=object)
    ends = np.array([one.end for one in ranges], dtype=object)

    @cache
    def at(gva: int) -> list[_Range]:
        # What was called stands before the address to which it returns.
        return [ranges[index] for index in np.flatnonzero((starts < gva) & (gva <= ends))]

    def spot(gva: int, stack: Stack) -> Spot:
        had = [one for one in at(gva) if one.sequence < stack.sequence]
        if not had:
            return Spot("", symbol=told.kernel.get(gva, f"{gva:#x}"))
        last = max(had, key=lambda one: one.sequence)
        return Spot(last.module, last.section, gva - last.start)

    return {
        number: tuple(spot(gva, stack) for gva in stack.frames)
        for number, stack in told.stacks.items()
    }


def _range(section: Section, told: Told, modules: Mapping[str, Module]) -> Iterable[_Range]:
    module = modules.get(told.names.get(section.load, ""))
    if module is None or section.index not in module.text_sections():
        return
    symbols = module.elf.symbols
    if section.symbol < len(symbols) and symbols[section.symbol]["section"] == section.index:
        start = section.gva - int(symbols[section.symbol]["value"])
        end = start + int(module.elf.sections[section.index]["size"])
        yield _Range(section.sequence, start, end, module.name, section.index)


def function_at(elf: Elf, section: int, offset: int) -> tuple[str, int]:
    """The function that a return address is in, and how far: by the symbol table alone.

    The section's name, and the offset in it, where no function is known.
    """
    symbols = elf.symbols
    functions = (symbols["section"] == section) & (symbols["info"] & 0xF == FUNCTION)
    before = np.flatnonzero(functions & (symbols["value"] < offset))
    if not len(before):
        return elf.section_names[section], offset
    # Of several names of one place the first that the file has.
    best = int(before[np.argmax(symbols["value"][before])])
    return elf.symbol_name(best), offset - int(symbols[best]["value"])

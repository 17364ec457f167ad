"""Code that the kernel writes over other code by what the CPU has: struct alt_instr. Pure.

Two distances of four bytes, to what is written over and to what with; flags; and at its end the
lengths of both, a byte each.
"""

from typing import NamedTuple

from freeonce.subject.relocations import Reference, Relocations

ALTERNATIVES = ".altinstructions"
REPLACEMENTS = ".altinstr_replacement"
LEAST, MOST = 10, 255
"""Bytes of an entry at least; bytes of code at most."""
REPLACEMENT = 4
"""Where the second distance stands."""


class Alternative(NamedTuple):
    """Lengths in bytes. `over`: the section and offset of what is written over, if known."""

    over: tuple[int, int] | None
    over_bytes: int
    replacement_bytes: int


def alternative(relocations: Relocations, reference: Reference) -> Alternative:
    """The entry in which a reference of that section stands."""
    content = relocations.elf.content(reference.section)
    size = 2 * len(content) // max(relocations.count(reference.section), 1)
    start = reference.offset - reference.offset % max(size, 1)
    if size < LEAST or start + size > len(content):
        return Alternative(None, MOST, MOST)
    over = relocations.meant(reference.section, start)
    return Alternative(over, *content[start + size - 2 : start + size])

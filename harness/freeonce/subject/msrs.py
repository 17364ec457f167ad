"""WRMSRs of which the code right before says that they write another MSR than SVM's. Pure.

ECX names it (AMD manual volume 3, WRMSR). Of SVM are EFER (volume 2, 15.4) and VM_HSAVE_PA
(15.30.4).
"""

import re
from bisect import bisect_left

from freeonce.subject.alternatives import ALTERNATIVES, MOST, REPLACEMENTS, alternative
from freeonce.subject.instructions import Instruction
from freeonce.subject.module import Module
from freeonce.subject.relocations import EXCEPTIONS, Reference, Relocations
from freeonce.subject.staying import INDIFFERENT, patches
from freeonce.subject.text import Text, read_text

OF_SVM = (0xC0000080, 0xC0010117)
"""EFER, VM_HSAVE_PA."""

KEEPS_ECX = (
    *("mov", "movabs", "movzx", "lea", "add", "sub", "and", "or", "xor", "not", "neg"),
    *("shl", "shr", "sar", "cmp", "test", "nop", "lfence"),
)
"""What changes no register but the one that it names first."""
NAMES_ECX = re.compile(r"\b(?:[re]?cx|c[lh])\b")
SETS_ECX = re.compile(r"[re]cx, (0x[0-9a-f]+|\d+)")
FARTHEST = 32
"""Instructions that are looked at."""
EXCEPTION_BYTES = 12
"""struct exception_table_entry: distances to what may fault and to where to go on, and how."""


def of_others(module: Module, text: Text, relocations: Relocations) -> frozenset[int]:
    """The offsets of these in a section."""
    return frozenset(
        one.offset
        for place, one in enumerate(text.instructions)
        if one.mnemonic == "wrmsr"
        and (
            _is_anothers(text, place, relocations)
            or _is_anothers_copy(module, text, one.offset, relocations)
        )
    )


def _is_anothers_copy(module: Module, text: Text, offset: int, relocations: Relocations) -> bool:
    """Of one with which code begins that the kernel writes over other code: wherever it does."""
    if text.name != REPLACEMENTS:
        return False
    places = [
        found.over
        for reference in relocations.to(text.index, offset, offset + 1)
        if module.elf.section_names[reference.section] == ALTERNATIVES
        and (found := alternative(relocations, reference)).replacement_bytes
    ]
    return bool(places) and all(
        place is not None
        and place[0] in module.text_sections()
        and _is_anothers_at(read_text(module, place[0], relocations), place[1], relocations)
        for place in places
    )


def _is_anothers_at(text: Text, offset: int, relocations: Relocations) -> bool:
    begins = [one.offset for one in text.instructions]
    place = bisect_left(begins, offset)
    return begins[place : place + 1] == [offset] and _is_anothers(text, place, relocations)


def _is_anothers(text: Text, place: int, relocations: Relocations) -> bool:
    """Whether what always comes right before the instruction of that number says so."""
    at = behind = text.instructions[place].offset
    for one in reversed(text.instructions[max(place - FARTHEST, 0) : place]):
        if one.end != behind:
            return False
        found = SETS_ECX.fullmatch(one.operands)
        if one.mnemonic == "mov" and found is not None:
            others = int(found[1], 0) & 0xFFFFFFFF not in OF_SVM
            return others and _always_runs(text, relocations, one, at)
        if not _keeps_ecx(one):
            return False
        behind = one.offset
    return False


def _keeps_ecx(one: Instruction) -> bool:
    # A conditional jump that is not taken changes nothing.
    if one.mnemonic.startswith("j") and one.mnemonic != "jmp":
        return True
    return one.mnemonic in KEEPS_ECX and not NAMES_ECX.search(one.operands.partition(",")[0])


def _always_runs(text: Text, relocations: Relocations, mov: Instruction, at: int) -> bool:
    """Whether that MOV, and what stands behind it, runs as read before the code at `at` does."""
    if relocations.within(text.index, mov.offset, mov.end):
        return False
    between = range(mov.offset + 1, at + 1)
    if any(one in text.jumps or one in text.named or text.guessed[one] for one in between):
        return False
    return not any(
        _says_otherwise(text, relocations, one, mov.offset, at)
        for one in relocations.to(text.index, max(mov.offset - MOST, 0), at + 1)
    )


def _says_otherwise(
    text: Text, relocations: Relocations, reference: Reference, start: int, at: int
) -> bool:
    """Whether code may go on behind `start` and not behind `at`, or is written over before it."""
    name = text.elf.section_names[reference.section]
    if name.startswith(INDIFFERENT):
        return False
    if name == EXCEPTIONS and reference.offset % EXCEPTION_BYTES == 0:
        # Only that it may fault.
        return False
    if name == ALTERNATIVES:
        over = alternative(relocations, reference).over
        written = over is None or over == (text.index, reference.target)
        if written and reference.target == at:
            return False
        if not written and reference.target <= start:
            return False
    return reference.target > start or patches(text, relocations, reference, start)

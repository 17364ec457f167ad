"""WRMSRs of which the code right before says that they write another MSR than SVM's. Pure.

ECX names it (AMD manual volume 3, WRMSR). Of SVM are EFER (volume 2, 15.4) and VM_HSAVE_PA
(15.30.4).
"""

import re
from bisect import bisect_left

from freeonce.subject.alternatives import ALTERNATIVES, REPLACEMENTS, alternative
from freeonce.subject.instructions import Instruction
from freeonce.subject.module import Module
from freeonce.subject.relocations import Relocations
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


def of_others(module: Module, text: Text, relocations: Relocations) -> frozenset[int]:
    """The offsets of these in a section."""
    return frozenset(
        one.offset
        for place, one in enumerate(text.instructions)
        if one.mnemonic == "wrmsr"
        and (_is_anothers(text, place) or _is_anothers_copy(module, text, one.offset, relocations))
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
        and _is_anothers_at(read_text(module, place[0], relocations), place[1])
        for place in places
    )


def _is_anothers_at(text: Text, offset: int) -> bool:
    begins = [one.offset for one in text.instructions]
    place = bisect_left(begins, offset)
    return begins[place : place + 1] == [offset] and _is_anothers(text, place)


def _is_anothers(text: Text, place: int) -> bool:
    """Whether what always comes right before the instruction of that number says so."""
    behind = text.instructions[place]
    for one in reversed(text.instructions[max(place - FARTHEST, 0) : place]):
        if one.end != behind.offset or _comes_from_elsewhere(text, behind):
            return False
        found = SETS_ECX.fullmatch(one.operands)
        if one.mnemonic == "mov" and found is not None:
            return int(found[1], 0) & 0xFFFFFFFF not in OF_SVM
        if not _keeps_ecx(one):
            return False
        behind = one
    return False


def _keeps_ecx(one: Instruction) -> bool:
    # A conditional jump that is not taken changes nothing.
    if one.mnemonic.startswith("j") and one.mnemonic != "jmp":
        return True
    return one.mnemonic in KEEPS_ECX and not NAMES_ECX.search(one.operands.partition(",")[0])


def _comes_from_elsewhere(text: Text, one: Instruction) -> bool:
    """Whether code may go on here that was not the one in front."""
    at = one.offset
    return at in text.jumps or at in text.named or bool(text.guessed[at])

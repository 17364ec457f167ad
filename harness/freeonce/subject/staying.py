"""Why neighbours of an instruction cannot move together to another place of their section. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from freeonce.subject.alternatives import ALTERNATIVES, MOST, alternative
from freeonce.subject.elf import EXECUTABLE
from freeonce.subject.instructions import RELATIVE, Instruction
from freeonce.subject.relocations import EXCEPTIONS, Reference, Relocations
from freeonce.subject.text import Text

JUMP = b"\xe9"
"""With four bytes of distance."""
JUMP_BYTES = 5

ENDS = ("ret", "iret", "sysret", "sysexit", "int", "syscall", "ud", "hlt")
"""How the names of those begin that do not, or not always, go on behind them."""

INDIFFERENT = (".orc_unwind_ip", ".debug_", ".zdebug_", ".retpoline_sites", ".return_sites")
"""Sections that may name moved code: unwinding there ends early, and calls are not moved."""
PATCH_BYTES, CALL_BYTES = 5, 8
"""What the kernel may write to when a module is loaded or later, from where it is named on."""


@dataclass(frozen=True)
class Region:
    """Neighbours that move together."""

    instructions: Sequence[Instruction]

    @property
    def start(self) -> int:
        """The offset of the first."""
        return self.instructions[0].offset

    @property
    def end(self) -> int:
        """The offset behind the last."""
        return self.instructions[-1].end


@dataclass(frozen=True)
class Ground:
    """What is known of where they stand. `without_interrupts`: the module has a CLGI."""

    text: Text
    relocations: Relocations
    without_interrupts: bool

    def why_not(self, region: Region) -> str:
        """Why these cannot move."""
        for one in region.instructions:
            last = one is region.instructions[-1]
            if one.mnemonic.startswith(ENDS) or (
                one.mnemonic.startswith(RELATIVE)
                and not (last and plain_jump(one) and one.target in self.text.begins)
            ):
                return f"{one.mnemonic} beside it cannot move"
            if "rip" in one.operands:
                return "what stands beside it is relative to its own address"
            if self.relocations.within(self.text.index, one.offset, one.end):
                return "what stands beside it has a relocation"
            if one.offset != region.start and one.offset in self.text.named:
                return "a symbol names what stands beside it"
        return self._led_to(region) or self._shadowed(region) or self._named_elsewhere(region)

    def _led_to(self, region: Region) -> str:
        """Why not, by what jumps into these or reads them; empty where all of that can change."""
        begins = {one.offset for one in region.instructions}
        for at in range(region.start + 1, region.end):
            for jump in self.text.jumps.get(at, ()):
                if at not in begins:
                    return "a jump leads into what stands beside it"
                if not _is_long(jump):
                    return "a short jump leads to what stands beside it"
        if any(at in self.text.data for at in range(region.start, region.end)):
            return "an instruction names what stands beside it as data"
        if np.any(self.text.guessed[region.start + 1 : region.end]):
            return "code that cannot be read may lead to what stands beside it"
        return ""

    def _shadowed(self, region: Region) -> str:
        """STI and a load of SS keep interrupts out until the next instruction is over (volume 2,
        8.5.6; volume 3, STI), which would be a jump. While GIF is 0 there are none."""
        if self.without_interrupts:
            return ""
        before = [one for one in self.text.instructions if one.end == region.start]
        if any(_casts_shadow(one) for one in (*before, *region.instructions)):
            return "interrupts are to stay out behind an STI or a load of SS beside it"
        return ""

    def _named_elsewhere(self, region: Region) -> str:
        low = max(region.start - MOST, 0)
        for reference in self.relocations.to(self.text.index, low, region.end):
            name = self.text.elf.section_names[reference.section]
            if name.startswith(INDIFFERENT):
                continue
            if reference.target < region.start:
                if not patches(self.text, self.relocations, reference, region.start):
                    continue
                return f"the kernel patches what stands beside it ({name})"
            # Moved along: `moved`.
            if name == EXCEPTIONS:
                continue
            if reference.from_code and reference.target == region.start:
                continue
            return f"{name} of the module names what stands beside it"
        return ""


def patches(text: Text, relocations: Relocations, reference: Reference, at: int) -> bool:
    """Whether what the kernel may write to, from where it is named on, ends behind that byte."""
    name = text.elf.section_names[reference.section]
    if name == ALTERNATIVES:
        return reference.target + alternative(relocations, reference).over_bytes > at
    flags = int(text.elf.sections[reference.section]["flags"])
    if name == EXCEPTIONS or name.startswith((".rodata", ".data")) or flags & EXECUTABLE:
        return False
    size = CALL_BYTES if name == ".parainstructions" else PATCH_BYTES
    return reference.target + size > at


def _is_long(jump: Instruction) -> bool:
    """Whether its distance has four bytes, which are its last."""
    return jump.target is not None and jump.code[1:].endswith(displacement(jump.end, jump.target))


def _casts_shadow(one: Instruction) -> bool:
    return one.mnemonic == "sti" or (one.mnemonic == "mov" and one.operands.startswith("ss,"))


def plain_jump(one: Instruction) -> bool:
    """One that can be written anew with four bytes of distance."""
    return one.code[:1] in (b"\xeb", JUMP) and one.target is not None


def displacement(after: int, to: int) -> bytes:
    """Of a jump that ends at `after`."""
    return (to - after).to_bytes(4, "little", signed=True)

"""Instructions that give the CPU memory, led through calls that record what they are given. Pure.

A jump has 5 bytes and VMRUN 3, so neighbours move with it to the end of the same section, where
there is room for calls:

    vmrun          jmp 1f        ...  1: call freeonce_hook_vmrun
    pop %rax   ->  nop                   vmrun
    mov ...     2: ...                   call freeonce_hook_vmexit
                                         pop %rax
                                         jmp 2b

What cannot be moved is left as it is, and told with the reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from freeonce.subject.elf import EXECUTABLE, Elf, Table
from freeonce.subject.instructions import NAMES, RELATIVE, Instruction, candidates, decoded
from freeonce.subject.module import Module
from freeonce.subject.relocations import PLT32, Reference, Relocations

JUMP, CALL = b"\xe9", b"\xe8"
JUMP_BYTES = 5
NOP, INT3 = b"\x90", b"\xcc"
LONGEST = 32
"""Bytes that move together, at most."""

HOOKS: Mapping[str, tuple[str | None, str | None]] = {
    "vmrun": ("vmrun", "vmexit"),
    "vmload": ("save_area", None),
    "vmsave": ("save_area", None),
    "clgi": ("clgi", None),
    "stgi": (None, "stgi"),
    "invlpga": (None, "invlpga"),
    "wrmsr": (None, "wrmsr"),
}
"""What is called before and behind each."""

ENDS = ("ret", "iret", "sysret", "sysexit", "int", "syscall", "ud", "hlt")
"""How the names of those begin that do not, or not always, go on behind them."""

INDIFFERENT = (".orc_unwind_ip", ".debug_", ".zdebug_", ".retpoline_sites", ".return_sites")
"""Sections that may name moved code: unwinding there ends early, and calls are not moved."""
EXCEPTIONS = "__ex_table"
"""Names instructions that may fault, and where to go on then: both move along."""
PATCHED_IN = ".altinstr_replacement"
ALTERNATIVES = ".altinstructions"
PATCH_BYTES, CALL_BYTES, ALTERNATIVE_BYTES = 5, 8, 255
"""What the kernel may write to when a module is loaded or later, from where it is named on."""


@dataclass(frozen=True)
class Found:
    """An instruction of a module. `section` and `offset`: where; `left`: why it is not led."""

    name: str
    section: str
    offset: int
    left: str = ""


@dataclass
class Patched:
    """A module's sections as they are to be. `contents`: by index."""

    contents: dict[int, bytes] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)


def led_by_calls(module: Module, hooks: Mapping[str, int]) -> Patched:
    """All that is found, and the sections that change.

    `hooks`: the index that each one's symbol will have in the symbol table. Raises SubjectError
    `damaged`.
    """
    done = Patched()
    chosen = candidates(module)
    if not chosen:
        return done
    relocations = Relocations.of(module.elf)
    for index in chosen:
        _Section(module, index, relocations, hooks, done).lead()
    done.contents |= relocations.contents()
    return done


@dataclass(frozen=True)
class _Region:
    """Neighbours that move together."""

    instructions: Sequence[Instruction]

    @property
    def start(self) -> int:
        return self.instructions[0].offset

    @property
    def end(self) -> int:
        return self.instructions[-1].end

    def inside(self, offset: int) -> bool:
        """Whether it is one that moves, behind the jump."""
        return self.start < offset < self.end


class _Section:
    """One executable section, and what is to be done in it."""

    def __init__(
        self,
        module: Module,
        index: int,
        relocations: Relocations,
        hooks: Mapping[str, int],
        done: Patched,
    ) -> None:
        self._elf: Elf = module.elf
        self._index, self._name = index, module.elf.section_names[index]
        self._instructions = decoded(module, index)
        self._places = {one.offset: place for place, one in enumerate(self._instructions)}
        self._relocations, self._hooks, self._done = relocations, hooks, done
        self._content = bytearray(module.elf.content(index))
        self._named = set(_symbols(module.elf, index))
        self._jumps: dict[int, list[Instruction]] = {}
        for one in self._instructions:
            if one.target is not None:
                self._jumps.setdefault(one.target, []).append(one)

    def lead(self) -> None:
        """Each instruction of it."""
        over = 0
        for place, one in enumerate(self._instructions):
            if one.mnemonic not in HOOKS:
                continue
            if one.offset < over:
                self._tell(one)
                continue
            why = self._why_not(one)
            region = None if why else self._region(place, over)
            if isinstance(region, _Region):
                self._move(region)
                over = region.end
                self._done.contents[self._index] = bytes(self._content)
            self._tell(one, why or (region if isinstance(region, str) else ""))

    def _tell(self, one: Instruction, left: str = "") -> None:
        self._done.found.append(Found(one.mnemonic, self._name, one.offset, left))

    def _why_not(self, one: Instruction) -> str:
        if self._name == PATCHED_IN:
            return "the kernel copies it over other code"
        if NAMES.get(one.code) != one.mnemonic:
            return "it has a prefix"
        if self._relocations.table_of(self._index) is None:
            return "its section has no relocations"
        missing = [hook for hook in HOOKS[one.mnemonic] if hook and hook not in self._hooks]
        return f"the instrument has no {missing[0]}" if missing else ""

    def _region(self, place: int, over: int) -> _Region | str:
        """With as little in front of it as can be; `over`: what may not move again."""
        why = ""
        for first in range(place, -1, -1):
            row = self._row(first, place)
            if row[0].offset < over or row[-1].end - row[0].offset > LONGEST:
                break
            if any(a.end != b.offset for a, b in pairwise(row)):
                break
            told = self._stays(_Region(row))
            if not told and row[-1].end - row[0].offset >= JUMP_BYTES:
                return _Region(row)
            why = why or told
        return why or "there is no room for a jump"

    def _row(self, first: int, place: int) -> list[Instruction]:
        row = self._instructions[first : place + 1]
        while row[-1].end - row[0].offset < JUMP_BYTES and first + len(row) < len(
            self._instructions
        ):
            row.append(self._instructions[first + len(row)])
        return row

    def _stays(self, region: _Region) -> str:
        """Why these cannot move."""
        for one in region.instructions:
            last = one is region.instructions[-1]
            if one.mnemonic.startswith(ENDS) or (
                one.mnemonic.startswith(RELATIVE)
                and not (last and _plain_jump(one) and (one.target or 0) <= len(self._content))
            ):
                return f"{one.mnemonic} beside it cannot move"
            if "rip" in one.operands:
                return "what stands beside it is relative to its own address"
            if self._relocations.within(self._index, one.offset, one.end):
                return "what stands beside it has a relocation"
            if one.offset != region.start and one.offset in self._named:
                return "a symbol names what stands beside it"
            if one.offset != region.start and any(
                len(jump.code) < JUMP_BYTES for jump in self._jumps.get(one.offset, ())
            ):
                return "a short jump leads to what stands beside it"
        return self._named_elsewhere(region)

    def _named_elsewhere(self, region: _Region) -> str:
        low = max(region.start - ALTERNATIVE_BYTES, 0)
        for reference in self._relocations.to(self._index, low, region.end):
            name = self._elf.section_names[reference.section]
            if name.startswith(INDIFFERENT):
                continue
            if reference.target < region.start:
                if not self._reaches(name, reference, region.start):
                    continue
                return f"the kernel patches what stands beside it ({name})"
            if name == EXCEPTIONS:
                continue
            if reference.from_code and reference.target == region.start:
                continue
            return f"{name} of the module names what stands beside it"
        return ""

    def _reaches(self, name: str, reference: Reference, start: int) -> bool:
        """Whether what the kernel may write to from before these bytes on ends behind there."""
        if name == ALTERNATIVES:
            return reference.target + self._alternative(reference) > start
        flags = int(self._elf.sections[reference.section]["flags"])
        if name == EXCEPTIONS or name.startswith((".rodata", ".data")) or flags & EXECUTABLE:
            return False
        size = CALL_BYTES if name == ".parainstructions" else PATCH_BYTES
        return reference.target + size > start

    def _alternative(self, reference: Reference) -> int:
        """struct alt_instr: two distances, flags, and at its end the lengths of both codes."""
        content = self._elf.content(reference.section)
        entry = 2 * len(content) // max(self._relocations.count(reference.section), 1)
        at = reference.offset - reference.offset % max(entry, 1) + entry - 2
        return content[at] if entry >= 10 and at < len(content) else ALTERNATIVE_BYTES

    def _move(self, region: _Region) -> None:
        self._content += INT3 * (-len(self._content) % 16)
        start = len(self._content)
        moved: dict[int, int] = {}
        for one in region.instructions:
            before, behind = HOOKS.get(one.mnemonic, (None, None))
            self._call(before)
            moved[one.offset] = len(self._content)
            if _plain_jump(one):
                self._jump(one.target or 0)
            else:
                self._content += one.code
            self._call(behind)
        if not _plain_jump(region.instructions[-1]):
            self._jump(region.end)
        room = region.end - region.start
        self._content[region.start : region.end] = _jump(region.start, start) + NOP * (
            room - JUMP_BYTES
        )
        for old, new in moved.items():
            for jump in self._jumps.get(old, ()) if old != region.start else ():
                self._content[jump.end - 4 : jump.end] = _displacement(jump.end, new)
            self._relocations.aim(EXCEPTIONS, self._index, old, new)

    def _call(self, hook: str | None) -> None:
        if hook is not None:
            self._content += CALL
            self._relocations.add(self._index, len(self._content), PLT32, self._hooks[hook], -4)
            self._content += bytes(4)

    def _jump(self, to: int) -> None:
        self._content += _jump(len(self._content), to)


def _plain_jump(one: Instruction) -> bool:
    """One that can be written anew with four bytes of distance."""
    return one.code[:1] in (b"\xeb", JUMP) and one.target is not None


def _jump(at: int, to: int) -> bytes:
    return JUMP + _displacement(at + JUMP_BYTES, to)


def _displacement(after: int, to: int) -> bytes:
    return (to - after).to_bytes(4, "little", signed=True)


def _symbols(elf: Elf, index: int) -> Iterator[int]:
    symbols: Table = elf.symbols
    return (int(value) for value in np.unique(symbols["value"][symbols["section"] == index]))

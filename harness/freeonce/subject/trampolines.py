"""Instructions that give the CPU memory, led through calls that record what they are given. Pure.

A jump has 5 bytes and VMRUN 3, so neighbours move with it to the end of the same section, where
there is room for calls:

    vmrun          jmp 1f        ...  1: call freeonce_hook_vmrun
    pop %rax   ->  nop                   vmrun
    mov ...     2: ...                   call freeonce_hook_vmexit
                                         pop %rax
                                         jmp 2b

All that is to move is chosen first: then each jump to what moves is aimed anew, those that move
themselves too. What cannot be moved is left as it is, and told with the reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from freeonce.subject.elf import EXECUTABLE, Elf, Table
from freeonce.subject.instructions import (
    NAMES,
    RELATIVE,
    Instruction,
    Span,
    candidates,
    decoded,
    named_data,
    places,
    read_code,
)
from freeonce.subject.module import Module
from freeonce.subject.relocations import PLT32, Reference, Relocations

JUMP, CALL = b"\xe9", b"\xe8"
JUMP_BYTES = 5
NOP, INT3 = b"\x90", b"\xcc"
DISTANCE = 4
IMMEDIATES = (0, 1, 2, 4)
"""Bytes that an instruction may have behind its distance."""
AT_A_TIME = 1 << 20
"""Bytes that cannot be read, of which the distances are tried together."""
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
    """An instruction of a module. `section` and `offset`: where, in `function` if a symbol has it;
    `left`: why it is not led."""

    name: str
    section: str
    offset: int
    left: str = ""
    function: str = ""


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
    sections = [_Section(module, index, relocations, hooks, done) for index in chosen]
    without_interrupts = any(one.has("clgi") for one in sections)
    for section in sections:
        section.lead(without_interrupts)
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
        self._spans = decoded(module, index)
        self._instructions = [one for span in self._spans for one in span.instructions]
        self._begins = {one.offset for one in self._instructions}
        self._relocations, self._hooks, self._done = relocations, hooks, done
        self._content = bytearray(module.elf.content(index))
        self._named = set(_symbols(module.elf, index))
        self._guessed = _guessed(bytes(self._content), self._spans)
        self._jumps: dict[int, list[Instruction]] = {}
        self._data: set[int] = set()
        relocated = relocations.places(index)
        for one in self._instructions:
            if not relocated.isdisjoint(range(one.offset, one.end)):
                continue
            if one.target is not None:
                self._jumps.setdefault(one.target, []).append(one)
            data = named_data(one)
            if data is not None:
                self._data.add(data)
        self._without_interrupts = False

    def has(self, mnemonic: str) -> bool:
        """Whether such an instruction was read in it."""
        return any(one.mnemonic == mnemonic for one in self._instructions)

    def lead(self, without_interrupts: bool) -> None:
        """Each instruction of it. `without_interrupts`: the module has a CLGI."""
        self._without_interrupts = without_interrupts
        regions, found = self._plan()
        if regions and not self._emit(regions):
            self._content = bytearray(self._elf.content(self._index))
            over = "the code would not be whole when it is moved"
            found = [replace(one, left=one.left or over) for one in found]
        elif regions:
            self._done.contents[self._index] = bytes(self._content)
        self._done.found += found

    def _plan(self) -> tuple[list["_Region"], list[Found]]:
        """What moves, in order; and all that is found."""
        regions: list[_Region] = []
        found, over, place = [], 0, -1
        for span in self._spans:
            for one in span.instructions:
                place += 1
                if one.mnemonic not in HOOKS:
                    continue
                left = ""
                if one.offset >= over:
                    left = self._why_not(one, span)
                    region = left or self._region(place, over)
                    if isinstance(region, str):
                        left = region
                    else:
                        regions.append(region)
                        over = region.end
                found.append(Found(one.mnemonic, self._name, one.offset, left, span.function))
            for at, name in sorted(places(bytes(self._content), span.unread, span.end)):
                found.append(
                    Found(name, self._name, at, "the code around it cannot be read", span.function)
                )
        return regions, found

    def _why_not(self, one: Instruction, span: Span) -> str:
        if self._name == PATCHED_IN:
            return "the kernel copies it over other code"
        if NAMES.get(one.code) != one.mnemonic:
            return "it has a prefix"
        if span.unread < span.end:
            return "code of its function cannot be read"
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
                and not (last and _plain_jump(one) and one.target in self._begins)
            ):
                return f"{one.mnemonic} beside it cannot move"
            if "rip" in one.operands:
                return "what stands beside it is relative to its own address"
            if self._relocations.within(self._index, one.offset, one.end):
                return "what stands beside it has a relocation"
            if one.offset != region.start and one.offset in self._named:
                return "a symbol names what stands beside it"
        return self._led_to(region) or self._shadowed(region) or self._named_elsewhere(region)

    def _led_to(self, region: _Region) -> str:
        """What goes on behind the first byte of these, or reads any, and cannot be told not to."""
        begins = {one.offset for one in region.instructions}
        for at in range(region.start + 1, region.end):
            for jump in self._jumps.get(at, ()):
                if at not in begins:
                    return "a jump leads into what stands beside it"
                if not _is_long(jump):
                    return "a short jump leads to what stands beside it"
        if any(at in self._data for at in range(region.start, region.end)):
            return "an instruction names what stands beside it as data"
        if np.any(self._guessed[region.start + 1 : region.end]):
            return "code that cannot be read may lead to what stands beside it"
        return ""

    def _shadowed(self, region: _Region) -> str:
        """STI and a load of SS keep interrupts out until the next instruction is over (volume 2,
        8.5.6; volume 3, STI), which would be a jump. While GIF is 0 there are none."""
        if self._without_interrupts:
            return ""
        before = [one for one in self._instructions if one.end == region.start]
        if any(_casts_shadow(one) for one in (*before, *region.instructions)):
            return "interrupts are to stay out behind an STI or a load of SS beside it"
        return ""

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

    def _emit(self, regions: Sequence[_Region]) -> bool:
        """Moves them. False: what would come of it is not whole."""
        size = len(self._content)
        moved: dict[int, int] = {}
        calls: list[tuple[int, str]] = []
        jumps: list[tuple[int, int]] = []
        for region in regions:
            self._content += INT3 * (-len(self._content) % 16)
            for one in region.instructions:
                moved[one.offset] = len(self._content)
                self._copy(one, calls, jumps)
            if not _plain_jump(region.instructions[-1]):
                self._jump(region.end, jumps)
        starts = {region.start for region in regions}
        for region in regions:
            room = region.end - region.start - JUMP_BYTES
            self._content[region.start : region.end] = JUMP + bytes(4) + NOP * room
            jumps.append((region.start + JUMP_BYTES, region.start))
        for old in moved.keys() - starts:
            # Where one stood that moves itself there is no jump any more.
            jumps += [(one.end, old) for one in self._jumps.get(old, ()) if one.offset not in moved]
        for after, to in jumps:
            self._content[after - 4 : after] = _displacement(after, moved.get(to, to))
        if not self._is_whole(size, moved, jumps):
            return False
        for at, hook in calls:
            self._relocations.add(self._index, at, PLT32, self._hooks[hook], -4)
        for old, new in moved.items():
            self._relocations.aim(EXCEPTIONS, self._index, old, new)
        return True

    def _copy(
        self, one: Instruction, calls: list[tuple[int, str]], jumps: list[tuple[int, int]]
    ) -> None:
        before, behind = HOOKS.get(one.mnemonic, (None, None))
        self._call(before, calls)
        if _plain_jump(one):
            self._jump(one.target or 0, jumps)
        else:
            self._content += one.code
        self._call(behind, calls)

    def _call(self, hook: str | None, calls: list[tuple[int, str]]) -> None:
        if hook is not None:
            self._content += CALL + bytes(4)
            calls.append((len(self._content) - 4, hook))

    def _jump(self, to: int, jumps: list[tuple[int, int]]) -> None:
        self._content += JUMP + bytes(4)
        jumps.append((len(self._content), to))

    def _is_whole(
        self, size: int, moved: Mapping[int, int], jumps: Sequence[tuple[int, int]]
    ) -> bool:
        """Whether, read again, each jump that was written leads to an instruction."""
        content = bytes(self._content)
        added = read_code(content, size, len(content))
        begins = {one.offset for one in added.instructions}
        stay = self._begins - moved.keys()
        return (
            added.unread == added.end
            and begins.issuperset(moved.values())
            and all(
                after + int.from_bytes(content[after - 4 : after], "little", signed=True)
                in (begins if to in moved else stay)
                for after, to in jumps
            )
        )


def _guessed(content: bytes, spans: Sequence[Span]) -> npt.NDArray[np.bool_]:
    """Of each byte, whether code that cannot be read may go on there, or name it: any are tried."""
    named = np.zeros(len(content), np.bool_)
    for span in spans:
        for start in range(span.unread, span.end, AT_A_TIME):
            end = min(start + AT_A_TIME, span.end)
            for targets in _possible(content[start : min(end + DISTANCE - 1, span.end)], start):
                named[targets[(targets >= 0) & (targets < len(named))]] = True
    return named


def _possible(code: bytes, start: int) -> Iterator[npt.NDArray[np.int64]]:
    """What a distance of one byte or four means at each of them."""
    read = np.frombuffer(code, np.uint8)
    at = np.arange(start, start + len(read), dtype=np.int64)
    yield at + 1 + read.view(np.int8)
    if len(read) < DISTANCE:
        return
    last = len(read) - DISTANCE + 1
    words = sum(read[i : last + i].astype(np.uint32) << np.uint32(8 * i) for i in range(DISTANCE))
    far = at[:last] + DISTANCE + np.asarray(words, np.uint32).view(np.int32)
    for behind in IMMEDIATES:
        yield far + behind


def _is_long(jump: Instruction) -> bool:
    """Whether its distance has four bytes, which are its last."""
    return jump.target is not None and jump.code[1:].endswith(_displacement(jump.end, jump.target))


def _casts_shadow(one: Instruction) -> bool:
    return one.mnemonic == "sti" or (one.mnemonic == "mov" and one.operands.startswith("ss,"))


def _plain_jump(one: Instruction) -> bool:
    """One that can be written anew with four bytes of distance."""
    return one.code[:1] in (b"\xeb", JUMP) and one.target is not None


def _displacement(after: int, to: int) -> bytes:
    return (to - after).to_bytes(4, "little", signed=True)


def _symbols(elf: Elf, index: int) -> Iterator[int]:
    symbols: Table = elf.symbols
    return (int(value) for value in np.unique(symbols["value"][symbols["section"] == index]))

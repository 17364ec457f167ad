"""Instructions that give the CPU memory of a hypervisor's, found in a module's code. Pure.

AMD manual volume 3, chapter 4: VMRUN, VMLOAD, VMSAVE, INVLPGA, CLGI, STGI; WRMSR, by which EFER
and VM_HSAVE_PA are written. By their bytes: no symbol names them.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from capstone import CS_ARCH_X86, CS_MODE_64, Cs

from freeonce.subject.elf import FUNCTION
from freeonce.subject.module import Module

NAMES = {
    b"\x0f\x01\xd8": "vmrun",
    b"\x0f\x01\xda": "vmload",
    b"\x0f\x01\xdb": "vmsave",
    b"\x0f\x01\xdc": "stgi",
    b"\x0f\x01\xdd": "clgi",
    b"\x0f\x01\xdf": "invlpga",
    b"\x0f\x30": "wrmsr",
}

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

RELATIVE = ("j", "call", "loop", "xbegin")
"""How the names of those begin that go on at an address relative to their own."""


MISREAD = ("ud0", "ud1")
"""They have operands (volume 3, UD0), which capstone does not know: it goes on inside of them."""

RIP_RELATIVE = re.compile(r"\[rip(?: ([+-] \w+))?\]")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One of a section. `target`: where it may go on, when that is relative to it."""

    offset: int
    code: bytes
    mnemonic: str
    operands: str
    target: int | None = None

    @property
    def end(self) -> int:
        """The offset of the next."""
        return self.offset + len(self.code)


@dataclass(frozen=True, slots=True)
class Span:
    """From one function's begin to the next one's. `unread`: from where on nothing is known of it:
    the bytes there are no instruction that the decoder knows; `end` where all is known.
    `function`: its name, empty where no symbol has it.
    """

    start: int
    end: int
    unread: int
    instructions: tuple[Instruction, ...]
    function: str = ""


def candidates(module: Module) -> tuple[int, ...]:
    """The executable sections that have such an instruction, or may have one."""
    found = []
    for index in module.text_sections():
        content = module.elf.content(index)
        starts = [0, *_functions(module, index, len(content))]
        # Most are bytes of others: only the functions around them are read.
        around = sorted({starts[bisect_right(starts, at) - 1] for at, _ in places(content)})
        ends = {start: end for start, end in zip(starts, [*starts[1:], len(content)], strict=True)}
        if any(_has_any(content, read_code(content, at, ends[at])) for at in around):
            found.append(index)
    return tuple(found)


def _has_any(content: bytes, span: Span) -> bool:
    return any(one.mnemonic in NAMES.values() for one in span.instructions) or any(
        places(content, span.unread, span.end)
    )


def places(content: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, str]]:
    """Where bytes stand that may be one of them, and its name."""
    for code, name in NAMES.items():
        at = content.find(code, start, end)
        while at >= 0:
            yield at, name
            at = content.find(code, at + 1, end)


def decoded(module: Module, index: int) -> list[Span]:
    """All of a section, in order. Anew from each function on, so that data between does no harm."""
    content = module.elf.content(index)
    names = _names(module, index)
    starts = [0, *_functions(module, index, len(content))]
    spans = zip(starts, [*starts[1:], len(content)], strict=True)
    return [
        replace(read_code(content, start, end), function=names.get(start, ""))
        for start, end in spans
    ]


def _names(module: Module, index: int) -> dict[int, str]:
    symbols = module.elf.symbols
    mine = (symbols["section"] == index) & (symbols["info"] & 0xF == FUNCTION)
    return {int(symbols["value"][i]): module.elf.symbol_name(int(i)) for i in np.flatnonzero(mine)}


def read_code(content: bytes, start: int, end: int) -> Span:
    """These bytes of a section, up to the first that are no instruction."""
    found: list[Instruction] = []
    at = start
    for at_, size, name, operands in Cs(CS_ARCH_X86, CS_MODE_64).disasm_lite(
        content[start:end], start
    ):
        if name in MISREAD:
            break
        at = at_ + size
        found.append(Instruction(at_, content[at_:at], name, operands, _target(name, operands)))
    return Span(start, end, at, tuple(found))


def _functions(module: Module, index: int, size: int) -> Iterator[int]:
    """Where its functions begin, but one at its own begin."""
    symbols = module.elf.symbols
    mine = (symbols["section"] == index) & (symbols["info"] & 0xF == FUNCTION)
    return (int(value) for value in np.unique(symbols["value"][mine]) if 0 < value < size)


def _target(mnemonic: str, operands: str) -> int | None:
    # A small number stands there without 0x; one that is not by itself is of a register.
    if not mnemonic.startswith(RELATIVE) or not operands[:1].isdigit():
        return None
    return int(operands, 0)


def named_data(one: Instruction) -> int | None:
    """The offset that an operand relative to RIP means."""
    found = RIP_RELATIVE.search(one.operands)
    return None if found is None else one.end + int((found[1] or "0").replace(" ", ""), 0)

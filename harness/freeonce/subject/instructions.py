"""Instructions that give the CPU memory of a hypervisor's, found in a module's code. Pure.

AMD manual volume 3, chapter 4: VMRUN, VMLOAD, VMSAVE, INVLPGA, CLGI, STGI; WRMSR, by which EFER
and VM_HSAVE_PA are written. By their bytes: no symbol names them.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

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

RELATIVE = ("j", "call", "loop", "xbegin")
"""How the names of those begin that go on at an address relative to their own."""


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


def candidates(module: Module) -> tuple[int, ...]:
    """The executable sections that have such an instruction."""
    found = []
    for index in module.text_sections():
        content = module.elf.content(index)
        starts = [0, *_functions(module, index, len(content))]
        # Most are bytes of others: only the functions around them are read.
        around = sorted({starts[bisect_right(starts, at) - 1] for at in _places(content)})
        ends = {start: end for start, end in zip(starts, [*starts[1:], len(content)], strict=True)}
        if any(
            one.mnemonic in NAMES.values() for at in around for one in _read(content, at, ends[at])
        ):
            found.append(index)
    return tuple(found)


def _places(content: bytes) -> Iterator[int]:
    for code in NAMES:
        at = content.find(code)
        while at >= 0:
            yield at
            at = content.find(code, at + 1)


def decoded(module: Module, index: int) -> list[Instruction]:
    """All instructions of a section, in order. Where it cannot be read there is a gap.

    Anew from each function on, so that data in between does no harm.
    """
    content = module.elf.content(index)
    starts = [0, *_functions(module, index, len(content))]
    spans = zip(starts, [*starts[1:], len(content)], strict=True)
    return [one for start, end in spans for one in _read(content, start, end)]


def _read(content: bytes, start: int, end: int) -> Iterator[Instruction]:
    decoder = Cs(CS_ARCH_X86, CS_MODE_64)
    for at, size, mnemonic, operands in decoder.disasm_lite(content[start:end], start):
        target = _target(mnemonic, operands)
        yield Instruction(at, content[at : at + size], mnemonic, operands, target)


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

"""One executable section of a module: its instructions, and who goes on or reads where. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from freeonce.subject.elf import Elf, Table
from freeonce.subject.instructions import Instruction, Span, decoded, named_data
from freeonce.subject.module import Module
from freeonce.subject.relocations import Relocations

DISTANCE = 4
IMMEDIATES = (0, 1, 2, 4)
"""Bytes that an instruction may have behind its distance."""
AT_A_TIME = 1 << 20
"""Bytes that cannot be read, of which the distances are tried together."""


@dataclass(frozen=True)
class Text:
    """As the file has it. Offsets are the section's.

    `named`: where a symbol stands; `guessed`: of each byte, whether code that cannot be read may
    go on there, or name it; `jumps`: by where they lead; `data`: what is named relative to RIP.
    """

    elf: Elf
    index: int
    name: str
    content: bytes
    spans: Sequence[Span]
    instructions: Sequence[Instruction]
    begins: frozenset[int]
    named: frozenset[int]
    guessed: npt.NDArray[np.bool_]
    jumps: dict[int, list[Instruction]] = field(default_factory=dict)
    data: set[int] = field(default_factory=set)

    def has(self, mnemonic: str) -> bool:
        """Whether such an instruction was read in it."""
        return any(one.mnemonic == mnemonic for one in self.instructions)


def read_text(module: Module, index: int, relocations: Relocations) -> Text:
    """The section of that index."""
    spans = decoded(module, index)
    instructions = [one for span in spans for one in span.instructions]
    content = module.elf.content(index)
    text = Text(
        elf=module.elf,
        index=index,
        name=module.elf.section_names[index],
        content=content,
        spans=spans,
        instructions=instructions,
        begins=frozenset(one.offset for one in instructions),
        named=frozenset(_symbols(module.elf, index)),
        guessed=_guessed(content, spans),
    )
    relocated = relocations.places(index)
    for one in instructions:
        # Where a relocation fills in the distance, its symbol says where it leads.
        if not relocated.isdisjoint(range(one.offset, one.end)):
            continue
        if one.target is not None:
            text.jumps.setdefault(one.target, []).append(one)
        data = named_data(one)
        if data is not None:
            text.data.add(data)
    return text


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


def _symbols(elf: Elf, index: int) -> Iterator[int]:
    symbols: Table = elf.symbols
    return (int(value) for value in np.unique(symbols["value"][symbols["section"] == index]))

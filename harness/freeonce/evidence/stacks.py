"""What the ledger tells of stacks and of where subjects lie. Pure. Format: guest/LEDGER.md.

Everything may be hostile: what contradicts itself is left out, and what is counted is bounded.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from freeonce.evidence.ledger import Records, Type, text_of

MOST_STACKS = 10_000
MOST_FRAMES = 64
MOST_SECTIONS = 2_048
MOST_NAMES = 20_000
FRAME_FIELDS = ("pointer", "physical", "size")
STACK_FIELD = "site"
"""Which field of a record has the number of its stack."""


@dataclass(frozen=True)
class Stack:
    """Return addresses (gva), innermost first. `sequence`: of the first record that told it."""

    sequence: int
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Section:
    """Where a section's symbol was put: `gva`. `load`: number of the subject's load.

    `index`, `symbol`: of the section, and of the symbol in `.symtab`, both in its file.
    """

    sequence: int
    load: int
    index: int
    gva: int
    symbol: int


@dataclass(frozen=True)
class Told:
    """All of one run. `names`: of loads by number; `kernel`: `name+0xoff` by address."""

    stacks: Mapping[int, Stack] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    kernel: Mapping[int, str] = field(default_factory=dict)


def told(records: Records) -> Told:
    """What these records of one run say."""
    return Told(_stacks(records), _sections(records), _names(records), _kernel(records))


def only(everything: Told, numbers: Collection[int]) -> Told:
    """What is needed to place the stacks of these numbers; nothing without any."""
    stacks = {number: one for number, one in everything.stacks.items() if number in numbers}
    if not stacks:
        return Told()
    frames = {frame for one in stacks.values() for frame in one.frames}
    kernel = {gva: name for gva, name in everything.kernel.items() if gva in frames}
    return Told(stacks, everything.sections, everything.names, kernel)


def _of(records: Records, kind: Type, most: int) -> npt.NDArray[np.void]:
    chosen: npt.NDArray[np.void] = records[records["type"] == kind][:most]
    return chosen


def _stacks(records: Records) -> dict[int, Stack]:
    found: dict[int, Stack] = {}
    for record in _of(records, Type.STACK, MOST_STACKS * (MOST_FRAMES // 3)):
        number, first = int(record[STACK_FIELD]), int(record["detail"])
        known = found.get(number, Stack(int(record["sequence"]), ()))
        frames = tuple(int(record[name]) for name in FRAME_FIELDS)
        # Told in order and in one go; what comes again would be another stack.
        if first == len(known.frames) < MOST_FRAMES and 0 not in known.frames:
            found[number] = Stack(known.sequence, (*known.frames, *frames))
    return {
        number: Stack(one.sequence, tuple(filter(None, one.frames)))
        for number, one in found.items()
    }


def _sections(records: Records) -> tuple[Section, ...]:
    return tuple(
        Section(
            sequence=int(record["sequence"]),
            load=int(record["serial"]),
            index=int(record["detail"]),
            gva=int(record["pointer"]),
            symbol=int(record["size"]),
        )
        for record in _of(records, Type.SECTION, MOST_SECTIONS)
    )


def _names(records: Records) -> dict[int, str]:
    return {load: text for (load,), text in _texts(records, Type.SUBJECT, ("serial",)).items()}


def _kernel(records: Records) -> dict[int, str]:
    return {
        low | high << 32: text
        for (low, high), text in _texts(records, Type.SYMBOL, ("serial", STACK_FIELD)).items()
    }


def _texts(records: Records, kind: Type, key: tuple[str, ...]) -> dict[tuple[int, ...], str]:
    """Texts that came in pieces, numbered by `detail`, put together by key."""
    pieces: dict[tuple[int, ...], str] = {}
    count: dict[tuple[int, ...], int] = {}
    for record in _of(records, kind, MOST_NAMES):
        whose = tuple(int(record[name]) for name in key)
        if int(record["detail"]) == count.get(whose, 0) < MOST_FRAMES:
            pieces[whose] = pieces.get(whose, "") + text_of(record)
            count[whose] = count.get(whose, 0) + 1
    return pieces

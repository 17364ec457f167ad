"""Which neighbours move together with an instruction that needs a call beside it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from freeonce.subject.alternatives import REPLACEMENTS
from freeonce.subject.instructions import HOOKS, NAMES, Instruction, Span, places
from freeonce.subject.staying import JUMP_BYTES, Ground, Region
from freeonce.subject.text import Text

LONGEST = 32
"""Bytes that move together, at most."""


@dataclass(frozen=True)
class Found:
    """An instruction of a module. `section` and `offset`: where, in `function` if a symbol has it;
    `left`: why it is not led."""

    name: str
    section: str
    offset: int
    left: str = ""
    function: str = ""


def choose(
    ground: Ground, hooks: Mapping[str, int], indifferent: frozenset[int]
) -> tuple[list[Region], list[Found]]:
    """What moves, in order; and all that is found.

    `hooks`: those that the instrument has; `indifferent`: offsets of what nobody is to be told of.
    """
    text = ground.text
    regions: list[Region] = []
    found, over, place = [], 0, -1
    for span in text.spans:
        for one in span.instructions:
            place += 1
            if one.mnemonic not in HOOKS or one.offset in indifferent:
                continue
            left = ""
            if one.offset >= over:
                left = _why_not(one, span, ground, hooks)
                region = left or _region(ground, place, over)
                if isinstance(region, str):
                    left = region
                else:
                    regions.append(region)
                    over = region.end
            found.append(Found(one.mnemonic, text.name, one.offset, left, span.function))
        found += [
            Found(name, text.name, at, "the code around it cannot be read", span.function)
            for at, name in sorted(places(text.content, span.unread, span.end))
        ]
    return regions, found


def _why_not(one: Instruction, span: Span, ground: Ground, hooks: Mapping[str, int]) -> str:
    """Whatever stands beside it."""
    if ground.text.name == REPLACEMENTS:
        return "the kernel copies it over other code"
    if NAMES.get(one.code) != one.mnemonic:
        return "it has a prefix"
    if span.unread < span.end:
        return "code of its function cannot be read"
    if ground.relocations.table_of(ground.text.index) is None:
        return "its section has no relocations"
    missing = [hook for hook in HOOKS[one.mnemonic] if hook and hook not in hooks]
    return f"the instrument has no {missing[0]}" if missing else ""


def _region(ground: Ground, place: int, over: int) -> Region | str:
    """The neighbours that move, as few in front as possible; or why none can.

    `place`: its number among the instructions; `over`: what may not move again.
    """
    why = ""
    for first in range(place, -1, -1):
        row = _row(ground.text, first, place)
        if row[0].offset < over or row[-1].end - row[0].offset > LONGEST:
            break
        if any(a.end != b.offset for a, b in pairwise(row)):
            break
        told = ground.why_not(Region(row))
        if not told and row[-1].end - row[0].offset >= JUMP_BYTES:
            return Region(row)
        why = why or told
    return why or "there is no room for a jump"


def _row(text: Text, first: int, place: int) -> list[Instruction]:
    row = list(text.instructions[first : place + 1])
    while row[-1].end - row[0].offset < JUMP_BYTES and first + len(row) < len(text.instructions):
        row.append(text.instructions[first + len(row)])
    return row

"""What each witness says of one allocation, side by side. Pure: words for the report.

The judgement is the audit's; this only puts the accounts beside each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from freeonce.audit.memory import Memory
from freeonce.evidence.ledger import (
    GUARD,
    GUARD_BYTES,
    GUARD_LIVE,
    GUARD_RELEASED,
    POISON_RELEASED,
    Kind,
    Records,
    Type,
    Witness,
)
from freeonce.report.lifetimes import Bar

CALLS = {Kind.POOL: "kmalloc", Kind.CONTIGUOUS: "pages"}


@dataclass(frozen=True)
class Accounts:
    """Three accounts of the allocation `serial`, in words."""

    serial: int
    ledger: str
    kernel: str
    memory: str


def accounts(bars: Sequence[Bar], records: Records, memory: Memory | None) -> tuple[Accounts, ...]:
    """For each bar what the three witnesses say of it."""
    seen = records[records["witness"] == Witness.KERNEL]
    made = seen[seen["type"] == Type.ALLOCATE]
    gone = seen[seen["type"] == Type.RELEASE]
    ends = records["sequence"][records["type"] == Type.END]
    end = int(ends[0]) if len(ends) else 1 << 32
    return tuple(
        Accounts(bar.serial, _ledger(bar), _kernel(bar, made, gone, end), _memory(bar, memory))
        if bar.ours
        else Accounts(bar.serial, _ledger(bar), _by_itself(bar, gone), _by_instrument(memory))
        for bar in bars
    )


def _ledger(bar: Bar) -> str:
    if bar.end is None:
        return f"{bar.kind}, {bar.size} bytes; never released"
    kept = ", wrongly" if bar.withheld else ""
    return f"{bar.kind}, {bar.size} bytes; released{kept}"


def _kernel(bar: Bar, made: Records, gone: Records, end: int) -> str:
    """The block that the kernel gave out last before, and when it got it back."""
    around = (made["pointer"] <= bar.pointer) & (bar.pointer - made["pointer"] < made["size"])
    before = np.flatnonzero(around & (made["sequence"] < bar.first))
    if not len(before):
        return "saw no allocation here"
    block = made[before[-1]]
    said = f"{CALLS.get(Kind(int(block['kind'])), 'no kind')}, {int(block['size'])} bytes"
    back = gone["sequence"][(gone["pointer"] == block["pointer"]) & (gone["sequence"] > bar.first)]
    if not len(back):
        return f"{said}; never got it back"
    when = "when it was settled" if int(back[0]) > end else "while the scenario ran"
    return f"{said}; got it back {when}"


def _by_itself(bar: Bar, gone: Records) -> str:
    """Of its own allocators the kernel's witness tells only what it does without being asked."""
    released = np.any(gone["serial"] == bar.serial)
    return "released it by itself" if released else "called through a wrapper, which records it"


def _by_instrument(memory: Memory | None) -> str:
    return "was not read" if memory is None else "guards and poison were checked; see the findings"


def _memory(bar: Bar, memory: Memory | None) -> str:
    if memory is None:
        return "was not read"
    guard = memory.snapshot.read(bar.physical + bar.size, GUARD_BYTES)
    if guard is None:
        return "was not read"
    said = f"guard says {_guard(guard, bar.serial)}"
    if bar.end is None or bar.withheld:
        return said
    data = memory.snapshot.read(bar.physical, bar.size)
    if data is None:
        return said
    wrong = np.flatnonzero(np.frombuffer(data, np.uint8) != POISON_RELEASED)
    return f"{said}; " + (f"poison broken at byte {wrong[0]}" if len(wrong) else "poison whole")


def _guard(raw: bytes, serial: int) -> str:
    guard = np.frombuffer(raw, GUARD)[0]
    states = {GUARD_LIVE: "live", GUARD_RELEASED: "released"}
    for pattern, state in states.items():
        if np.all(guard["pattern"] == pattern):
            mine = int(guard["serial"]) == serial
            return state if mine else f"{state}, of allocation {int(guard['serial'])}"
    return f"nothing known: {raw.hex(' ', 4)}"

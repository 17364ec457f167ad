"""What a module calls that looks like an acquisition and that no family has. Pure.

Silence is no coverage: who reads a verdict must see of what it says nothing. The table is
`unaudited.toml`.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from freeonce.subject.elf import damaged
from freeonce.subject.module import Module

RELA = np.dtype([("offset", "<u8"), ("info", "<u8"), ("addend", "<i8")])
RELA_TYPE = 4
"""Of a section: relocations with addends (System V ABI, chapter 4)."""


@dataclass(frozen=True)
class Unaudited:
    """A function. `calls`: places in the module's code that name it; `what`: it acquires.

    `because`: what gives that back.
    """

    function: str
    calls: int
    what: str
    because: str


@dataclass(frozen=True)
class Look:
    """An entry of the table. `what`: is acquired, empty for nothing; `because`: the reason."""

    names: re.Pattern[str]
    what: str
    because: str


@cache
def table() -> tuple[Look, ...]:
    """All entries, in their order."""
    text = files("freeonce.subject").joinpath("unaudited.toml").read_text()
    return tuple(
        Look(
            re.compile("|".join(f"(?:{name})" for name in one["names"])),
            one.get("what", ""),
            one["because"],
        )
        for one in tomllib.loads(text)["entry"]
    )


def look_of(function: str) -> Look | None:
    """The entry that decides about a function of the kernel; None: it looks like nothing."""
    return next((one for one in table() if one.names.fullmatch(function)), None)


def unaudited(module: Module, audited: Collection[str]) -> tuple[Unaudited, ...]:
    """Those of a module, in the order of its symbols. `audited`: functions with a wrapper.

    Raises SubjectError `damaged`.
    """
    looks = {name: look_of(name) for name in module.undefined if name not in audited}
    found = {name: look for name, look in looks.items() if look and look.what}
    calls = _calls(module) if found else Counter[str]()
    return tuple(
        Unaudited(name, calls[name], look.what, look.because) for name, look in found.items()
    )


def _calls(module: Module) -> Counter[str]:
    """How often the module's code names each undefined symbol."""
    elf = module.elf
    code = set(module.text_sections())
    counts: Counter[str] = Counter()
    for index in np.flatnonzero(elf.sections["type"] == RELA_TYPE):
        if int(elf.sections[index]["info"]) not in code:
            continue
        data = elf.content(int(index))
        if len(data) % RELA.itemsize:
            raise damaged("its relocations end within one")
        numbers = (np.frombuffer(data, RELA)["info"] >> np.uint64(32)).astype(np.int64)
        numbers = numbers[numbers < len(elf.symbols)]
        for number, times in zip(*np.unique(numbers, return_counts=True), strict=True):
            if elf.symbols[number]["section"] == 0:
                counts[elf.symbol_name(int(number))] += int(times)
    return counts

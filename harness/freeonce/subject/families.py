"""The families of this image: which function of the kernel has which wrapper. `families.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from freeonce.errors import HostError

SCHEMA = "freeonce/families/2"
LONGEST = 55
"""Bytes of a name in an entry of `__versions` (include/linux/module.h, MODULE_NAME_LEN)."""


@dataclass(frozen=True)
class Wrapper:
    """What a call of a function becomes. `crc`: the wrapper's, as modversions has it."""

    number: int
    function: str
    name: str
    crc: int
    family: str
    role: str


@dataclass(frozen=True)
class Hook:
    """What an instruction's trampoline calls. `crc`: as modversions has it."""

    name: str
    crc: int


@dataclass(frozen=True)
class Families:
    """All of them. `wrappers`: by the kernel's name; `names`: of families by number.

    `hooks`: by what they are told of, as `trampolines` calls it.
    """

    wrappers: Mapping[str, Wrapper]
    names: Mapping[int, str]
    hooks: Mapping[str, Hook]


def parse_families(text: str) -> Families:
    """Raises ValueError, KeyError or TypeError for what is none."""
    data = json.loads(text)
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema {data['schema']}, not {SCHEMA}")
    wrappers = (
        Wrapper(
            number=int(one["number"]),
            function=str(one["name"]),
            name=str(one["wrapper"]),
            crc=int(one["crc"], 16),
            family=str(one["family"]),
            role=str(one["role"]),
        )
        for one in data["functions"]
    )
    by_function = {one.function: one for one in wrappers}
    if any(len(one.name.encode()) > LONGEST for one in by_function.values()):
        raise ValueError("a wrapper's name is too long for a module's __versions")
    hooks = {str(one["of"]): Hook(str(one["name"]), int(one["crc"], 16)) for one in data["hooks"]}
    names = {int(one["number"]): one["name"] for one in data["families"]}
    return Families(by_function, names, hooks)


def read_families(path: Path) -> Families:
    """The families beside an image's manifest. Raises HostError `no-image`."""
    try:
        return parse_families(path.read_text())
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"no usable families at {path}: {error}; run 'freeonce setup'"
        raise HostError("no-image", message) from error

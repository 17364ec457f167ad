"""`freeonce.toml`: what a user's project says of its kernels, scenarios, modules and machine."""

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freeonce.errors import UsageError
from freeonce.given import given_text

NAME = "freeonce.toml"
SCENARIOS = (".rs", ".c")


@dataclass(frozen=True)
class Project:
    """A folder with a `freeonce.toml`. Paths are as its user writes them from where he stands.

    `kernels`: the first is what guests boot. `scenarios`: a folder with files of them, if any;
    `crate`: a cargo package that has some. `families`: what it says of functions of its own.
    `defaults`: what each verb takes for an option that is not given, by its parameters' names.
    """

    folder: Path
    kernels: tuple[str, ...]
    scenarios: Path | None
    crate: Path | None
    families: dict[str, Any]
    defaults: dict[str, dict[str, Any]]


def find_project(start: Path) -> Path | None:
    """The nearest `freeonce.toml` at or above a folder."""
    files = (folder / NAME for folder in (start, *start.parents))
    return next((file for file in files if file.is_file()), None)


def load_project(file: Path) -> Project:
    """What it says. Raises UsageError that names line and key of what is wrong."""
    # Loading pydantic takes longer than most verbs, and most have no such file.
    from pydantic import ValidationError  # noqa: PLC0415

    from freeonce.project.schema import Tables  # noqa: PLC0415

    shown = os.path.relpath(file)
    try:
        text = given_text(file)
        tables = Tables.model_validate(tomllib.loads(text), context={"folder": file.parent})
    except ValidationError as error:
        raise UsageError("\n".join(_told(error.errors(), text, shown))) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{shown}: {error}") from error
    machine = {
        "memory": tables.machine.memory,
        "cpus": tables.machine.cpus,
        "append": [tables.machine.append] if tables.machine.append else [],
        "qemu_arg": tables.machine.qemu,
    }
    folder = file.parent / tables.scenarios
    audit = {**machine, **tables.audit.options(Path(os.path.relpath(file.parent)))}
    return Project(
        folder=file.parent,
        kernels=tuple(kernel_from(one, file.parent) for one in tables.kernels),
        scenarios=folder if _has_scenarios(folder) else None,
        crate=file.parent / tables.crate if tables.crate else None,
        families=tables.model_dump()["families"],
        defaults={"run": machine, "shell": machine, "audit": audit},
    )


def kernel_from(word: str, folder: Path) -> str:
    """A package's name as it is, a tree of sources by its whole path. Raises UsageError."""
    if not re.fullmatch(r"[\w./+:~-]+", word) or word.startswith("-"):
        raise UsageError(
            f"{word!r} is no kernel: give cloud, a package's name, or a path of plain characters"
        )
    return str((folder / word).resolve()) if "/" in word else word


def _has_scenarios(folder: Path) -> bool:
    return folder.is_dir() and any(
        file.suffix in SCENARIOS and file.is_file() and not file.name.startswith(".")
        for file in folder.iterdir()
    )


def _told(errors: list[Any], text: str, shown: str) -> list[str]:
    """Each error with its line and key. A key that is not there has its table's line."""
    said = []
    for error in errors:
        keys = [part for part in error["loc"] if isinstance(part, str)]
        message = error["msg"].removeprefix("Value error, ")
        said.append(f"{shown}:{line_of(keys, text)}: {'.'.join(keys) or 'the file'}: {message}")
    return said


PART = r"""(?:[\w\-]+|"[^"]*"|'[^']*')"""
KEY = rf"{PART}(?:\s*\.\s*{PART})*"


def line_of(keys: list[str], text: str) -> int:
    """The number of the line where a key stands, its table's when it is not there, else 1.

    An inline table stands in one line, and is the place of all that is in it.
    """
    table: list[str] = []
    best = 1
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(rf"\s*\[+\s*({KEY})\s*\]+\s*(#.*)?$", line):
            path = table = _parts(header[1])
        elif key := re.match(rf"\s*({KEY})\s*=", line):
            path = [*table, *_parts(key[1])]
        else:
            continue
        if path == keys:
            return number
        if path == keys[: len(path)]:
            best = number
    return best


def _parts(key: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(PART, key)]

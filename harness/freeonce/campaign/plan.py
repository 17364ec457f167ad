"""A campaign's plan: TOML to what is to be run. Pure.

Three tables, each as often as wanted: `[[scenarios]]`, `[[audits]]` and `[[census]]`.
docs/campaigns.md has every key.
"""

import re
import tomllib
from bisect import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from freeonce.audit.attempts import each_of
from freeonce.errors import UsageError


@dataclass(frozen=True)
class Scenarios:
    """`names`: globs. `timeout`: seconds for one run.

    `fail_each`: then each allocation is made to fail, as by `freeonce run --fail-each`.
    `kernels`: as of `freeonce setup --kernel`; none: that of the image in use.
    """

    names: tuple[str, ...]
    fail_each: bool = False
    fail_limit: int | None = None
    repeat: int = 1
    timeout: float | None = None
    kernels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Audit:
    """One life, `repeat` times over; the words are those of `freeonce audit`. Paths as written.

    `fail_each`: as its option has it, and then lives with a failure are part of the result.
    """

    targets: tuple[str, ...]
    params: str = ""
    exercises: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    fail_each: str | None = None
    fail_limit: int | None = None
    repeat: int = 1
    timeout: float | None = None
    kernels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Census:
    """Modules of the kernel package by globs, as of `freeonce census`.

    `fail_each`: also with each acquisition of its load made to fail.
    """

    names: tuple[str, ...] = ("*",)
    fail_each: bool = False
    fail_limit: int | None = None
    kernels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """In the order of the file, scenarios first, the census last."""

    scenarios: tuple[Scenarios, ...] = ()
    audits: tuple[Audit, ...] = ()
    census: tuple[Census, ...] = ()


def parse_plan(text: str, where: str) -> Plan:
    """The plan in a file. `where`: what messages call it.

    Raises UsageError that names line and key.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: {error}") from error
    try:
        _known(tables, (*_TABLES,), ())
        found = {name: tuple(_each(tables, name)) for name in _TABLES}
        if not any(found.values()):
            raise _Wrong((), f"it has none of {', '.join(f'[[{name}]]' for name in _TABLES)}")
    except _Wrong as wrong:
        raise UsageError(f"{where}:{line_of(wrong.place, text)}: {wrong}") from wrong
    return Plan(**found)


Place = tuple[str | int, ...]
"""A table, which of those with its name from 0, a key: as far as these are known."""


class _Wrong(Exception):
    def __init__(self, place: Place, words: str) -> None:
        super().__init__(words)
        self.place = place


def line_of(place: Place, text: str) -> int:
    """The number of the line on which something of a file of TOML begins.

    tomllib tells no lines: it is behind the longest beginning of the file that does not have it.
    """
    ends = _ends(text)
    first = bisect(ends, False, key=lambda end: _has(tomllib.loads(text[:end]), place))
    return text.count("\n", 0, ends[max(first - 1, 0)]) + 1


_TOKENS = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'|#[^\n]*|[\[\]\n]",
    re.DOTALL,
)


def _ends(text: str) -> list[int]:
    """Where beginnings of a file of TOML end that are such files, too: lines that end in no value.

    To ask tomllib at each line of a value costs the square of its lines.
    """
    ends, depth = [0], 0
    for token in _TOKENS.finditer(text):
        depth += {"[": 1, "]": -1}.get(token[0], 0)
        if token[0] == "\n" and not depth:
            ends.append(token.end())
    return [*ends, len(text)]


def _has(tables: Any, place: Place) -> bool:
    try:
        for one in place:
            tables = tables[one]
    except (LookupError, TypeError):
        return False
    return True


MOST = 1_000_000
"""Repetitions."""


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise ValueError("a list of at least one text")
    if not all(one.strip() for one in value):
        raise ValueError("a list of texts that are not empty")
    return tuple(value)


def _count(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MOST:
        raise ValueError(f"a whole number from 1 to {MOST}")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.1 <= value < 1e6:
        raise ValueError("seconds, at least 0.1")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _failing(value: object) -> str:
    text = _text(value)
    each_of(text)
    return text


Readers = Mapping[str, Callable[[object], object]]

_SCENARIOS: Readers = {
    "names": _words,
    "fail_each": _truth,
    "fail_limit": _count,
    "repeat": _count,
    "timeout": _seconds,
    "kernels": _words,
}
_AUDIT: Readers = {
    "targets": _words,
    "params": _text,
    "exercises": _words,
    "commands": _words,
    "files": _words,
    "dependencies": _words,
    "fail_each": _failing,
    "fail_limit": _count,
    "repeat": _count,
    "timeout": _seconds,
    "kernels": _words,
}
_CENSUS: Readers = {
    "names": _words,
    "fail_each": _truth,
    "fail_limit": _count,
    "kernels": _words,
}
_TABLES: Mapping[str, tuple[Readers, Callable[..., Any], tuple[str, ...]]] = {
    "scenarios": (_SCENARIOS, Scenarios, ("names",)),
    "audits": (_AUDIT, Audit, ("targets",)),
    "census": (_CENSUS, Census, ()),
}
"""By name: its keys, what it becomes, and which keys it needs."""


def _each(tables: dict[str, Any], name: str) -> list[Any]:
    readers, made, needed = _TABLES[name]
    listed = tables.get(name, [])
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise _Wrong((name,), f"write [[{name}]] with two brackets")
    found = []
    for number, table in enumerate(listed):
        here: Place = (name, number)
        _known(table, tuple(readers), here)
        for key in needed:
            if key not in table:
                raise _Wrong(here, f"[[{name}]] {key} is missing")
        values = {key: _read(readers[key], value, (*here, key)) for key, value in table.items()}
        if "fail_limit" in values and not values.get("fail_each"):
            raise _Wrong((*here, "fail_limit"), f"[[{name}]] fail_limit is for fail_each")
        found.append(made(**values))
    return found


def _read(reader: Callable[[object], object], value: object, place: Place) -> object:
    try:
        return reader(value)
    except ValueError as error:
        name, _, key = place
        raise _Wrong(place, f"[[{name}]] {key} must be {error}, not {value!r}") from error


def _known(table: Mapping[str, object], names: tuple[str, ...], place: Place) -> None:
    for key in table:
        if key not in names:
            of = f"[[{place[0]}]] " if place else ""
            raise _Wrong((*place, key), f"{of}{key} is unknown; known are {', '.join(names)}")

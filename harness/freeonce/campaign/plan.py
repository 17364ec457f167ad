"""A campaign's plan: TOML to what is to be run. Pure.

Two tables, each as often as wanted: `[[scenarios]]` and `[[audits]]`. docs/campaigns.md has
every key.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from freeonce.audit.attempts import each_of
from freeonce.errors import UsageError


@dataclass(frozen=True)
class Scenarios:
    """`names`: globs. `timeout`: seconds for one run."""

    names: tuple[str, ...]
    repeat: int = 1
    timeout: float | None = None


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


@dataclass(frozen=True)
class Plan:
    """In the order of the file, scenarios first."""

    scenarios: tuple[Scenarios, ...]
    audits: tuple[Audit, ...]


def parse_plan(text: str, where: str) -> Plan:
    """The plan in a file. `where`: what messages call it.

    Raises UsageError that names the line, or the table and its key.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: {error}") from error
    _known(tables, ("scenarios", "audits"), where)
    plan = Plan(
        tuple(_each(tables, "scenarios", _SCENARIOS, Scenarios, where)),
        tuple(_each(tables, "audits", _AUDIT, Audit, where)),
    )
    if not plan.scenarios and not plan.audits:
        raise UsageError(f"{where}: it has neither [[scenarios]] nor [[audits]]")
    return plan


MOST = 1_000_000
"""Repetitions."""


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise ValueError("a list of at least one text")
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


def _failing(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")
    each_of(value)
    return value


Readers = Mapping[str, Callable[[object], object]]

_SCENARIOS: Readers = {"names": _words, "repeat": _count, "timeout": _seconds}
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
}
_NEEDED = ("names", "targets")


def _each(
    tables: dict[str, Any], name: str, readers: Readers, made: Callable[..., Any], where: str
) -> list[Any]:
    listed = tables.get(name, [])
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise UsageError(f"{where}: write [[{name}]] with two brackets")
    found = []
    for number, table in enumerate(listed, 1):
        here = f"{where}: [[{name}]] number {number}"
        _known(table, readers, here)
        for needed in _NEEDED:
            if needed in readers and needed not in table:
                raise UsageError(f"{here}: {needed} is missing")
        values = {key: _read(readers[key], value, key, here) for key, value in table.items()}
        if "fail_limit" in values and "fail_each" not in values:
            raise UsageError(f"{here}: fail_limit is for fail_each")
        found.append(made(**values))
    return found


def _read(reader: Callable[[object], object], value: object, key: str, here: str) -> object:
    try:
        return reader(value)
    except ValueError as error:
        raise UsageError(f"{here}: {key} must be {error}, not {value!r}") from error


def _known(table: Mapping[str, object], names: Readers | tuple[str, ...], here: str) -> None:
    for key in table:
        if key not in names:
            raise UsageError(f"{here}: {key} is unknown; known are {', '.join(names)}")

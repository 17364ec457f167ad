"""`audit --expect FILE`: findings that are known, as TOML, and whether they are all there is. Pure.

[[finding]]
rule = "leak"          # freeonce explain lists them
family = "slab"
function = "probe"     # optional: of the place that the finding names
count = 3              # optional: of how many findings it is
because = "..."        # optional: why it is known
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from freeonce.audit.model import Rule
from freeonce.audit.rules import KIND_NAMES
from freeonce.errors import UsageError
from freeonce.report.found import Found
from freeonce.report.identity import plain

KEYS = {"rule": str, "family": str, "function": str, "count": int, "because": str}


@dataclass(frozen=True)
class Known:
    """One finding that is known. None where nothing is said."""

    rule: str
    family: str
    function: str | None = None
    count: int | None = None
    because: str | None = None

    def __str__(self) -> str:
        where = f" in {self.function}" if self.function else ""
        return f"{self.rule} ({self.family}){where}"


def parse_expected(text: str, name: str) -> tuple[Known, ...]:
    """The findings of such a file. `name`: the file's, for messages. Raises UsageError."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{name} is no TOML: {error}") from error
    if unknown := data.keys() - {"finding"}:
        raise UsageError(
            f"{name}: unknown: {', '.join(sorted(unknown))}; only [[finding]] is known"
        )
    entries = data.get("finding", [])
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise UsageError(f"{name}: write [[finding]], with two brackets, for each finding")
    return tuple(_known(entry, f"{name}, finding {n}") for n, entry in enumerate(entries, start=1))


def _known(entry: Mapping[str, object], where: str) -> Known:
    for key, value in entry.items():
        kind = KEYS.get(key)
        if kind is None:
            raise UsageError(f"{where}: {key!r} is unknown; known are {', '.join(KEYS)}")
        # TOML's true is no number.
        if type(value) is not kind:
            raise UsageError(f"{where}: {key} is no {'number' if kind is int else 'text'}")
    for key, words in (("rule", sorted(Rule)), ("family", sorted(set(KIND_NAMES.values())))):
        if entry.get(key) not in words:
            message = f"{where}: {key} is {entry.get(key)!r}, not one of {', '.join(words)}"
            raise UsageError(message)
    return Known(**entry)  # type: ignore[arg-type]


def compare(
    found: Sequence[Found], known: Sequence[Known]
) -> tuple[dict[Found, Known], tuple[Known, ...]]:
    """Which known finding each found one is, and the known ones that were not found.

    Those that say more are tried first, so that one that says less does not take their finding.
    """
    met: dict[Found, Known] = {}
    missing = []
    for one in sorted(known, key=lambda one: (one.function is None, one.count is None)):
        match = next((other for other in found if other not in met and _is(other, one)), None)
        if match is None:
            missing.append(one)
        else:
            met[match] = one
    return met, tuple(missing)


def _is(found: Found, known: Known) -> bool:
    function = found.place.frame.function if found.place else ""
    names = None, function, plain(function)
    return (
        (found.finding.rule, found.finding.kind) == (known.rule, known.family)
        and known.function in names
        and known.count in (None, found.count)
    )

"""Findings that people judged: `--suppress FILE` and `--baseline FILE.json`. Pure.

[[suppress]]
rule = "leak"          # or what became of a failure point: "crashed"
family = "slab"        # optional
module = "nbd"         # module or function, or both: a whole rule cannot be suppressed
function = "nbd_init"
when = "failure"       # optional: "plain" or "failure", in a life without failures or with one
failed = "nbd_alloc"   # optional: the function whose acquisition failed
because = "..."
"""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from freeonce.audit.model import Rule
from freeonce.audit.points import Outcome
from freeonce.audit.rules import KIND_NAMES
from freeonce.errors import UsageError
from freeonce.report.identity import FAILURE, PLAIN, Named

KEYS = ("rule", "family", "module", "function", "when", "failed", "because")
_BECAME = (Outcome.CRASHED, Outcome.HUNG)
"""What a failure point is named by; others by their findings, and of `unknown` nothing is known."""
WORDS = {
    "rule": {str(one) for one in (*Rule, *_BECAME)},
    "family": set(KIND_NAMES.values()),
    "when": {PLAIN, FAILURE},
}
IN_BASELINE = "it is in the baseline"


@dataclass(frozen=True)
class Suppression:
    """Findings that somebody judged. None: whichever."""

    rule: str
    because: str
    family: str | None = None
    module: str | None = None
    function: str | None = None
    when: str | None = None
    failed: str | None = None

    def __str__(self) -> str:
        where = self.function or self.module
        family = f" ({self.family})" if self.family else ""
        failed = f" when {self.failed} fails" if self.failed else ""
        when = f" ({self.when})" if self.when else ""
        return f"{self.rule}{family} in {where}{failed}{when}: {self.because}"

    def covers(self, one: Named) -> bool:
        """Whether it speaks of that."""
        return (
            self.rule == one.rule
            and self.family in (None, one.family)
            and self.module in (None, one.module)
            and self.function in (None, one.function)
            and self.when in (None, one.when)
            and self.failed in (None, one.failed)
        )


@dataclass(frozen=True)
class Excuses:
    """All that is not to count. `baseline`: identities of what was found before."""

    suppressions: tuple[Suppression, ...] = ()
    baseline: frozenset[str] = frozenset()

    def why(self, one: Named) -> str:
        """Why it does not count; empty when it does.

        What has no identity cannot be told apart: excusing one would excuse any number.
        """
        if not one.identity:
            return ""
        for suppression in self.suppressions:
            if suppression.covers(one):
                return suppression.because
        return IN_BASELINE if one.identity in self.baseline else ""

    def all(self, names: Sequence[Named]) -> str:
        """Why none of these counts; empty when one does."""
        said = [self.why(one) for one in names]
        return "; ".join(dict.fromkeys(said)) if all(said) else ""

    def unused(self, every: Iterable[Named]) -> tuple[Suppression, ...]:
        """Suppressions of which nothing came: their faults were mended, or they never fitted."""
        seen = set(every)
        return tuple(
            one for one in self.suppressions if not any(one.covers(other) for other in seen)
        )


NONE = Excuses()


def parse_suppressions(text: str, name: str) -> tuple[Suppression, ...]:
    """Of such a file. `name`: the file's, for messages. Raises UsageError."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{name} is no TOML: {error}") from error
    if unknown := data.keys() - {"suppress"}:
        message = f"{name}: unknown: {', '.join(sorted(unknown))}; only [[suppress]] is known"
        raise UsageError(message)
    entries = data.get("suppress", [])
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise UsageError(f"{name}: write [[suppress]], with two brackets, for each")
    return tuple(_entry(one, f"{name}, suppress {n}") for n, one in enumerate(entries, start=1))


def _entry(entry: Mapping[str, object], where: str) -> Suppression:
    for key, value in entry.items():
        if key not in KEYS:
            raise UsageError(f"{where}: {key!r} is unknown; known are {', '.join(KEYS)}")
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f"{where}: {key} is no text")
    said = {key: str(value) for key, value in entry.items()}
    for key, words in WORDS.items():
        if key in said and said[key] not in words:
            message = f"{where}: {key} is {said[key]!r}, not one of {', '.join(sorted(words))}"
            raise UsageError(message)
    for needed in ("rule", "because"):
        if needed not in said:
            raise UsageError(f"{where}: {needed} is missing")
    if "module" not in said and "function" not in said:
        raise UsageError(f"{where}: name a module or a function; a whole rule cannot be suppressed")
    return Suppression(**said)


def parse_baseline(text: str, name: str) -> frozenset[str]:
    """The identities in a report of `audit --json` or `census --json`. Raises UsageError."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is no JSON: {error}") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema not in ("freeonce/audit/1", "freeonce/census/1"):
        raise UsageError(f"{name} is no report of freeonce audit --json or census --json")
    return frozenset(_identities(document))


def _identities(value: Any) -> Iterator[str]:
    """Every identity in a report, wherever it stands: what has none cannot be known again."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            identity = one.get("identity")
            if isinstance(identity, str) and identity:
                yield identity
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one

"""Two stores held against each other: what is new, gone, or changed. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from freeonce.audit.points import Outcome
from freeonce.campaign.store import Kept

SHOWN = 3
"""Findings of a result in one line."""


@dataclass(frozen=True)
class Difference:
    """`what`: new, gone or changed. `name`: the task's, for people. `before`, `after`: verdict and
    findings in words.
    """

    what: str
    name: str
    number: int
    before: str
    after: str


def findings(document: dict[str, Any]) -> frozenset[str]:
    """The findings of a result and of its failure points, without what another build moves:
    addresses, lines, and the number of the acquisition that failed.
    """
    found = {_in_words(one) for one in document.get("findings", ())}
    led = document.get("failures") or {}
    for point in led.get("points", ()):
        if point["outcome"] != Outcome.HANDLED:
            found |= set(_of_point(point))
    if led.get("unled"):
        found.add(f"no failures led: {led['unled']}")
    return frozenset(found)


def _in_words(one: dict[str, Any]) -> str:
    kind = one.get("family") or one.get("kind") or ""
    place = one.get("function") or one.get("what") or one.get("at") or ""
    return " ".join(filter(None, (str(one.get("rule")), str(kind), str(place))))


def _of_point(point: dict[str, Any]) -> Iterator[str]:
    """What became of it, at what acquisition, and each finding with its identity."""
    outcome = point["outcome"]
    for one in point.get("named") or [{"rule": outcome}]:
        said = _in_words(one)
        what = said if one["rule"] == outcome else f"{outcome}: {said}"
        failed = f" when {one['failed']} fails" if one.get("failed") else " in a failure"
        identity = f" ({one['identity']})" if one.get("identity") else ""
        yield f"{what}{failed}{identity}"


def in_words(kept: Kept) -> str:
    """Verdict and findings of a result."""
    return "; ".join([kept.verdict, *sorted(findings(kept.document))])


def in_short(document: dict[str, Any]) -> str:
    """The first of its findings, and how many more there are."""
    every = sorted(findings(document))
    more = [f"{len(every) - SHOWN} more"] if len(every) > SHOWN else []
    return "; ".join([*every[:SHOWN], *more])


def differences(before: Iterable[Kept], after: Iterable[Kept]) -> Iterator[Difference]:
    """Every task of which the two do not say the same, in the order of `after`, then what is gone.
    Each has one result of a task.
    """
    old, new = ({one.same_run: one for one in side} for side in (before, after))
    for who, kept in new.items():
        was = in_words(old[who]) if who in old else ""
        now = in_words(kept)
        if was != now:
            what = "changed" if was else "new"
            yield Difference(what, kept.label, kept.number, was, now)
    for who, kept in old.items():
        if who not in new:
            yield Difference("gone", kept.label, kept.number, in_words(kept), "")

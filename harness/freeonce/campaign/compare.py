"""Two stores held against each other: which findings are new or gone, task by task. Pure."""

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from sys import intern
from typing import Any

from freeonce.audit.points import Outcome
from freeonce.campaign.store import Kept

SHOWN = 3
"""Findings of a result in one line."""
NEW, GONE, CHANGED = "new", "gone", "changed"
"""What a task may be."""


@dataclass(frozen=True)
class Difference:
    """Of a task, in words for people. `what`: NEW, GONE or CHANGED. `before`, `after`:
    verdicts, empty where there is no result. `new`, `gone`: findings that only one of them has.
    """

    what: str
    name: str
    number: int
    before: str
    after: str
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


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
        found.add(f"no failures were run: {led['unled']}")
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


def in_short(document: dict[str, Any]) -> str:
    """The first of its findings, and how many more there are."""
    every = sorted(findings(document))
    more = [f"{len(every) - SHOWN} more"] if len(every) > SHOWN else []
    return "; ".join([*every[:SHOWN], *more])


@dataclass(frozen=True, slots=True)
class _Result:
    """What is compared of a result."""

    label: str
    number: int
    verdict: str
    found: frozenset[str]
    asked: bool


def differences(
    before: Iterable[Kept],
    after: Iterable[Kept],
    awaited: Container[str] = (),
    asked: Callable[[Kept], bool] = lambda _: True,
) -> Iterator[Difference]:
    """Every task of which the two do not say the same, in the order of `after`, then what is gone.

    Each has one result of a task. `awaited`: what `after` is still to have, each by its `same_run`;
    it is not gone.
    `asked`: whether a result is asked for; its task is told when that of before or that of now is.
    """
    alike: dict[frozenset[str], frozenset[str]] = {}

    def result(kept: Kept) -> _Result:
        # What many results have is in memory once.
        found = findings(kept.document)
        found = alike.setdefault(found, found)
        return _Result(intern(kept.label), kept.number, intern(kept.verdict), found, asked(kept))

    old = {one.same_run: result(one) for one in before}
    for kept in after:
        new, was = result(kept), old.pop(kept.same_run, None)
        if not (new.asked or (was and was.asked)):
            continue
        if was is None:
            yield Difference(NEW, new.label, new.number, "", new.verdict, _sorted(new.found))
        elif (was.verdict, was.found) != (new.verdict, new.found):
            found = _sorted(new.found - was.found), _sorted(was.found - new.found)
            yield Difference(CHANGED, new.label, new.number, was.verdict, new.verdict, *found)
    for run, was in old.items():
        if was.asked and run not in awaited:
            gone = _sorted(was.found)
            yield Difference(GONE, was.label, was.number, was.verdict, "", gone=gone)


def _sorted(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(found))

"""`freeonce census`: what became of every module, as JSON and as one page. Pure.

Schema freeonce/census/1. Read from the documents of single lives (`report/life.py`).
"""

import errno
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from freeonce import __version__
from freeonce.audit.points import LOST, Outcome
from freeonce.errors import Obstacle
from freeonce.report.embedding import asset, page_of
from freeonce.report.excused import NONE, Excuses, Suppression
from freeonce.report.identity import Named, plain

ROOM = "freeonce.report"
SCHEMA = "freeonce/census/1"


class Came(StrEnum):
    """How far a module's life came. Stable: other programs depend on it."""

    CLEAN = "clean"
    """Loaded, unloaded, and gave back what it had."""
    FAULTY = "faulty"
    REFUSED = "refused"
    """Its init function said no."""
    DEPENDENCY = "dependency"
    """What it needs does not load."""
    THERE = "there"
    """It is loaded already: the guest itself needs it."""
    STAYS = "stays"
    """It has no exit function, or somebody holds it."""
    CRASHED = "crashed"
    """The kernel oopsed, panicked, or the CPU was reset: a finding, too."""
    LOST = "lost"
    """It does not end, or the guest was lost and nobody knows by whom."""
    UNREAD = "unread"
    """Its file is no module that can be audited."""
    UNKNOWN = "unknown"
    """Loaded and unloaded, and the evidence is incomplete."""


class Sweep(StrEnum):
    """Whether the acquisitions of a module's load were made to fail. Stable, as `Came`."""

    NOT_ASKED = "not asked"
    LED = "led"
    SAMPLED = "sampled"
    """Of some stacks not all."""
    UNLED = "unled"
    """It should have been, and nothing is known of it."""


@dataclass(frozen=True)
class Module:
    """One module. `error`: the kernel's, by its name (ENODEV); `message`: why it came no further.

    `points`: of its load made to fail, by outcome; None where none was led. `left_out`: how many
    acquisitions a sample left out. `unled`: why none was made to fail. `findings`: of both lives
    without a failure.
    """

    name: str
    came: Came
    reason: str
    error: str
    message: str
    acquired: int
    released: int
    by_family: Mapping[str, Mapping[str, int]]
    not_audited: Mapping[str, Any]
    findings: Sequence[Mapping[str, Any]]
    seconds: float
    counted: int | None = None
    points: Mapping[str, int] | None = None
    unhandled: Sequence[Mapping[str, Any]] = ()
    sweep: Sweep = Sweep.NOT_ASKED
    left_out: int = 0
    unled: str = ""

    @property
    def suppressed(self) -> int:
        """Findings and failure points that do not count."""
        return sum(bool(one["suppressed"]) for one in (*self.findings, *self.unhandled))

    @property
    def wrong(self) -> bool:
        """Whether something was found that counts. A crash has no stack: it cannot be excused."""
        found = [*self.findings, *(one for one in self.unhandled if one["outcome"] not in _BLIND)]
        return self.came is Came.CRASHED or not all(one["suppressed"] for one in found)

    @property
    def incomplete(self) -> bool:
        """Whether something was not seen that should have been."""
        blind = any(one["outcome"] in _BLIND for one in self.unhandled)
        return blind or self.came in (Came.LOST, Came.UNKNOWN) or self.sweep is Sweep.UNLED


_BLIND = {Outcome.UNKNOWN, Outcome.UNREACHED}
NOT_YET = "its lives with a failure did not run yet"


def module(
    life: Mapping[str, Any],
    failures: Mapping[str, Any] | None = None,
    excuses: Excuses = NONE,
    *,
    asked: bool = False,
) -> Module:
    """From the document of a life, and of the same with failures if that was led.

    `asked`: it should have been. What its life without a failure came to this time counts as well.
    """
    came, told = _came(life), life
    found = list(life["findings"])
    if failures:
        again = _came(failures)
        if came is Came.CLEAN and again in (Came.FAULTY, Came.CRASHED):
            came, told = again, failures
        known = {one["identity"] for one in found if one["identity"]}
        found += [one for one in failures["findings"] if one["identity"] not in known]
    reason = _reason(told)
    led = (failures or {}).get("failures")
    sweep, unled = _sweep(failures, asked)
    return Module(
        name=life["name"],
        came=came,
        reason=reason["reason"],
        error=_error(reason["message"]),
        message=reason["message"] or _doubt(told),
        acquired=life["acquired"],
        released=life["released"],
        by_family=life["by_family"],
        not_audited=life["not_audited"],
        findings=[one | {"suppressed": excuses.why(_named(one))} for one in found],
        seconds=life["seconds"],
        counted=led["counted"] if led else None,
        points=dict(Counter(one["outcome"] for one in led["points"])) if led else None,
        unhandled=[
            one | {"suppressed": excuses.all([Named(**each) for each in one["named"]])}
            for one in (led["points"] if led else ())
            if one["outcome"] != Outcome.HANDLED
        ],
        sweep=sweep,
        left_out=sum(one["made"] - one["led"] for one in led["sampled"]) if led else 0,
        unled=unled,
    )


def _reason(life: Mapping[str, Any]) -> Mapping[str, str]:
    return life["reasons"][0] if life["reasons"] else {"reason": "", "message": ""}


def _doubt(life: Mapping[str, Any]) -> str:
    return life["doubts"][0] if life["doubts"] else ""


def _sweep(failures: Mapping[str, Any] | None, asked: bool) -> tuple[Sweep, str]:
    """And why it was not."""
    if failures is None:
        return (Sweep.UNLED, NOT_YET) if asked else (Sweep.NOT_ASKED, "")
    led = failures.get("failures")
    if led is None or led["unled"]:
        said = _reason(failures)["message"] or _doubt(failures) or "nothing came of it"
        return Sweep.UNLED, led["unled"] if led else said
    return (Sweep.SAMPLED if led["sampled"] else Sweep.LED), ""


def _named(finding: Mapping[str, Any]) -> Named:
    return Named(
        finding["rule"],
        finding["family"],
        finding["module"] or "",
        plain(finding["function"] or ""),
        finding["identity"],
    )


def every_name(modules: Iterable[Module]) -> Iterator[Named]:
    """Of all that was found, suppressed or not."""
    for one in modules:
        yield from map(_named, one.findings)
        yield from (Named(**each) for point in one.unhandled for each in point["named"])


_CRASHES = {loss for loss, outcome in LOST.items() if outcome is Outcome.CRASHED}
_STOPPED = {
    Obstacle.DOES_NOT_UNLOAD: Came.STAYS,
    Obstacle.HANGS_IN_INIT: Came.LOST,
    Obstacle.GUEST_LOST: Came.LOST,
    Obstacle.NOT_QUIET: Came.UNKNOWN,
}


_DEPENDENCY = re.compile(r"the dependency \S+ does not load: .*")
_THERE = re.compile(r"\S+ is loaded already: the guest itself needs it")


def _came(life: Mapping[str, Any]) -> Came:
    reason = _reason(life)
    if life["loss"] in _CRASHES:
        return Came.CRASHED
    if not reason["reason"]:
        return {"clean": Came.CLEAN, "faulty": Came.FAULTY}.get(life["verdict"], Came.UNKNOWN)
    if reason["reason"] == Obstacle.DOES_NOT_LOAD:
        # What follows the first line is the kernel's log.
        first = reason["message"].partition("\n")[0]
        if _DEPENDENCY.fullmatch(first):
            return Came.DEPENDENCY
        return Came.THERE if _THERE.fullmatch(first) else Came.REFUSED
    return _STOPPED.get(Obstacle(reason["reason"]), Came.UNREAD)


_ERRORS = {os.strerror(number): name for number, name in errno.errorcode.items()}


def _error(message: str) -> str:
    """The name of the error of the kernel's with which a message's first line ends."""
    first = message.partition("\n")[0]
    return _ERRORS.get(first.rpartition(": ")[2], "")


def counted(modules: Iterable[Module]) -> dict[str, int]:
    """How many came how far."""
    counts = Counter(one.came for one in modules)
    return {str(one): counts[one] for one in Came}


def summary(modules: Sequence[Module], total: int) -> str:
    """One line of it all."""
    counts = counted(modules)
    said = ", ".join(f"{count} {came}" for came, count in counts.items() if count)
    points = Counter[str]()
    for one in modules:
        points.update(one.points or {})
    more = ", ".join(f"{count} {outcome}" for outcome, count in points.most_common())
    failures = f"; {points.total()} failure points: {more}" if points else ""
    # A module that refuses to load may leak all the same: its word does not tell.
    others = {
        "findings": sum(len(one.findings) for one in modules),
        "modules sampled": sum(one.sweep is Sweep.SAMPLED for one in modules),
        "modules not run with failures": sum(one.sweep is Sweep.UNLED for one in modules),
        "suppressed": sum(one.suppressed for one in modules),
    }
    rest = "".join(f"; {count} {words}" for words, count in others.items() if count)
    return f"{len(modules)} of {total} modules: {said or 'none'}{failures}{rest}"


def census_document(
    host: Mapping[str, str],
    modules: Sequence[Module],
    total: int,
    unused: Sequence[Suppression] = (),
) -> dict[str, object]:
    """All of it, for programs. `total`: how many modules there are to be led.

    `unused`: suppressions that nothing came of.
    """
    return {
        "schema": SCHEMA,
        "host": dict(host),
        "total": total,
        "counts": counted(modules),
        "unused_suppressions": [asdict(one) for one in unused],
        "modules": [asdict(one) for one in modules],
    }


def census_page(
    host: Mapping[str, str], modules: Sequence[Module], total: int, when: str = ""
) -> str:
    """One page that needs nothing but a browser."""
    return page_of(
        ROOM,
        "census.html.j2",
        asset(ROOM, "page.css"),
        version=__version__,
        when=when,
        host=host,
        summary=summary(modules, total),
        modules=modules,
        counts=counted(modules),
    )

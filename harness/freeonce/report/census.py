"""`freeonce census`: what became of every module, as JSON and as one page. Pure.

Schema freeonce/census/1. Read from the documents of single lives (`report/life.py`).
"""

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from freeonce import __version__
from freeonce.audit.points import Outcome
from freeonce.errors import Obstacle
from freeonce.report.excused import NONE, Excuses, Suppression
from freeonce.report.html import page_of
from freeonce.report.identity import Named, plain

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
    LOST = "lost"
    """The guest did not survive it, or it does not end."""
    UNREAD = "unread"
    """Its file is no module that can be audited."""
    UNKNOWN = "unknown"
    """Loaded and unloaded, and the evidence is incomplete."""


@dataclass(frozen=True)
class Module:
    """One module. `error`: the kernel's, by its name (ENODEV); `message`: why it came no further.

    `points`: of its load made to fail, by outcome; None where none was led.
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
    unled: str = ""

    @property
    def suppressed(self) -> int:
        """Findings and failure points that do not count."""
        return sum(bool(one["suppressed"]) for one in (*self.findings, *self.unhandled))

    @property
    def wrong(self) -> bool:
        """Whether something was found that counts."""
        return self.suppressed < len(self.findings) + len(self.unhandled)


def module(
    life: Mapping[str, Any],
    failures: Mapping[str, Any] | None = None,
    excuses: Excuses = NONE,
) -> Module:
    """From the document of a life, and of the same with failures if that was led."""
    reason = life["reasons"][0] if life["reasons"] else {"reason": "", "message": ""}
    doubt = life["doubts"][0] if life["doubts"] else ""
    led = (failures or {}).get("failures")
    return Module(
        name=life["name"],
        came=_came(life, reason),
        reason=reason["reason"],
        error=_error(reason["message"]),
        message=reason["message"] or doubt,
        acquired=life["acquired"],
        released=life["released"],
        by_family=life["by_family"],
        not_audited=life["not_audited"],
        findings=[one | {"suppressed": excuses.why(_named(one))} for one in life["findings"]],
        seconds=life["seconds"],
        counted=led["counted"] if led else None,
        points=dict(Counter(one["outcome"] for one in led["points"])) if led else None,
        unhandled=[
            one | {"suppressed": excuses.all([Named(**each) for each in one["named"]])}
            for one in (led["points"] if led else ())
            if one["outcome"] != Outcome.HANDLED
        ],
        unled=(led["unled"] or "") if led else "",
    )


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


_STOPPED = {
    Obstacle.DOES_NOT_UNLOAD: Came.STAYS,
    Obstacle.HANGS_IN_INIT: Came.LOST,
    Obstacle.GUEST_LOST: Came.LOST,
    Obstacle.NOT_QUIET: Came.UNKNOWN,
}


def _came(life: Mapping[str, Any], reason: Mapping[str, str]) -> Came:
    if not reason["reason"]:
        return {"clean": Came.CLEAN, "faulty": Came.FAULTY}.get(life["verdict"], Came.UNKNOWN)
    if reason["reason"] == Obstacle.DOES_NOT_LOAD:
        if reason["message"].startswith("the dependency "):
            return Came.DEPENDENCY
        return Came.THERE if "is loaded already" in reason["message"] else Came.REFUSED
    return _STOPPED.get(Obstacle(reason["reason"]), Came.UNREAD)


_ERRORS = {os.strerror(number): name for number, name in errno.errorcode.items()}


def _error(message: str) -> str:
    """The name of the first error of the kernel's that a message quotes, by its longest words."""
    first = message.partition("\n")[0]
    found = [words for words in _ERRORS if words in first]
    return _ERRORS[max(found, key=len)] if found else ""


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
    excused = sum(one.suppressed for one in modules)
    suppressed = f"; {excused} suppressed" if excused else ""
    return f"{len(modules)} of {total} modules: {said or 'none'}{failures}{suppressed}"


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
        "census.html.j2",
        version=__version__,
        when=when,
        host=host,
        summary=summary(modules, total),
        modules=modules,
        counts=counted(modules),
    )

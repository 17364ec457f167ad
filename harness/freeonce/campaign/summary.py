"""What reports show of a result. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any

from freeonce.audit.model import Verdict
from freeonce.audit.points import VERDICTS as OF_POINTS
from freeonce.audit.points import Outcome
from freeonce.campaign.compare import findings
from freeonce.campaign.store import Kept


@dataclass(frozen=True, slots=True)
class Point:
    """A failure point of a result. `number`: of the acquisition; `after`: all after it, too."""

    number: int
    after: bool
    verdict: str
    as_expected: bool
    words: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Of a result. `task`: the same for all repetitions; `label`: that for people.
    `words`: findings, and why it is incomplete; `reasons`: the latter.
    """

    key: str
    kind: str
    name: str
    number: int
    verdict: str
    as_expected: bool
    seconds: float
    finished: float
    worker: str
    task: str
    label: str
    words: str
    reasons: tuple[str, ...]
    points: tuple[Point, ...]


def summary(kept: Kept) -> Summary:
    """Of a result of a store. What many results say is in memory once."""
    reasons = tuple(map(intern, _reasons(kept)))
    return Summary(
        key=kept.key[:12],
        kind=intern(kept.kind),
        name=intern(kept.name),
        number=kept.number,
        verdict=intern(kept.verdict),
        as_expected=kept.as_expected,
        seconds=kept.seconds,
        finished=kept.finished,
        worker=intern(kept.worker),
        task=intern(kept.same_task),
        label=intern(kept.label),
        words=intern("; ".join([*sorted(findings(kept.document)), *reasons])),
        reasons=reasons,
        points=tuple(_points(kept.document)),
    )


def _points(document: Mapping[str, Any]) -> Iterator[Point]:
    for one in (document.get("failures") or {}).get("points", ()):
        verdict = OF_POINTS.get(Outcome(one["outcome"]), Verdict.INCOMPLETE)
        words = "; ".join(filter(None, (one["outcome"], one.get("detail"))))
        yield Point(one["number"], one["after"], str(verdict), one["as_expected"], intern(words))


def _reasons(kept: Kept) -> list[str]:
    """Those of a scenario are words, those of a life have a name, and its doubts beside them."""
    every = [*(kept.document.get("reasons") or ()), *(kept.document.get("doubts") or ())]
    words = (one.get("message", "") if isinstance(one, dict) else one for one in every)
    said = list(dict.fromkeys(str(one) for one in words if one))
    return said or ["no reason was kept"] if kept.verdict == Verdict.INCOMPLETE else said

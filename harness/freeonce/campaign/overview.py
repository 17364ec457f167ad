"""`results --html`: a whole campaign as one page that needs nothing but a browser. Pure.

A result is a cell of the heat map, a row for each scenario or audit, a column for each repetition.
Results travel as columns of numbers and are drawn on one canvas, so that 100,000 of them open at
once; what they said is told once, however many said it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import nlargest

from freeonce import __version__
from freeonce.audit.model import Verdict
from freeonce.campaign.compare import findings, same_task
from freeonce.campaign.store import Kept
from freeonce.report.embedding import asset, packed, page_of

VERDICTS = [str(verdict) for verdict in Verdict]
SLOWEST = 20
LISTED = 500
"""Of what is not as expected; the map has all."""
REASONS = 100
"""Why results are incomplete, in rows."""
BUCKETS = 60
"""Of time."""


@dataclass
class _Numbers:
    """Texts told once, by number."""

    texts: dict[str, int] = field(default_factory=dict)

    def of(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))


def page(results: Sequence[Kept], title: str, *, when: str = "") -> str:
    """The page. `title`: the store's name. `when`: it was written.

    Of several results of one task, with other images, the last counts; the others are counted.
    """
    last = {(one.number, same_task(one)): one for one in results}
    shown = sorted(last.values(), key=lambda one: (one.kind, one.name, one.number))
    wrong = [one for one in shown if not one.as_expected]
    counts = Counter(one.verdict for one in shown)
    lost = incomplete(shown)
    slices = buckets(shown)
    return page_of(
        ROOM,
        "overview.html.j2",
        asset("freeonce.report", "page.css") + asset(ROOM, "overview.css"),
        asset(ROOM, "overview.js"),
        version=__version__,
        title=title,
        when=when,
        verdicts=[(verdict, counts[verdict]) for verdict in VERDICTS],
        total=len(shown),
        wrong=len(wrong),
        listed=[(one, in_words(one)) for one in wrong[:LISTED]],
        older=len(results) - len(shown),
        incomplete=lost[:REASONS],
        more_incomplete=len(lost[REASONS:]),
        slowest=nlargest(SLOWEST, shown, key=lambda one: one.seconds),
        buckets=slices,
        began=moment(min((one.finished for one in shown), default=0.0)),
        ended=moment(max((one.finished for one in shown), default=0.0)),
        tallest=max((one.total() for one in slices), default=1),
        data=packed(columns(shown)),
    )


ROOM = "freeonce.campaign"


def moment(seconds: float) -> str:
    """Of the clock that stored a result, which may be wrong, in UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"second {seconds:g}"


def in_words(kept: Kept) -> str:
    """Findings, and why it is incomplete."""
    return "; ".join([*sorted(findings(kept.document)), *_reasons(kept)])


def _reasons(kept: Kept) -> list[str]:
    """Those of a scenario are words, those of a life have a name, and its doubts beside them."""
    every = [*(kept.document.get("reasons") or ()), *(kept.document.get("doubts") or ())]
    words = (one.get("message", "") if isinstance(one, dict) else one for one in every)
    said = list(dict.fromkeys(str(one) for one in words if one))
    return said or ["no reason was kept"] if kept.verdict == Verdict.INCOMPLETE else said


def incomplete(results: Iterable[Kept]) -> list[tuple[str, int, str]]:
    """Why results are incomplete, lost guests among them: reason, how many, one of them by name."""
    counts: Counter[str] = Counter()
    example: dict[str, str] = {}
    for one in results:
        if one.verdict == Verdict.INCOMPLETE:
            for reason in _reasons(one):
                counts[reason] += 1
                example.setdefault(reason, f"{one.name} ({one.number})")
    return [(reason, count, example[reason]) for reason, count in counts.most_common()]


def buckets(results: Sequence[Kept]) -> list[Counter[str]]:
    """How many of each verdict came, by its name, in each of `BUCKETS` equal slices of the time."""
    if not results:
        return []
    first = min(one.finished for one in results)
    span = max(one.finished for one in results) - first
    found = [Counter[str]() for _ in range(BUCKETS)]
    for one in results:
        place = int(BUCKETS * (one.finished - first) / span) if span else 0
        found[min(place, BUCKETS - 1)][one.verdict] += 1
    return found


def columns(results: Iterable[Kept]) -> dict[str, object]:
    """What the script draws: texts told once, and for each result numbers, column by column.

    `row`: of `names`; `number`: the repetition; `verdict`: of `verdicts`, with 8 added where it is
    not as expected; `ms`: it took; `said`: of `words`; `key`: how it begins.
    """
    words, tasks = _Numbers(), _Numbers()
    labels: dict[int, str] = {}
    lists: dict[str, list[int | str]] = {
        name: [] for name in ("row", "number", "verdict", "ms", "said", "key")
    }
    for one in results:
        row = tasks.of(same_task(one))
        labels.setdefault(row, _label(one))
        verdict = VERDICTS.index(one.verdict) if one.verdict in VERDICTS else len(VERDICTS)
        lists["row"].append(row)
        lists["number"].append(one.number)
        lists["verdict"].append(verdict + 8 * (not one.as_expected))
        lists["ms"].append(round(1000 * one.seconds))
        lists["said"].append(words.of(in_words(one)))
        lists["key"].append(one.key[:12])
    return {
        "names": list(labels.values()),
        "verdicts": VERDICTS,
        "words": list(words.texts),
        **lists,
    }


def _label(kept: Kept) -> str:
    each = kept.task.get("fail_each")
    failing = "" if each is None else f"--fail-each={each}"
    accel = str(kept.task.get("accel") or "auto")
    under = "" if accel == "auto" else f"({accel})"
    return " ".join(filter(None, (kept.name, str(kept.task.get("params") or ""), failing, under)))

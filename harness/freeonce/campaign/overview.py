"""`results --html`: a whole campaign as one page that needs nothing but a browser. Pure.

A result is a cell of the heat map, a row for each scenario or audit, a column for each repetition;
so is a failure point, in a row of its target's with a column for each.
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
from freeonce.campaign.summary import Point, Summary
from freeonce.report.embedding import asset, packed, page_of

VERDICTS = [str(verdict) for verdict in Verdict]
SLOWEST = 20
LISTED = 500
"""Of what is not as expected; the map has all."""
REASONS = 100
"""Why results are incomplete, in rows."""
BUCKETS = 60
"""Of time."""


def page(
    results: Iterable[Summary],
    title: str,
    *,
    when: str = "",
    anew: int = 0,
    of_before: int = 0,
    awaited: int = 0,
) -> str:
    """The page, of one result of each task. `title`: the store's name. `when`: it was written.
    `anew`: seconds after which a browser asks for it again, 0 for never. `of_before`: how many
    results do not count; `awaited`: how many are not there yet.
    """
    shown = sorted(results, key=lambda one: (one.kind, one.name, one.number))
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
        anew=anew,
        verdicts=[(verdict, counts[verdict]) for verdict in VERDICTS],
        total=len(shown),
        wrong=len(wrong),
        listed=wrong[:LISTED],
        of_before=of_before,
        awaited=awaited,
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


def incomplete(results: Iterable[Summary]) -> list[tuple[str, int, str]]:
    """Why results are incomplete, lost guests among them: reason, how many, one of them by name."""
    counts: Counter[str] = Counter()
    example: dict[str, str] = {}
    for one in results:
        if one.verdict == Verdict.INCOMPLETE:
            for reason in one.reasons:
                counts[reason] += 1
                example.setdefault(reason, f"{one.label} ({one.number})")
    return [(reason, count, example[reason]) for reason, count in counts.most_common()]


def buckets(results: Sequence[Summary]) -> list[Counter[str]]:
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


@dataclass
class _Numbers:
    """Texts told once, by number."""

    texts: dict[str, int] = field(default_factory=dict)

    def of(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))


def columns(results: Iterable[Summary]) -> dict[str, object]:
    """What the script draws: texts told once, and for each cell numbers, column by column.

    `row`: of `names`; `number`: the repetition, or of a failure point; `verdict`: of `verdicts`,
    with 8 added where it is not as expected; `ms`: it took; `said`: of `words`; `key`: how it
    begins.
    """
    words, rows = _Numbers(), _Numbers()
    labels: dict[int, str] = {}
    lists: dict[str, list[int | str]] = {
        name: [] for name in ("row", "number", "verdict", "ms", "said", "key")
    }

    def cell(row: str, label: str, one: Summary, what: Summary | Point, seconds: float) -> None:
        place = rows.of(row)
        labels.setdefault(place, label)
        known = what.verdict in VERDICTS
        verdict = VERDICTS.index(what.verdict) if known else len(VERDICTS)
        lists["row"].append(place)
        lists["number"].append(what.number)
        lists["verdict"].append(verdict + 8 * (not what.as_expected))
        lists["ms"].append(round(1000 * seconds))
        lists["said"].append(words.of(what.words))
        lists["key"].append(one.key)

    for one in results:
        cell(one.task, one.label, one, one, one.seconds)
        for point in one.points:
            which = f" #{one.number}" if one.number else ""
            label = f"{one.label}{which} failing N{'+' if point.after else ''}"
            cell(f"{one.task} {which} {point.after}", label, one, point, 0.0)
    return {
        "names": list(labels.values()),
        "verdicts": VERDICTS,
        "words": list(words.texts),
        **lists,
    }

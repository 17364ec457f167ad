"""`run --html`: the whole run as one page that needs nothing but a browser. Pure.

The pictures are drawn by a script of our own, in SVG. Vega-Lite or Plotly would put a megabyte
and more into each report, and Vega needs `eval`, which this page's content security policy
forbids. A scenario's picture is drawn when it is opened: its data waits as packed JSON, a fifth of
its size, so that thousands of scenarios open at once.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from freeonce import __version__
from freeonce.audit.faults import Planted, rate
from freeonce.audit.model import Finding, Verdict
from freeonce.audit.points import Point
from freeonce.audit.result import Result
from freeonce.report.accounts import Accounts, accounts
from freeonce.report.answer import QUESTION, answer
from freeonce.report.bands import Band
from freeonce.report.embedding import asset, packed, page_of
from freeonce.report.explanations import EXPLANATIONS
from freeonce.report.lifetimes import Bar, Limits, Picture, during, picture
from freeonce.report.memory_map import Map, memory_map
from freeonce.report.places import NOWHERE, Everywhere, Places, where
from freeonce.report.sites import call_sites
from freeonce.report.terminal import summary
from freeonce.report.usage import usage
from freeonce.report.words import expected_words, sentence
from freeonce.subject.places import Place

ROOM = "freeonce.report"
BARS = 60_000
"""Bars in the whole page: what a browser parses in well under a second."""
MOST, LEAST = Limits(400, 500), Limits(12, 24)
"""Of one scenario, however few or many there are."""


FINDINGS = 2_000
"""Of one scenario that are told in the page."""
SITES = 100_000
"""Rows of one scenario's table of call sites."""
SLICES = 400
"""Of its time, in the picture of what was live."""


def limits(scenarios: int) -> Limits:
    """How much of each scenario is drawn when there are so many."""
    bars = min(max(BARS // max(scenarios, 1), LEAST.bars), MOST.bars)
    marks = min(max(2 * BARS // max(scenarios, 1), LEAST.marks), MOST.marks)
    return Limits(bars, marks)


def html_text(
    host: Mapping[str, str],
    results: Sequence[Result],
    *,
    faults: Sequence[Planted] = (),
    points: Sequence[Point] = (),
    places: Everywhere = NOWHERE,
    when: str = "",
    broken_off: str = "",
) -> str:
    """The page. `faults`: the planted ones. `points`: of `--fail-each`. `when`: it was written.

    `places`: of its calls. `broken_off`: how far a run came that did not come to its end.
    """
    most = limits(len(results))
    rules = Counter(str(one.rule) for result in results for one in result.judgement.findings)
    return page_of(
        ROOM,
        "page.html.j2",
        asset(ROOM, "page.css"),
        asset(ROOM, "page.js"),
        version=__version__,
        when=when,
        host=host,
        summary="; ".join(filter(None, (summary(results), broken_off))),
        rate=rate(faults) if faults else "",
        question=QUESTION,
        answer=answer(results) or (),
        verdicts=_counted(results),
        rules=sorted(rules.items()),
        sections=_sections(results),
        drawn=len(results),
        points=points,
        explained=[EXPLANATIONS[rule] for rule in sorted(rules) if rule in EXPLANATIONS],
        drawings=(packed(_drawing(result, most, places.of(result))) for result in results),
    )


def _counted(results: Sequence[Result]) -> list[tuple[str, int]]:
    counts = Counter(result.judgement.verdict for result in results)
    return [(str(verdict), counts[verdict]) for verdict in Verdict]


def _sections(results: Sequence[Result]) -> list[tuple[str, list[dict[str, object]]]]:
    rows = enumerate(results)
    groups = groupby(rows, key=lambda row: row[1].scenario.section)
    return [(name, [_row(index, one) for index, one in group]) for name, group in groups]


def _row(index: int, result: Result) -> dict[str, object]:
    judgement = result.judgement
    words = [sentence(one, result.why.get(one)) for one in judgement.findings[:FINDINGS]]
    return {
        "index": index,
        "name": result.scenario.name,
        "verdict": str(judgement.verdict),
        "as_expected": result.as_expected,
        "allocations": judgement.allocations,
        "releases": judgement.releases,
        "vmruns": judgement.vmruns,
        "rules": list(dict.fromkeys(str(one.rule) for one in judgement.findings)),
        "words": " ".join((result.scenario.section, result.scenario.lesson, *words)),
    }


def _drawing(result: Result, most: Limits, places: Places) -> dict[str, object]:
    """All that the page shows when the scenario is opened."""
    evidence, judgement = result.evidence, result.judgement
    drawn = picture(evidence.records, judgement, most, evidence.run)
    looked = evidence.memory.snapshot if evidence.memory else None
    seen = memory_map(drawn.bars, looked)
    said = {one.serial: one for one in accounts(drawn.bars, evidence.records, evidence.memory)}
    return {
        "lesson": result.scenario.lesson,
        "expected": _expected(result),
        "findings": [
            {"rule": one.rule, "words": _words(result, one, places), "witness": one.witness}
            for one in judgement.findings[:FINDINGS]
        ],
        "more_findings": max(len(judgement.findings) - FINDINGS, 0),
        "reasons": judgement.reasons,
        "witnesses": {name: str(account) for name, account in judgement.witnesses.items()},
        "span": drawn.span,
        "first_event": drawn.first_event,
        "events": drawn.events,
        "bars": [_bar(bar, places) | _said(said[bar.serial]) for bar in drawn.bars],
        "bands": [_band(band) for band in drawn.bands],
        "marks": [vars(mark) for mark in drawn.marks],
        "left_out": _left_out(drawn, seen),
        "stretches": _stretches(drawn, seen),
        "read": seen.read,
        **(_all_of(result, places) if drawn.bars_left_out else {"usage": [], "sites": []}),
    }


def _all_of(result: Result, places: Places) -> dict[str, object]:
    """Of a run with more allocations than are drawn one by one: all of them by time, and by place.

    `sites`: rows of place, family, acquired, released, most at a time, most bytes, all bytes.
    """
    evidence = result.evidence
    live = usage(evidence.run, during(evidence.records), SLICES)
    sites = call_sites(evidence.records)
    return {
        "usage": [{"family": one.family, "size": one.size, "live": one.live} for one in live],
        "sites": [
            [
                *(_place(places.get(one.site)), one.family, one.acquired, one.released),
                *(one.most, one.most_bytes, one.size),
            ]
            for one in sites[:SITES]
        ],
        "more_sites": max(len(sites) - SITES, 0),
    }


def _place(place: Place | None) -> str:
    if place is None:
        return "?"
    function = place.frame.function if place.frame.file else ""
    return f"{function} {place}".strip()


def _expected(result: Result) -> str:
    """What was declared, where it is not what came."""
    if result.as_expected:
        return ""
    return f"Not as expected. Expected: {expected_words(result.scenario)}."


def _words(result: Result, finding: Finding, places: Places) -> str:
    return "; ".join([sentence(finding, result.why.get(finding)), *where(finding, places)])


def _bar(bar: Bar, places: Places) -> dict[str, object]:
    release = places.get(bar.release_site or 0)
    return {
        "place": str(places.get(bar.site, "")),
        "release_place": str(release or ""),
        "serial": bar.serial,
        "kind": bar.kind,
        "name": bar.name,
        "size": bar.size,
        # More bits than a number of JavaScript holds.
        "pointer": f"{bar.pointer:#x}",
        "physical": f"{bar.physical:#x}",
        "start": bar.start,
        "end": bar.end,
        "first": bar.first,
        "last": bar.last,
        "withheld": bar.withheld,
        "rules": bar.rules,
    }


def _band(band: Band) -> dict[str, object]:
    return {**vars(band), "physical": f"{band.physical:#x}"}


def _said(one: Accounts) -> dict[str, object]:
    return {"ledger": one.ledger, "kernel": one.kernel, "memory": one.memory}


def _stretches(drawn: Picture, seen: Map) -> list[dict[str, object]]:
    """Offsets in bytes from the stretch's beginning."""
    physical = {bar.serial: bar.physical for bar in drawn.bars}
    return [
        {
            "gpa": f"{one.gpa:#x}",
            "size": one.size,
            "blocks": [[physical[serial] - one.gpa, serial] for serial in one.serials],
            "looked": [[extent.gpa - one.gpa, extent.size] for extent in one.looked],
        }
        for one in seen.stretches
    ]


def _left_out(drawn: Picture, seen: Map) -> list[str]:
    """What the pictures do not show, in words."""
    lines = {
        f"{drawn.bars_left_out} more allocations are not drawn: the faulty ones come first, then "
        "the earliest. Counts and verdict are of all.": drawn.bars_left_out,
        f"{drawn.bands_left_out} more places that the CPU was given are not drawn: the faulty ones "
        "come first, then the earliest.": drawn.bands_left_out,
        f"{drawn.marks_merged} more VMRUNs and #VMEXITs stand in those drawn, each for its slice "
        "of time.": drawn.marks_merged,
        f"{drawn.marks_left_out} more steps and findings are not marked.": drawn.marks_left_out,
        f"{seen.left_out} more stretches of memory are not drawn.": seen.left_out,
    }
    return [line for line, count in lines.items() if count]

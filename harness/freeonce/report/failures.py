"""`run --fail-each`: what became of each failed allocation, for people and for programs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.console import Console, Group
from rich.padding import Padding
from rich.text import Text

from freeonce.audit.faults import Planted, rate
from freeonce.audit.points import Outcome, Point, Points, passed
from freeonce.report.document import finding_document
from freeonce.report.lines import put
from freeonce.report.places import NOWHERE, Everywhere
from freeonce.report.terminal import found_lines

SCHEMA = "freeonce/fail-each/1"


def _counts(points: Sequence[Point]) -> Counter[Outcome]:
    return Counter(point.outcome for point in points)


def summary(all_points: Sequence[Points]) -> str:
    """How many failure points there were, how many were reached, what became of them."""
    points = [point for one in all_points for point in one.points]
    counts = _counts(points)
    reached = len(points) - counts[Outcome.UNREACHED]
    said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome)
    return f"{len(points)} failure points, {reached} reached: {said}"


def print_failures(
    console: Console,
    all_points: Sequence[Points],
    faults: Sequence[Planted] = (),
    places: Everywhere = NOWHERE,
) -> None:
    """A line a scenario, and all that is known of each point that was not handled.

    `faults`: the planted ones that ran beside. `places`: of its calls.
    """
    for one in all_points:
        counts = _counts(one.points)
        said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
        name = (one.plain.scenario.name, "cyan")
        # One line, whatever the width: a name is not broken.
        console.print(Text.assemble(name, f": {said or 'no failure points'}"), soft_wrap=True)
        if not one.plain.as_expected:
            put(console, Text("    not as expected even without a failure:", style="red"))
            put(console, Padding(Group(*found_lines(one.plain, places)), (0, 0, 0, 4)))
        for point in one.points:
            if not point.result.as_expected:
                put(console, Padding(_what_failed(point, places), (0, 0, 0, 4)))
                put(console, Padding(Group(*found_lines(point.result, places)), (0, 0, 0, 8)))
                again = f"        again: freeonce run --fail-at {point.name} {point.scenario}"
                console.print(Text(again, style="dim"), soft_wrap=True)
    if faults:
        put(console, Text(rate(faults), style="bold"))
    put(console, Text(summary(all_points), style="bold"))


def _what_failed(point: Point, places: Everywhere) -> Text:
    after = " and everything after it" if point.after else ""
    place = places.of(point.result).get(point.site)
    where = f" at {place}" if place else ""
    return Text(f"allocation {point.number}{after} failed{where}: {point.outcome}", style="red")


def failures_document(
    host: Mapping[str, str],
    all_points: Sequence[Points],
    faults: Sequence[Planted] = (),
    places: Everywhere = NOWHERE,
    broken_off: str = "",
) -> dict[str, object]:
    """The same as JSON. `broken_off`: how far the run came when it did not come to its end."""
    good = bool(all_points) and passed(all_points) and all(one.caught for one in faults)
    return {
        "schema": SCHEMA,
        "host": dict(host),
        "ok": good and not broken_off,
        "broken_off": broken_off or None,
        "planted": [asdict(one) for one in faults],
        "scenarios": [
            {
                "name": one.plain.scenario.name,
                "as_expected": one.plain.as_expected,
                "points": [_point(point, places) for point in one.points],
            }
            for one in all_points
        ],
    }


def _point(point: Point, places: Everywhere) -> dict[str, object]:
    judgement = point.result.judgement
    return {
        "scenario": point.scenario,
        "number": point.number,
        "after": point.after,
        "outcome": str(point.outcome),
        "as_expected": point.result.as_expected,
        "site": f"{point.site:#x}",
        "detail": point.detail,
        "findings": [finding_document(point.result, one, places) for one in judgement.findings],
        "reasons": list(judgement.reasons),
        "loss": point.result.loss,
    }

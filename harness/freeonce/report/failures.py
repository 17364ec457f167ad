"""`run --fail-each`: what became of each failed allocation, for people and for programs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from freeonce.audit.points import Outcome, Point, Points, passed
from freeonce.report.places import NOWHERE, Places

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
    console: Console, all_points: Sequence[Points], places: Places = NOWHERE
) -> None:
    """One row a scenario, and one for each point that was not handled. `places`: by site."""
    table = Table(box=None, pad_edge=False)
    table.add_column("scenario", overflow="fold")
    for outcome in Outcome:
        table.add_column(str(outcome), justify="right")
    for one in all_points:
        counts = _counts(one.points)
        cells = [str(counts[outcome] or "") for outcome in Outcome]
        table.add_row(Text(one.plain.scenario.name, style="cyan"), *cells)
    console.print(table)
    for one in all_points:
        if not one.plain.as_expected:
            name = one.plain.scenario.name
            console.print(Text(f"{name}: not as expected even without a failure", style="red"))
        for point in one.points:
            if point.outcome not in (Outcome.HANDLED, Outcome.UNREACHED):
                after = " and everything after it" if point.after else ""
                where = places.get(point.site, f"{point.site:#x}")
                console.print(
                    Text(
                        f"{point.scenario}: allocation {point.number}{after} failed at "
                        f"{where}: {point.outcome} {point.detail}".rstrip(),
                        style="red",
                    )
                )
    console.print(Text(summary(all_points), style="bold"))


def failures_document(host: dict[str, str], all_points: Sequence[Points]) -> dict[str, object]:
    """The same as JSON."""
    return {
        "schema": SCHEMA,
        "host": host,
        "ok": bool(all_points) and passed(all_points),
        "scenarios": [
            {
                "name": one.plain.scenario.name,
                "as_expected": one.plain.as_expected,
                "points": [asdict(point) | {"site": f"{point.site:#x}"} for point in one.points],
            }
            for one in all_points
        ],
    }

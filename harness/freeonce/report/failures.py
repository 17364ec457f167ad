"""`--fail-each`: what became of each failed acquisition, for people and for programs. Pure but
for printing; scenarios and lives alike.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict

from rich.console import Console, Group
from rich.padding import Padding
from rich.text import Text

from freeonce.audit.faults import Planted, rate
from freeonce.audit.points import Outcome, Point, Points, passed
from freeonce.report.document import finding_document
from freeonce.report.frames import described, frames_document
from freeonce.report.lines import put
from freeonce.report.places import NOWHERE, Everywhere, Places
from freeonce.report.terminal import found_lines
from freeonce.subject.places import Frame

SCHEMA = "freeonce/fail-each/1"
SHOWN_FRAMES = 6
"""Of the call that failed, in the terminal."""


def _counts(points: Sequence[Point]) -> Counter[Outcome]:
    return Counter(point.outcome for point in points)


def summary(all_points: Sequence[Points]) -> str:
    """How many failure points there were, how many were reached, what became of them."""
    points = [point for one in all_points for point in one.points]
    counts = _counts(points)
    reached = len(points) - counts[Outcome.UNREACHED]
    said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome)
    return f"{len(points)} failure points, {reached} reached: {said}"


def _of_scenario(point: Point) -> str:
    return f"freeonce run --fail-at {point.name} {point.scenario}"


def print_failures(
    console: Console,
    all_points: Sequence[Points],
    faults: Sequence[Planted] = (),
    places: Everywhere = NOWHERE,
    again: Callable[[Point], str] = _of_scenario,
) -> None:
    """A line for each plain run, and all that is known of each point that was not handled.

    `faults`: the planted ones that ran beside. `places`: of its calls. `again`: the command that
    repeats a point.
    """
    for one in all_points:
        counts = _counts(one.points)
        said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
        name = (one.plain.scenario.name, "cyan")
        # One line, whatever the width: a name is not broken.
        said = said or one.unled or "no failure points"
        console.print(Text.assemble(name, f": {said}"), soft_wrap=True)
        if not one.plain.as_expected:
            put(console, Text("    not as expected even without a failure:", style="red"))
            put(console, Padding(Group(*found_lines(one.plain, places)), (0, 0, 0, 4)))
        for line in _sampled(one, places):
            put(console, Padding(Text(line), (0, 0, 0, 4)))
        for point in one.points:
            if not point.result.as_expected and point.outcome is not Outcome.UNREACHED:
                _print_point(console, point, places, again)
        if unreached := [one.name for one in one.points if one.outcome is Outcome.UNREACHED]:
            said = f"not made when they were to fail: {', '.join(unreached)}"
            put(console, Padding(Text(said), (0, 0, 0, 4)))
    if faults:
        put(console, Text(rate(faults), style="bold"))
    put(console, Text(summary(all_points), style="bold"))


def _print_point(
    console: Console, point: Point, places: Everywhere, again: Callable[[Point], str]
) -> None:
    put(console, Padding(_what_failed(point, places), (0, 0, 0, 4)))
    for number, frame in enumerate(_stack(point, places)[:SHOWN_FRAMES]):
        said = f"{'by' if number else 'in'} {described(frame)}"
        put(console, Padding(Text(said, style="dim"), (0, 0, 0, 8)))
    if point.outcome in (Outcome.CRASHED, Outcome.HUNG) and point.detail:
        put(console, Padding(Text(point.detail), (0, 0, 0, 8)))
    else:
        put(console, Padding(Group(*found_lines(point.result, places)), (0, 0, 0, 8)))
    console.print(Text(f"        again: {again(point)}", style="dim"), soft_wrap=True)


def _sampled(points: Points, places: Everywhere) -> Iterator[str]:
    """Of which stacks not every acquisition was made to fail."""
    for one in points.sampled:
        where = places.of(points.plain).get(one.site, f"{one.site:#x}")
        yield f"{one.led} of {one.made} by one stack at {where} were made to fail (--fail-limit)"


def _stack(point: Point, places: Everywhere) -> tuple[Frame, ...]:
    place = places.of(point.result).get(point.site)
    return place.frames if place else ()


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
    *,
    not_run: Sequence[str] = (),
) -> dict[str, object]:
    """The same as JSON. `broken_off`: how far the run came when it did not come to its end;
    `not_run`: names of the rest.
    """
    good = bool(all_points) and passed(all_points) and all(one.caught for one in faults)
    return {
        "schema": SCHEMA,
        "host": dict(host),
        "ok": good and not broken_off,
        "broken_off": broken_off or None,
        "not_run": list(not_run),
        "planted": [asdict(one) for one in faults],
        "scenarios": [
            {
                "name": one.plain.scenario.name,
                "as_expected": one.plain.as_expected,
                **points_document(one, places),
            }
            for one in all_points
        ],
    }


def points_document(
    points: Points,
    places: Everywhere = NOWHERE,
    more: Callable[[Point], dict[str, object]] = lambda _: {},
) -> dict[str, object]:
    """The failure points of one plain run. `more`: what else is to be said of one."""
    return {
        "counted": points.counted,
        "unled": points.unled or None,
        "points": [_point(point, places) | more(point) for point in points.points],
        "sampled": [
            {"made": one.made, "led": one.led, "stack": _frames(places.of(points.plain), one.site)}
            for one in points.sampled
        ],
    }


def _frames(places: Places, site: int) -> list[dict[str, object]]:
    place = places.get(site)
    return frames_document(place.frames) if place else []


def _point(point: Point, places: Everywhere) -> dict[str, object]:
    judgement = point.result.judgement
    return {
        "scenario": point.scenario,
        "number": point.number,
        "after": point.after,
        "outcome": str(point.outcome),
        "as_expected": point.result.as_expected,
        "stage": str(point.stage) if point.stage else None,
        "site": f"{point.site:#x}",
        "stack": _frames(places.of(point.result), point.site),
        "detail": point.detail,
        "findings": [finding_document(point.result, one, places) for one in judgement.findings],
        "reasons": list(judgement.reasons),
        "loss": point.result.loss,
    }

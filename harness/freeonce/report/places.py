"""Where in the source a finding comes from. Pure; the lines themselves come from `symbols`."""

from collections.abc import Iterable, Mapping

from freeonce.audit.model import Finding, Rule
from freeonce.audit.result import Result
from freeonce.evidence.stacks import Told
from freeonce.subject.places import Place

Places = Mapping[int, Place]
"""By site: the number of a stack in one run."""


class Everywhere:
    """The places of many runs: each numbers its stacks for itself.

    `runs`: what each told, and its places. `otherwise`: of every other one.
    """

    def __init__(
        self, runs: Iterable[tuple[Told, Places]] = (), otherwise: Places | None = None
    ) -> None:
        # Held as well, so that its identity stays its own.
        self._runs = {id(told): (told, places) for told, places in runs}
        self._otherwise = otherwise or {}

    def of(self, result: Result) -> Places:
        """The places of one run."""
        _, places = self._runs.get(id(result.evidence.told), (None, self._otherwise))
        return places


NOWHERE = Everywhere()

MOST_CALLERS = 2
"""Of the frames that led to a place, so many are shown."""

OF_ALLOCATION = {Rule.LEAK, Rule.USE_AFTER_FREE, Rule.OUT_OF_BOUNDS, Rule.MISPLACED}


def origin(finding: Finding, places: Places) -> tuple[str, Place] | None:
    """The place that a finding points at and what it is: a call, or where it was allocated.

    What was only found later names no call; then it is the allocation's.
    """
    if place := places.get(finding.site):
        return ("allocated at" if finding.rule in OF_ALLOCATION else "called from"), place
    place = places.get(finding.allocated_site)
    return ("allocated at", place) if place else None


def where(finding: Finding, places: Places) -> list[str]:
    """All places that a finding speaks of, in words: its own, and that of another release."""
    own = origin(finding, places)
    said = _with_callers(*own) if own else []
    released = places.get(finding.released_site)
    first = "first " if finding.rule is Rule.DOUBLE_FREE else ""
    return [*said, *_with_callers(f"{first}released at", released)] if released else said


def _with_callers(said: str, place: Place) -> list[str]:
    """A helper that many call says little: who called it, too, in lines of their own."""
    return [f"{said} {place}", *(f"  from {frame}" for frame in place.callers[:MOST_CALLERS])]

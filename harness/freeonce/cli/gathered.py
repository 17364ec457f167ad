"""What a run has come to so far: as much of it as its reports will tell."""

from dataclasses import dataclass, field, replace

from freeonce.audit.faults import Planted, planted
from freeonce.audit.points import Points
from freeonce.audit.result import Result


@dataclass
class Gathered:
    """`pictures`: whether a report draws evidence, which then is kept; else only its words are.
    `failing`: whether allocations are made to fail.

    `beside`: names of planted faults that run beside what is asked for. `planned`: the names of
    all runs in their order, or with `points` of all scenarios.
    """

    pictures: bool = False
    failing: bool = False
    results: list[Result] = field(default_factory=list)
    faults: list[Planted] = field(default_factory=list)
    points: list[Points] = field(default_factory=list)
    beside: set[str] = field(default_factory=set)
    planned: list[str] = field(default_factory=list)

    def add(self, result: Result, *sites: int) -> None:
        """A run's result. `sites`: of its calls that reports name beside those of its findings."""
        self.faults += planted([result])
        self.results.append(result if self.pictures else result.without_pictures(*sites))

    def add_points(self, points: Points) -> None:
        """A scenario's failure points, with its plain run."""
        self.add(points.plain, *(one.site for one in points.sampled))
        self.points.append(replace(points, plain=self.results[-1]))

    @property
    def wrong(self) -> list[str]:
        """The names of scenarios that were not as expected, each once."""
        bad = [one for one in self.results if not one.as_expected]
        of_points = [point.result for one in self.points for point in one.points]
        bad += [one for one in of_points if not one.as_expected]
        return list(dict.fromkeys(one.scenario.name for one in bad))

    @property
    def not_run(self) -> list[str]:
        """The names of planned runs of which there is no result; they come in their order."""
        return self.planned[len(self.results) :]

    @property
    def how_far(self) -> str:
        """Words for a run that is broken off now."""
        return f"broken off after {len(self.results)} of {len(self.planned)}"

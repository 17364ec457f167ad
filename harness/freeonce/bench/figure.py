"""One figure: its samples, their median and spread, and the goal. Pure."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """Something measured, or why it could not be: then there are no samples.

    `goal`: what the median should be at most; with `at_least` at least.
    """

    name: str
    unit: str
    samples: tuple[float, ...]
    goal: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def median(self) -> float:
        """Of the samples."""
        return statistics.median(self.samples)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none, or nothing was measured."""
        if self.goal is None or not self.samples:
            return None
        return self.median >= self.goal if self.at_least else self.median <= self.goal

    def row(self) -> tuple[str, str, str, str, str]:
        """Name, median, spread, goal, and what is to be said of it."""
        goal = ""
        if self.goal is not None:
            goal = f"{'>=' if self.at_least else '<='} {self.goal:.3g}"
        if not self.samples:
            return self.name, "-", "-", goal, self.note
        verdict = {True: "met", False: "missed", None: ""}[self.met]
        median = f"{_number(self.median)} {self.unit}"
        spread = f"{_number(min(self.samples))} to {_number(max(self.samples))}"
        return self.name, median, spread, goal, "; ".join(filter(None, (verdict, self.note)))

    def document(self) -> dict[str, object]:
        """For JSON: every sample, so that others can judge the spread."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.median if self.samples else None,
            "samples": list(self.samples),
            "goal": self.goal,
            "met": self.met,
            "note": self.note,
        }


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

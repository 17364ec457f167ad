"""Findings of a life for people: those of one rule and one stack are one, counted. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from freeonce.audit.model import Finding
from freeonce.report.places import OF_ALLOCATION
from freeonce.subject.places import Frame, Place, choose

Traces = Mapping[int, tuple[Frame, ...]]
"""By a stack's number in the run: its frames, innermost first."""


@dataclass(frozen=True)
class Found:
    """Findings that differ only in their allocation.

    `stack`: where they point at, a call or an allocation. `allocated`, `released`: where
    the memory was acquired and first released, as far as known and not the same as `stack`.
    """

    findings: tuple[Finding, ...]
    stack: tuple[Frame, ...]
    allocated: tuple[Frame, ...] = ()
    released: tuple[Frame, ...] = ()

    @property
    def finding(self) -> Finding:
        """The first of them."""
        return self.findings[0]

    @property
    def count(self) -> int:
        """How many allocations they are of: the judge counts those of one stack."""
        return sum(one.count for one in self.findings)

    @property
    def place(self) -> Place | None:
        """The frame that a person looks for."""
        return choose(self.stack)

    @property
    def said(self) -> str:
        """What that place is."""
        return "allocated at" if self.finding.rule in OF_ALLOCATION else "called from"


def found(findings: Sequence[Finding], traces: Traces) -> tuple[Found, ...]:
    """The findings of one run, in their order, the same ones together."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    stacks: dict[tuple[object, ...], tuple[tuple[Frame, ...], ...]] = {}
    for finding in findings:
        three = _stacks(finding, traces)
        # Without a trace, a stack's number is all that tells it from others.
        same = tuple(tuple(map(_place, frames)) for frames in three)
        key = finding.rule, finding.kind, same, 0 if three[0] else finding.site
        groups.setdefault(key, []).append(finding)
        stacks.setdefault(key, three)
    return tuple(Found(tuple(group), *stacks[key]) for key, group in groups.items())


def _place(frame: Frame) -> tuple[object, ...]:
    """What tells it from others for a reader: of one line a compiler may have made many."""
    return frame.module, frame.function, frame.file, frame.line or frame.offset


def _stacks(finding: Finding, traces: Traces) -> tuple[tuple[Frame, ...], ...]:
    """Where it points at, where its memory was acquired, and another release it speaks of."""
    allocated, released = finding.allocated_site, finding.released_site
    own = finding.site or allocated
    return (
        traces.get(own, ()),
        traces.get(allocated, ()) if allocated != own else (),
        traces.get(released, ()) if released != own else (),
    )

"""Findings of a life for people: those of one rule and one stack are one, counted. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from freeonce.audit.model import Finding, Rule
from freeonce.evidence.ledger import Records, Type, Witness
from freeonce.evidence.stacks import STACK_FIELD
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
        """How many they are."""
        return len(self.findings)

    @property
    def place(self) -> Place | None:
        """The frame that a person looks for."""
        return choose(self.stack)

    @property
    def said(self) -> str:
        """What that place is."""
        return "allocated at" if self.finding.rule in OF_ALLOCATION else "called from"


def found(findings: Sequence[Finding], records: Records, traces: Traces) -> tuple[Found, ...]:
    """The findings of one run, in their order, the same ones together."""
    books = _Books(records)
    groups: dict[tuple[object, ...], list[Finding]] = {}
    stacks: dict[tuple[object, ...], tuple[tuple[Frame, ...], ...]] = {}
    for finding in findings:
        three = _stacks(finding, books, traces)
        # Without a trace, a stack's number is all that tells it from others.
        key = finding.rule, finding.kind, three, 0 if three[0] else finding.site
        groups.setdefault(key, []).append(finding)
        stacks[key] = three
    return tuple(Found(tuple(group), *stacks[key]) for key, group in groups.items())


class _Books:
    """The stacks of each allocation: where it was acquired, and where first released."""

    def __init__(self, records: Records) -> None:
        owner = records["witness"] == Witness.LEDGER
        self.allocated = _first(records[owner & (records["type"] == Type.ALLOCATE)])
        self.released = _first(records[records["type"] == Type.RELEASE])


def _first(records: Records) -> dict[int, int]:
    serials, index = np.unique(records["serial"], return_index=True)
    stacks = records[STACK_FIELD][index]
    return dict(zip(serials.tolist(), stacks.tolist(), strict=True))


def _stacks(finding: Finding, books: _Books, traces: Traces) -> tuple[tuple[Frame, ...], ...]:
    allocated = books.allocated.get(finding.serial, 0) if finding.serial else 0
    released = books.released.get(finding.serial, 0) if finding.serial else 0
    own = finding.site or allocated
    return (
        traces.get(own, ()),
        traces.get(allocated, ()) if allocated != own else (),
        traces.get(released, ()) if released != own and finding.rule is not Rule.LEAK else (),
    )

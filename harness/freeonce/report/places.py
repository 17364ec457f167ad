"""Where in the source a finding comes from. Pure; the lines themselves come from `symbols`."""

from collections.abc import Mapping, Sequence

import numpy as np

from freeonce.audit.model import Finding, Rule
from freeonce.audit.result import Result
from freeonce.evidence.ledger import Type
from freeonce.subject.places import Place

Places = Mapping[int, Place]
"""By site: the offset of a return address in the module's text."""

NOWHERE: Places = {}

OF_ALLOCATION = {Rule.LEAK, Rule.USE_AFTER_FREE, Rule.OUT_OF_BOUNDS, Rule.MISPLACED}


def sites(results: Sequence[Result]) -> set[int]:
    """All sites that a report of these results may name."""
    found = {finding.site for result in results for finding in result.judgement.findings}
    for result in results:
        records = result.evidence.records
        calls = np.isin(records["type"], [Type.ALLOCATE, Type.RELEASE])
        found.update(np.unique(records["site"][calls]).tolist())
    return found - {0}


def origin(result: Result, finding: Finding, places: Places) -> tuple[str, Place] | None:
    """The place that a finding points at and what it is: a call, or where it was allocated.

    What was only found later names no call; then it is the allocation's.
    """
    if place := places.get(finding.site):
        return ("allocated at" if finding.rule in OF_ALLOCATION else "called from"), place
    place = places.get(result.evidence.allocated_at.get(finding.serial, 0))
    return ("allocated at", place) if place else None

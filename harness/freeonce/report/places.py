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
    findings = [finding for result in results for finding in result.judgement.findings]
    found = {site for one in findings for site in (one.site, one.allocated_site, one.released_site)}
    for result in results:
        records = result.evidence.records
        calls = np.isin(records["type"], [Type.ALLOCATE, Type.RELEASE])
        found.update(np.unique(records["site"][calls]).tolist())
    return found - {0}


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
    said = [f"{own[0]} {own[1]}"] if own else []
    released = places.get(finding.released_site)
    first = "first " if finding.rule is Rule.DOUBLE_FREE else ""
    return [*said, f"{first}released at {released}"] if released else said

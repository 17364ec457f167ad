"""Memory that the kernel gave the code under audit when it was loaded: it lives as long. Pure."""

from collections.abc import Iterator

import numpy as np

from freeonce.audit.operands import Operand
from freeonce.audit.run import Dispute, Run
from freeonce.evidence.ledger import Flag, Records, Type

PAGE = 4096
MODULES = range(0xFFFFFFFF_A0000000, 0xFFFFFFFF_FF000000)
"""Where the kernel maps modules (Documentation/x86/x86_64/mm.rst)."""


def told(run: Run) -> Records:
    """The pages of it that were given to a CPU, as the guest tells them."""
    records: Records = run.records[run.records["type"] == Type.STATIC]
    return records


class Static:
    """Its pages, by gpa."""

    def __init__(self, run: Run) -> None:
        self._first: dict[int, int] = {}
        for record in told(run):
            if _is_page(record):
                self._first.setdefault(int(record["physical"]), int(record["sequence"]))

    def holds(self, one: Operand) -> bool:
        """Whether all bytes of an operand are told to be such, before it."""
        if one.size > len(self._first) * PAGE:
            return False
        pages = range(one.gpa // PAGE * PAGE, one.gpa + one.size, PAGE)
        return len(pages) > 0 and all(self._first.get(at, one.start) < one.start for at in pages)


def _is_page(record: np.void) -> bool:
    gva, gpa = int(record["pointer"]), int(record["physical"])
    return gva in MODULES and not gva % PAGE and not gpa % PAGE and record["size"] == PAGE


def disputes(run: Run, gpas: dict[int, int | None]) -> Iterator[Dispute]:
    """Where the guest's page tables have another page than it tells.

    A life's modules are gone when the host looks, and their page tables with them.
    """
    begins = run.records[run.records["type"] == Type.BEGIN]
    if np.any(begins["flags"] & Flag.LIFE):
        return
    for record in told(run):
        mapped = gpas.get(int(record["pointer"]))
        if mapped != int(record["physical"]):
            yield Dispute(record, "static memory that its page tables do not have", "memory")

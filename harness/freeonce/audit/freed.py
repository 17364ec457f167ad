"""Pages of anybody's that a CPU may use, and that went back to the page allocator. Pure.

An L2 of a subject's is given whatever memory its user has: it must be in use as long as the CPU
may reach it, and whose it is does not count.
"""

from collections.abc import Iterator

import numpy as np

from freeonce.audit.held import Held, during
from freeonce.audit.model import Finding, Rule
from freeonce.audit.operands import FIELDS, Operand
from freeonce.audit.rules import make_finding
from freeonce.audit.run import Run
from freeonce.audit.tlb import Tlb
from freeonce.evidence.ledger import Records, Type

MOST_LOOKS = 1 << 26
"""Pages that were given, times pages that were freed: all that is looked at for one run."""


def told(run: Run) -> Records:
    """The pages that were freed."""
    records: Records = run.records[run.records["type"] == Type.PAGE_FREED]
    return records


def reasons(run: Run) -> Iterator[str]:
    """Why it is not known of all pages that were freed whether a CPU could still reach them."""
    kinds = run.records["type"]
    given = np.count_nonzero(kinds == Type.OPERAND)
    if given * np.count_nonzero(kinds == Type.PAGE_FREED) > MOST_LOOKS:
        yield "too many freed pages of an L2 to check each"


def freed(run: Run, pages: list[Operand]) -> Iterator[Finding]:
    """`hardware-use-after-free`: one for each time that pages were freed too early."""
    records = told(run)
    if not len(records) or not pages or any(reasons(run)):
        return
    held = Held(pages, lambda one: None)
    asked = [(int(record["sequence"]), record) for record in records]
    for record in during(pages, [held], asked):
        user = held.other(int(record["physical"]), int(record["size"]))
        if user is not None:
            yield _finding(run, record, user, "while the CPU may still use it")
    yield from _kept(run, pages, records)


def _kept(run: Run, pages: list[Operand], records: Records) -> Iterator[Finding]:
    """What a TLB may still have had, of what the L2 had lost before."""
    tlb = Tlb(run)
    order = np.argsort(records["physical"], kind="stable")
    records = records[order]
    starts = records["physical"].astype(np.int64)
    ends = starts + records["size"].astype(np.int64)
    # A block begins at a multiple of its size, so none that begins farther before has bytes of it.
    longest = int(np.max(ends - starts))
    missing: dict[int, tuple[np.void, Operand]] = {}
    for one in pages:
        low, high = np.searchsorted(starts, (one.gpa - longest, one.gpa + one.size))
        near = records[low:high]
        after = near[(ends[low:high] > one.gpa) & (near["sequence"] >= one.end)]
        if not len(after):
            continue
        first = after[np.argmin(after["sequence"])]
        entry = tlb.stale(one.owner[1], one.start, one.end, int(first["sequence"]))
        if entry is not None:
            missing.setdefault(entry.start, (first, one))
    for first, one in missing.values():
        yield _finding(run, first, one, "and a CPU entered an L2 without a flush (15.16)")


def _finding(run: Run, record: np.void, one: Operand, when: str) -> Finding:
    why = f"{FIELDS[one.structure]} of L2 {one.owner[1]}: given back to the page allocator {when}"
    return make_finding(
        run, Rule.HARDWARE_USE_AFTER_FREE, record, None, why, gpa=int(record["physical"])
    )

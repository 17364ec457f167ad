"""What a picture of one run draws of the CPU: the memory that it was given, and how long. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from freeonce.audit.lives import FOREVER
from freeonce.audit.model import Finding
from freeonce.audit.operands import FIELDS, Operand, operands
from freeonce.audit.run import Run
from freeonce.evidence.ledger import Structure

MOST = (1 << 64) - 1


@dataclass(frozen=True)
class Band:
    """Memory of one allocation that the CPU may use for one purpose, from bind to unbind.

    `what`: the structure, the field that gives it and its section in the AMD manual. `owner`:
    `L2 1` or `CPU 0`. `physical`: gpa of the first of `count` places, `size` bytes in all.
    `start`, `end`: ns; `end` is None when it was never taken back. `first`, `last`: sequence
    numbers. `serial`: of the allocation, 0 for none. `identity`: L1's own memory, mapped where it
    lies. `rules`: what giving it violates.
    """

    what: str
    owner: str
    physical: int
    size: int
    count: int
    start: int
    end: int | None
    first: int
    last: int | None
    serial: int
    identity: bool
    rules: tuple[str, ...]


def bands(
    run: Run, findings: tuple[Finding, ...], when: Callable[[int], int], most: int
) -> tuple[list[Band], int]:
    """Those that violate something first, then the earliest; and how many are not among them.

    `when`: the time of a sequence number. Pages of one table that lie in one allocation, and go
    together, are one band.
    """
    serial_at = _Allocations(run)
    together: dict[tuple[object, ...], list[Operand]] = {}
    for one in operands(run):
        if one.structure is not Structure.MORE:
            key = (one.structure, one.owner, one.end, one.identity, serial_at(one))
            together.setdefault(key, []).append(one)
    broken: dict[int, dict[str, None]] = {}
    for finding in findings:
        broken.setdefault(finding.sequence, {})[str(finding.rule)] = None
    made = [_band(given, serial_at(given[0]), broken, when) for given in together.values()]
    made.sort(key=lambda band: (not band.rules, band.first))
    return sorted(made[:most], key=lambda band: band.first), max(len(made) - most, 0)


class _Allocations:
    """Which allocation holds an operand. Within a run no address comes back."""

    def __init__(self, run: Run) -> None:
        order = np.argsort(run.allocates["physical"], kind="stable")
        self._sorted = run.allocates[order]
        # Numpy copies a column of records, or one of another type, each time it searches in it.
        self._starts = np.ascontiguousarray(self._sorted["physical"])

    def __call__(self, one: Operand) -> int:
        last = np.uint64(min(one.gpa + max(one.size, 1) - 1, MOST))
        at = int(np.searchsorted(self._starts, last, side="right")) - 1
        if at < 0:
            return 0
        record = self._sorted[at]
        inside = int(record["physical"]) + int(record["size"]) > one.gpa
        return int(record["serial"]) if inside else 0


def _band(
    given: list[Operand],
    serial: int,
    broken: dict[int, dict[str, None]],
    when: Callable[[int], int],
) -> Band:
    one = given[0]
    kind, number = one.owner
    rules = [rule for other in given for rule in broken.get(other.start, ())]
    return Band(
        what=FIELDS[one.structure],
        owner=f"L2 {number}" if kind == "vcpu" else f"CPU {number}",
        physical=one.gpa,
        size=sum(other.size for other in given),
        count=len(given),
        start=when(one.start),
        end=None if one.end == FOREVER else when(one.end),
        first=one.start,
        last=None if one.end == FOREVER else one.end,
        serial=serial,
        identity=bool(one.identity),
        rules=tuple(dict.fromkeys(rules)),
    )

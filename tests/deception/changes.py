"""Every change of one record of a history, as an instrument that lies would have written it.

The checks are right afterwards, and the sequence has no gap: what is dropped was never appended.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from freeonce.evidence.ledger import RECORD, RECORD_BYTES, Family, Flag, Records, Type, seal

WHAT = ("drop", "duplicate", "swap", "set")
FIELDS = tuple(name for name in RECORD.names or () if name not in ("sequence", "check"))
SMALL = {
    "type": range(max(Type) + 2),
    "witness": range(4),
    "kind": range(max(Family) + 2),
    "flags": [],
}
OTHERS = 12
"""Values of other records that are tried as well."""
STEPS = {"pointer": (1, 8, 4096), "physical": (1, 8, 4096), "size": (1, 16, 4096)}


@dataclass(frozen=True)
class Change:
    """One change: what was done to which record, and the field and its new value if that."""

    what: str
    index: int
    field: str = ""
    value: int = 0

    def __str__(self) -> str:
        return f"{self.what} {self.field}{f'={self.value:#x}' if self.field else ''}".strip()


def changes(records: Records) -> Iterator[Change]:
    """All of them, each once."""
    count = len(records)
    yield from (Change("drop", index) for index in range(count))
    yield from (Change("duplicate", index) for index in range(count))
    yield from (Change("swap", index) for index in range(count - 1))
    for field in FIELDS:
        others = set(np.unique(records[field])[:OTHERS].tolist())
        for index in range(count):
            now = int(records[field][index])
            for value in sorted(_values(field, now) | others - {now}):
                yield Change("set", index, field, value)


def _values(field: str, now: int) -> set[int]:
    """Neighbours and extremes of a value, and all that a small field can mean."""
    bits = RECORD[field].itemsize * 8
    most = (1 << bits) - 1
    found = {0, 1, most, most >> 1, 1 << bits - 1, *SMALL.get(field, ())}
    for step in STEPS.get(field, (1,)):
        found |= {now - step, now + step}
    if field == "flags":
        found |= {now ^ flag for flag in Flag}
    if field == "detail":
        found |= {now ^ 1 << bit for bit in range(bits // 2)}
    return {value for value in found if 0 <= value <= most} - {now}


def apply(records: Records, change: Change) -> Records:
    """A changed copy; its first record has the sequence that the first had before."""
    first, at = int(records["sequence"][0]), change.index
    if change.what == "drop":
        done = np.delete(records, at)
    elif change.what == "duplicate":
        done = np.insert(records, at, records[at])
    else:
        done = records.copy()
    if change.what == "swap":
        done[[at, at + 1]] = records[[at + 1, at]]
    if change.what == "set":
        done[at][change.field] = change.value
    done["sequence"] = np.arange(first, first + len(done))
    sealed = seal(done)
    assert sealed.nbytes == len(done) * RECORD_BYTES
    return sealed

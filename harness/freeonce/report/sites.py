"""Where memory was acquired, stack by stack: how much, what came back, the most at a time. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from freeonce.audit.result import Result
from freeonce.audit.rules import KIND_NAMES
from freeonce.evidence.ledger import Flag, Kind, Records, Type, Witness
from freeonce.report.places import Everywhere

UNKNOWN = "[unknown]"
"""In a folded stack, where no function is known."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CallSite:
    """What was acquired by one stack, of one family. `site`: the stack's number in the run.

    `most`, `most_bytes`: that were live at a time; `size`: bytes acquired in all.
    """

    site: int
    family: str
    acquired: int
    released: int
    size: int
    most: int
    most_bytes: int


def call_sites(records: Records) -> list[CallSite]:
    """Every stack that acquired something; who had the most bytes at a time comes first.

    Released: by the owner, or by the kernel for it. Linear but for one sort.
    """
    owner = records["witness"] == Witness.LEDGER
    acquired = np.flatnonzero(owner & (records["type"] == Type.ALLOCATE))
    if not len(acquired):
        return []
    # Columns, not records: there may be millions.
    keys = records["site"][acquired].astype(np.int64) << 8 | records["kind"][acquired]
    groups, group = np.unique(keys, return_inverse=True)
    sizes = records["size"][acquired].astype(np.int64)
    back = _released(records, records["serial"][acquired])
    is_back = back >= 0
    # An acquisition adds at its sequence, and what came back takes away at its own.
    whose = np.concatenate([group, group[is_back]])
    when = np.concatenate([records["sequence"][acquired].astype(np.int64), back[is_back]])
    bytes_ = np.concatenate([sizes, -sizes[is_back]])
    ones = np.where(np.arange(len(whose)) < len(group), 1, -1)
    order = np.lexsort((when, whose))
    starts = np.flatnonzero(np.diff(whose[order], prepend=-1))
    most, most_bytes = (_most(values[order], starts) for values in (ones, bytes_))
    found = [
        CallSite(
            site=int(groups[number]) >> 8,
            family=KIND_NAMES[Kind(int(groups[number]) & 0xFF)],
            acquired=made,
            released=returned,
            size=total,
            most=int(most[number]),
            most_bytes=int(most_bytes[number]),
        )
        for number, (made, returned, total) in enumerate(
            zip(
                np.bincount(group).tolist(),
                np.bincount(group[is_back], minlength=len(groups)).tolist(),
                _sums(group, sizes, len(groups)).tolist(),
                strict=True,
            )
        )
    ]
    return sorted(found, key=lambda one: (-one.most_bytes, -one.most, one.site))


def _released(records: Records, acquired: npt.NDArray[np.uint32]) -> Numbers:
    """Of each acquired serial the sequence of its first release; -1 where there is none."""
    right = (records["type"] == Type.RELEASE) & (records["flags"] & Flag.WITHHELD == 0)
    serials, first = np.unique(records["serial"][right], return_index=True)
    if not len(serials):
        return np.full(len(acquired), -1)
    at = np.minimum(np.searchsorted(serials, acquired), len(serials) - 1)
    sequences: Numbers = records["sequence"][right].astype(np.int64)[first[at]]
    return np.where(serials[at] == acquired, sequences, -1)


def _most(changes: Numbers, starts: Numbers) -> Numbers:
    """The highest running sum of each group; `starts`: where each begins."""
    sums = np.cumsum(changes)
    before = np.concatenate([[0], sums[starts[1:] - 1]])
    highest: Numbers = np.maximum.reduceat(sums, starts) - before
    return highest


def _sums(group: Numbers, values: Numbers, count: int) -> Numbers:
    sums = np.zeros(count, np.int64)
    np.add.at(sums, group, values)
    return sums


def folded(results: Iterable[Result], places: Everywhere, *, count: bool = False) -> str:
    """What each stack acquired in bytes, or how often, as flamegraph.pl and speedscope read it:
    a line a stack, outermost first, parted by `;`, a blank, the number.
    """
    totals: Counter[str] = Counter()
    for result in results:
        known = places.of(result)
        for one in call_sites(result.evidence.records):
            place = known.get(one.site)
            names = [_word(frame.function, frame.module) for frame in place.frames] if place else []
            line = ";".join((_word(result.scenario.name, ""), *(reversed(names or [UNKNOWN]))))
            totals[line] += one.acquired if count else one.size
    return "".join(f"{line} {total}\n" for line, total in sorted(totals.items()))


def _word(name: str, module: str) -> str:
    """A name that stays one: what parts names and numbers is not in it."""
    said = f"{module}`{name}" if module else name
    return said.replace(";", ",").replace(" ", "_").replace("\n", "_")

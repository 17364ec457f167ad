"""What was live over time: against the definition, and whatever clock the guest tells."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freeonce.audit.run import take_apart
from freeonce.evidence.ledger import Flag, Kind, Records, Type
from freeonce.report.lifetimes import during
from freeonce.report.usage import LARGEST, Usage, usage
from tests.unit.history import PAGE, PAGE_OFFSET, Life, born

A = PAGE_OFFSET + 0x10_0000
SLICES = 5


def of(life: Life, slices: int = SLICES) -> tuple[Records, tuple[Usage, ...]]:
    records = life.dead().settle().records()
    inside = during(records)
    return inside, usage(take_apart(records), inside, slices)


def slow(inside: Records, kind: Kind) -> list[int]:
    """By the definition: what is live after each record; the most of a slice, its begin with it."""
    first, last = int(inside["time"][0]), int(inside["time"].max())
    now, live, most, at = 0, {}, [0] * SLICES, 0
    for record in inside:
        passed = (int(record["time"]) - first) * SLICES // max(last - first, 1)
        slice_ = max(at, min(passed, SLICES - 1))
        for passed in range(at + 1, slice_ + 1):
            most[passed] = now
        at = slice_
        serial = int(record["serial"])
        if record["type"] == Type.ALLOCATE and record["kind"] == kind:
            live[serial] = int(record["size"])
        elif record["type"] == Type.RELEASE and not int(record["flags"]) & Flag.WITHHELD:
            live.pop(serial, None)
        now = sum(live.values())
        most[at] = max(most[at], now)
    return most


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 500)), max_size=40))
def test_it_is_the_most_of_each_slice(steps: list[tuple[int, int]]) -> None:
    life, held = born(), []
    for number, (what, size) in enumerate(steps):
        if what < 3:
            kind = Kind.SLAB if what else Kind.VMALLOC
            held.append(life.acquire(kind, A + number * PAGE, size))
        elif held and what == 3:
            life.drop(held.pop())
        elif held:
            life.taken(held.pop(0))
    inside, found = of(life)
    made = {one.family: list(one.size) for one in found}
    for kind in (Kind.SLAB, Kind.VMALLOC):
        assert made.get(kind.name.lower(), [0] * SLICES) == slow(inside, kind)


def test_who_had_most_comes_first() -> None:
    life = born()
    life.acquire(Kind.SLAB, A, 10)
    life.acquire(Kind.VMALLOC, A + PAGE, 20)
    _, found = of(life)
    assert [(one.family, max(one.size), max(one.live)) for one in found] == [
        ("vmalloc", 20, 1),
        ("slab", 10, 1),
    ]


def test_a_clock_that_goes_back_or_jumps_changes_nothing_but_the_slices() -> None:
    life = born()
    serials = [life.acquire(Kind.SLAB, A + number * PAGE, 8) for number in range(3)]
    for serial in serials:
        life.drop(serial)
    life.rows[7]["time"], life.rows[8]["time"] = 0, (1 << 64) - 1
    _, (found,) = of(life)
    assert max(found.size) == 24
    assert max(found.live) == 3


def test_a_clock_that_stands_has_all_in_one_slice() -> None:
    life = born()
    for number in range(3):
        life.acquire(Kind.SLAB, A + number * PAGE, 8)
    for row in life.rows:
        row["time"] = 5
    records = life.records()
    (found,) = usage(take_apart(records), during(records), SLICES)
    assert found.size[0] == 24


def test_a_size_that_nobody_has_does_not_run_over() -> None:
    life = born()
    for number in range(8):
        life.acquire(Kind.SLAB, A + number * PAGE, (1 << 64) - 1)
    records = life.records()
    (found,) = usage(take_apart(records), during(records), SLICES)
    assert max(found.size) == 8 * LARGEST


def test_of_nothing_there_is_none() -> None:
    assert of(born())[1] == ()
    nothing = np.zeros(0, born().records().dtype)
    assert usage(take_apart(nothing), nothing, 3) == ()

"""What is alike is told once: the same counts and bytes as one by one, and nothing is hidden."""

from typing import Any

import pytest

from freeonce.audit.alike import Apart
from freeonce.audit.audit import judge
from freeonce.audit.memory import Memory
from freeonce.audit.model import Asked, Rule
from freeonce.audit.rules import broken, double_frees, leaks, mismatched_frees, null_frees
from freeonce.audit.run import take_apart
from freeonce.evidence.ledger import Broken, Flag, Kind, Type
from freeonce.evidence.snapshot import Snapshot
from tests.unit.history import PAGE, PAGE_OFFSET, History, born, run

SLAB = int(Kind.SLAB)
LIFE = int(Flag.LIFE)


def of_a_life() -> History:
    history = run()
    history.rows[0]["flags"] = LIFE
    return history


def taken(history: History, serial: int, size: int = 8, site: int = 1, kind: int = SLAB) -> None:
    history.add(Type.ALLOCATE, serial=serial, pointer=serial << 12, size=size, kind=kind, site=site)


def given(history: History, serial: int, flags: Flag, site: int = 2, kind: int = SLAB) -> None:
    history.add(
        Type.RELEASE, serial=serial, pointer=serial << 12, kind=kind, flags=int(flags), site=site
    )


def summary(found: Any) -> list[tuple[Any, ...]]:
    return [(one.serial, one.site, one.released_site, one.count, one.total) for one in found]


def test_leaks_of_one_stack_and_family_are_one_finding() -> None:
    history = of_a_life()
    for serial, (size, site, kind) in enumerate(
        [(8, 1, SLAB), (4, 2, SLAB), (16, 1, SLAB), (8, 0, SLAB), (8, 0, SLAB), (9, 1, Kind.PAGES)],
        1,
    ):
        taken(history, serial, size, site, int(kind))
    found = leaks(take_apart(history.end().records()))
    assert summary(found) == [
        (1, 1, 0, 2, 24),
        (2, 2, 0, 1, None),
        # Without a stack nothing says that they are of one place.
        (4, 0, 0, 1, None),
        (5, 0, 0, 1, None),
        (6, 1, 0, 1, None),
    ]


def test_of_a_scenario_each_is_told() -> None:
    history = run()
    taken(history, 1)
    taken(history, 2)
    found = leaks(take_apart(history.end().records()))
    assert summary(found) == [(1, 1, 0, 1, None), (2, 1, 0, 1, None)]


@pytest.mark.parametrize(
    "apart", [Apart(pointers=frozenset({2 << 12})), Apart(serials=frozenset({2}))]
)
def test_what_something_else_speaks_of_is_told_by_itself(apart: Apart) -> None:
    history = of_a_life()
    for serial in (1, 2, 3):
        taken(history, serial)
    found = leaks(take_apart(history.end().records()), apart)
    assert summary(found) == [(1, 1, 0, 2, 16), (2, 1, 0, 1, None)]


def test_second_releases_are_one_for_each_first_stack_and_second() -> None:
    history = of_a_life()
    for serial, first in enumerate((5, 5, 6), 1):
        taken(history, serial)
        given(history, serial, Flag.KEPT, first)
        given(history, serial, Flag.WITHHELD, 7)
    found = double_frees(take_apart(history.end().records()))
    assert summary(found) == [(1, 7, 5, 2, 16), (3, 7, 6, 1, None)]


def test_wrong_calls_and_null_are_one_for_each_stack() -> None:
    history = of_a_life()
    for serial in (1, 2):
        taken(history, serial)
        given(history, serial, Flag.WITHHELD, 3, int(Kind.VMALLOC))
    for _ in range(3):
        null = {"pointer": 0, "kind": int(Kind.POOL), "flags": int(Flag.WITHHELD), "site": 4}
        history.add(Type.RELEASE, **null)
    taken_apart = take_apart(history.end().records())
    assert summary(mismatched_frees(taken_apart)) == [(1, 3, 0, 2, 16)]
    assert summary(null_frees(taken_apart)) == [(0, 4, 0, 3, None)]


def test_broken_memory_is_one_for_each_stack_and_rule() -> None:
    history = of_a_life()
    for serial in (1, 2, 3):
        taken(history, serial)
        given(history, serial, Flag.KEPT)
        how = Broken.BEHIND if serial == 3 else Broken.POISON
        history.add(Type.BROKEN, serial=serial, detail=int(how), pointer=(serial << 12) + 8)
    found = broken(take_apart(history.end().records()))
    assert summary(found) == [(1, 1, 2, 2, 16), (3, 1, 2, 1, None)]
    assert [one.rule for one in found] == [Rule.USE_AFTER_FREE, Rule.OUT_OF_BOUNDS]


def test_of_what_the_memory_shows_the_first_speaks_for_all() -> None:
    life = born()
    pointers = [PAGE_OFFSET + PAGE * number for number in (1, 2)]
    first, second = (life.acquire(Kind.SLAB, pointer, size=24) for pointer in pointers)
    life.drop(first, flags=int(Flag.KEPT)).drop(second, flags=int(Flag.KEPT))
    (finding,) = life.whole(written=dict.fromkeys(pointers, 0)).findings
    assert finding.rule is Rule.USE_AFTER_FREE
    assert summary([finding]) == [(first, 1, 2, 2, 48)]


def test_a_disputed_address_hides_only_what_is_found_of_it() -> None:
    """The first of many leaks is one that the account contradicts: the others stay."""
    history = of_a_life()
    for serial in (1, 2, 3):
        taken(history, serial)
    # The same serial again: nothing is believed of that address.
    taken(history, 1)
    history.add(Type.QUIESCED, detail=7, size=4)
    memory = Memory(Snapshot([]), {})
    done = judge(history.end().records(), memory, asked=Asked(flags=LIFE))
    counts = {one.rule: one.count for one in done.findings}
    assert counts.get(Rule.LEAK) == 2
    assert Rule.WITNESSES_DISAGREE in counts


@pytest.mark.parametrize(
    ("second", "disputed"), [(Kind.REGISTRATION, False), (Kind.SLAB, True), (Kind.MISC, False)]
)
def test_a_struct_that_a_subsystem_knows_may_begin_where_memory_does(
    second: Kind, disputed: bool
) -> None:
    history = of_a_life()
    taken(history, 1)
    history.add(Type.ALLOCATE, serial=2, pointer=1 << 12, size=8, kind=int(second), site=1)
    again = [
        one.text
        for one in take_apart(history.end().records()).disputes
        if "gives out this address twice" in one.text
    ]
    assert bool(again) == disputed


def test_a_struct_is_not_made_known_twice() -> None:
    history = of_a_life()
    for serial in (1, 2):
        kind = int(Kind.REGISTRATION)
        history.add(Type.ALLOCATE, serial=serial, pointer=1 << 12, size=8, kind=kind, site=1)
    assert take_apart(history.end().records()).disputes

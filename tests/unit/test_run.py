"""A run taken apart: what was released when, where it ends, and which records name each other."""

import numpy as np
import pytest

from freeonce.audit.run import NEVER, NONE, end_of, ending_of, status_of, take_apart
from freeonce.evidence.ledger import Flag, Kind, Type
from tests.unit.history import PAGE, PAGE_OFFSET, History, Life, born, run

A, B = PAGE_OFFSET + 0x10_0000, PAGE_OFFSET + 0x20_0000
KEPT, WITHHELD = int(Flag.KEPT), int(Flag.WITHHELD)


@pytest.mark.parametrize("how", ["owner", "kernel", "late"])
def test_what_is_released_by_a_record_was_not_before_it(how: str) -> None:
    life = born()
    for pointer in (A, B):
        life.acquire(Kind.SLAB, pointer)
    if how == "owner":
        life.drop(2, flags=KEPT)
    elif how == "kernel":
        life.taken(2)
    else:
        life.dead().drop(2)
    sequence = len(life.rows)
    taken_apart = take_apart(life.records())
    assert taken_apart.freed_before(sequence).tolist() == [False, False]
    assert taken_apart.freed_before(sequence + 1).tolist() == [False, True]


def test_no_release_is_none_whatever_it_is_asked_for() -> None:
    taken_apart = take_apart(born().records())
    assert taken_apart.by_serials(np.array([1, 2], np.uint32)).tolist() == [NONE, NONE]
    life = born()
    life.acquire(Kind.SLAB, A)
    life.drop(life.acquire(Kind.SLAB, B))
    taken_apart = take_apart(life.records())
    assert taken_apart.by_serials(np.array([], np.uint32)).tolist() == []
    assert taken_apart.first_release(0) is None
    release = taken_apart.first_release(1)
    assert release is not None
    assert release["pointer"] == B


def test_of_one_serial_that_is_given_twice_the_first_counts() -> None:
    history = run().allocate(2, A).allocate(1, B).allocate(1, B + PAGE).allocate(2, A + PAGE)
    found = take_apart(history.records()).by_serials(np.array([1, 2], np.uint32))
    assert found.tolist() == [1, 0]


def test_what_is_around_a_release_is_what_its_address_meant_then() -> None:
    """Whatever began at a lower address since, and however often."""
    life = born()
    life.acquire(Kind.SLAB, B)
    life.drop(0, pointer=B + 8, flags=WITHHELD)
    for _ in range(3):
        life.drop(life.acquire(Kind.SLAB, A))
    taken_apart = take_apart(life.records())
    found = taken_apart.around(taken_apart.releases[0])
    assert found is not None
    assert found["serial"] == 1


def test_a_run_ends_with_its_first_end_and_without_one_behind_every_sequence() -> None:
    assert end_of(run().records()) == NEVER > np.iinfo(np.uint32).max
    history = run().add(Type.END).add(Type.END).add(Type.END)
    assert end_of(history.records()) == len(history.rows) - 2


@pytest.mark.parametrize(
    ("states", "ending"),
    [
        # The scenario's begin tells that of CPU 0.
        ((), None),
        ((1,), None),
        ((0,), 0),
        ((1, 0), 1),
        ((1, 0, 1), 1),
        ((1, 1, 0), 1),
        # Each time that it is told is the last until it is told again.
        ((0, 1, 0, 1), 2),
        ((0, 1, 1, 0), 2),
    ],
)
def test_a_run_begins_to_end_where_a_cpus_state_is_told_again(
    states: tuple[int, ...], ending: int | None
) -> None:
    history = run()
    before = len(history.rows)
    for cpu in states:
        history.cpu_state(cpu)
    assert ending_of(history.records()) == NEVER
    history.end(states=False).cpu_state().cpu_state(1)
    found = ending_of(history.records())
    assert found == before + 1 + (len(states) if ending is None else ending)


def test_the_status_is_that_of_the_only_end() -> None:
    assert status_of(run().records()) is None
    assert status_of(run().end(-12).records()) == -12
    assert status_of(run().end().records()) == 0
    assert status_of(run().end().end().records()) is None


@pytest.mark.parametrize(("named", "late"), [(0, True), (2, True), (1, False), (3, False)])
def test_a_late_release_names_its_allocation_or_none(named: int, late: bool) -> None:
    life = born()
    life.drop(life.acquire(Kind.SLAB, A))
    life.acquire(Kind.SLAB, B)
    life.dead().drop(named, Kind.SLAB, pointer=B)
    assert list(take_apart(life.records()).late) == ([1] if late else [])


def test_the_first_late_release_counts_whoever_made_it() -> None:
    for first, second, site in ((Life.drop, Life.taken, 2), (Life.drop, Life.drop, 2)):
        life = born()
        life.acquire(Kind.SLAB, A)
        first(life.dead(), 1)
        second(life, 1)
        life.rows[-1]["site"] = 9
        assert [int(one["site"]) for one in take_apart(life.records()).late.values()] == [site]


@pytest.mark.parametrize("times", [1, 2, 3])
def test_the_kernels_first_release_counts(times: int) -> None:
    for late in (False, True):
        life = born()
        life.acquire(Kind.SLAB, B)
        serial = life.acquire(Kind.SLAB, A)
        if late:
            life.dead()
        for site in range(5, 5 + times):
            life.taken(serial, site=site)
        taken_apart = take_apart(life.records())
        first = taken_apart.taken_from
        assert (first == NONE).tolist() == [True, late]
        sites = taken_apart.taken["site"][first[1:]] if not late else taken_apart.late[1]["site"]
        assert np.atleast_1d(sites).tolist() == [5]


def texts(history: History) -> list[str]:
    return [one.text for one in take_apart(history.records()).disputes]


TWICE = "the ledger gives out this address twice in one run"


@pytest.mark.parametrize(
    ("of_begin", "of_others", "back"),
    [
        (0, 0, False),
        (int(Flag.REAL), 0, True),
        (0xFF & ~int(Flag.REAL), 0, False),
        (0, int(Flag.REAL), False),
    ],
)
def test_a_pools_address_comes_back_with_act_real_alone(
    of_begin: int, of_others: int, back: bool
) -> None:
    history = run().text(Type.STEP, "again").allocate(1, A).release(1, A).allocate(2, A)
    begin, *others = (row for row in history.rows if row["type"] in (Type.BEGIN, Type.STEP))
    begin["flags"] = of_begin
    for row in others:
        row["flags"] = of_others
    assert texts(history) == ([] if back else [TWICE])


@pytest.mark.parametrize("below", [None, Kind.SLAB, Kind.REGISTRATION])
@pytest.mark.parametrize("released_below", [False, True])
@pytest.mark.parametrize("released", [False, True])
def test_an_address_comes_back_by_its_own_release(
    below: Kind | None, released_below: bool, released: bool
) -> None:
    """Whatever lies at a lower one, and whatever became of that."""
    life = born()
    if below is not None:
        serial = life.acquire(below, A)
        if released_below:
            life.drop(serial)
    for _ in range(2):
        serial = life.acquire(Kind.SLAB, B)
        if released:
            life.drop(serial)
    assert texts(life) == ([] if released else [TWICE])


@pytest.mark.parametrize("flags", [0, KEPT, WITHHELD, int(Flag.DEFERRED)])
def test_an_address_comes_back_by_a_release_that_the_kernel_had(flags: int) -> None:
    life = born()
    life.drop(life.acquire(Kind.SLAB, A), flags=flags)
    life.acquire(Kind.SLAB, A)
    assert texts(life) == ([TWICE] if flags else [])


@pytest.mark.parametrize("kind", [0, int(max(Kind)) + 1])
@pytest.mark.parametrize("what", [Type.ALLOCATE, Type.RELEASE, Type.RECLAIM])
def test_memory_is_of_a_kind(what: Type, kind: int) -> None:
    history = run().allocate(1, A).release(1, A).end().settle()
    (row,) = (one for one in history.rows if one["type"] == what and one["witness"] == 1)
    row["kind"] = kind
    assert "memory of no kind" in texts(history)
    row["kind"] = int(max(Kind))
    assert "memory of no kind" not in texts(history)


@pytest.mark.parametrize(
    ("serials", "wrong"),
    [((1, 2, 3), []), ((1, 1), [1]), ((2, 1, 3), [1]), ((3, 1, 2, 4), [1, 2]), ((0, 1), [0])],
)
def test_serials_are_given_out_in_order(serials: tuple[int, ...], wrong: list[int]) -> None:
    history = run()
    for place, serial in enumerate(serials):
        history.allocate(serial, A + place * PAGE)
    text = "the ledger gives out serial {} out of order"
    assert texts(history) == [text.format(serial) for serial in wrong]


def test_the_kernel_has_no_release_of_what_a_pool_has() -> None:
    history = run().allocate(1, A)
    history.kernel(Type.RELEASE, serial=1, pointer=A, kind=int(Kind.SLAB))
    assert texts(history) == ["the kernel releases allocation 1, which no family has"]


@pytest.mark.parametrize(
    "other",
    [
        {"serial": 0},
        {"flags": int(Flag.WRAPPED)},
        {"kind": int(Kind.CONTIGUOUS)},
        {"type": int(Type.ALLOCATE)},
    ],
)
def test_what_the_kernel_releases_by_itself_is_of_the_books(other: dict[str, int]) -> None:
    """Outside of the wrappers, and of a family of subjects."""
    life = born()
    life.acquire(Kind.SLAB, A)
    life.taken(1)
    assert take_apart(life.records()).taken["serial"].tolist() == [1]
    life.rows[-1].update(other)
    assert take_apart(life.records()).taken["serial"].tolist() == []


@pytest.mark.parametrize(
    "wrong", [{"serial": 7}, {"serial": 2}, {"pointer": A + 8}, {"serial": 9, "pointer": A + 1}]
)
def test_a_release_is_of_what_it_names_at_its_address_and_before_it(wrong: dict[str, int]) -> None:
    history = run().allocate(1, A).allocate(2, B).release(1, A)
    (row,) = (one for one in history.rows if one["type"] == Type.RELEASE)
    assert take_apart(history.records()).target.tolist() == [0]
    row.update(wrong)
    assert take_apart(history.records()).target.tolist() == [NONE]


def test_nothing_is_released_before_it_is_there() -> None:
    history = run().release(1, A).allocate(1, A)
    assert take_apart(history.records()).target.tolist() == [NONE]

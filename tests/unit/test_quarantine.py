"""What the host reads of foreign modules' memory: which bytes, and what it says of them."""

import pytest

from freeonce.audit.quarantine import Kept, compare, to_look_at
from freeonce.audit.run import Run, take_apart
from freeonce.evidence.ledger import GUARD_LIVE, POISON_RELEASED, Flag, Kind
from freeonce.evidence.snapshot import Snapshot
from tests.unit.history import MAPPED, PAGE, PAGE_OFFSET, Life, born, run

A, B = PAGE_OFFSET + 0x10_0000, PAGE_OFFSET + 0x20_0000
AREA, GPA = 0xFFFF_C900_0000_0000, 0x9000
"""Where vmalloc() maps, and the page that lies there."""
KEPT = int(Flag.KEPT)


def over(life: Life) -> Run:
    return take_apart(life.dead().settle().records())


def at_area(kind: Kind, offset: int, size: int, guard: int = 0) -> tuple[Life, int]:
    life = born()
    serial = life.acquire(kind, AREA + offset, size, guard=guard)
    life.rows[-1]["physical"] = GPA + offset
    return life, serial


@pytest.mark.parametrize("kind", [Kind.VMALLOC, Kind.KVMALLOC])
@pytest.mark.parametrize(
    ("offset", "size", "known"), [(0, 2 * PAGE, PAGE), (0x10, 64, 64), (PAGE - 0x10, 64, 0x10)]
)
def test_of_a_vmalloc_area_the_first_page_is_known(
    kind: Kind, offset: int, size: int, known: int
) -> None:
    life, serial = at_area(kind, offset, size)
    run_ = over(life.drop(serial, flags=KEPT))
    assert to_look_at(run_, PAGE_OFFSET) == [Kept(0, GPA + offset, known, guard=False)]


@pytest.mark.parametrize("offset", [0, 0x10])
@pytest.mark.parametrize("beyond", [0, 1])
def test_a_guard_that_is_not_all_in_the_first_page_is_not_known(offset: int, beyond: int) -> None:
    size = PAGE - 16 - offset + beyond
    life, _ = at_area(Kind.VMALLOC, offset, size, guard=16)
    whole = Kept(0, GPA + offset + size, 16, guard=True)
    assert to_look_at(over(life), PAGE_OFFSET) == ([] if beyond else [whole])


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind >= Kind.SLAB])
def test_what_lies_nobody_knows_where_is_not_looked_at(kind: Kind, kept: bool) -> None:
    """It is not in the kernel's map of all memory, or nobody knows where that is."""
    life = born()
    serial = life.acquire(kind, A, guard=16)
    run_ = over(life.drop(serial, flags=KEPT) if kept else life)
    assert to_look_at(run_, 0) == []
    gpa = A - PAGE_OFFSET
    known = Kept(0, gpa, 64, guard=False) if kept else Kept(0, gpa + 64, 16, guard=True)
    assert to_look_at(run_, PAGE_OFFSET) == ([known] if kind in MAPPED else [])


def test_what_pools_hold_is_looked_at_by_another_rule() -> None:
    history = run().allocate(1, A, detail=int.from_bytes(b"ours", "little")).allocate(2, B)
    history.release(2, B).end().settle()
    assert to_look_at(take_apart(history.records()), PAGE_OFFSET) == []


def test_what_the_kernel_took_is_kept_no_more() -> None:
    life = born()
    serial = life.acquire(Kind.SLAB, A)
    assert to_look_at(over(life.drop(serial, flags=KEPT).taken(serial)), PAGE_OFFSET) == []


@pytest.mark.parametrize(
    ("guard", "written", "detail"),
    [
        (
            0,
            {3: 0x42, 5: 0x43},
            "written at byte 3 after its release "
            "(2 wrong bytes, from the first on: 42 6b 43 6b 6b 6b 6b 6b)",
        ),
        (
            20,
            {64 + 9: 1, 64 + 11: 2, 64 + 12: 3},
            "written at byte 9 behind its end "
            "(3 wrong bytes, from the first on: 01 cc 02 03 cc cc cc cc)",
        ),
        (
            8,
            {64 + 6: 1},
            "written at byte 6 behind its end (1 wrong byte, from the first on: 01 cc)",
        ),
    ],
)
def test_what_is_wrong_is_told_from_its_first_byte_on(
    guard: int, written: dict[int, int], detail: str
) -> None:
    life = born()
    serial = life.acquire(Kind.SLAB, A, guard=guard)
    judgement = (life if guard else life.drop(serial, flags=KEPT)).whole(
        {A + offset: byte for offset, byte in written.items()}
    )
    assert [one.detail for one in judgement.findings if one.witness == "memory"] == [detail]


def of_guards(life: Life, *contents: bytes | None, unread: int = 0) -> tuple[list[int], list[int]]:
    """Serials of findings and of disputes about two guards; None: no memory is there."""
    run_ = take_apart(life.settle().records())
    looked_at = to_look_at(run_, PAGE_OFFSET)
    parts = [
        (kept.gpa, data) for kept, data in zip(looked_at, contents, strict=True) if data is not None
    ]
    findings, disputes = compare(run_, Snapshot(parts), looked_at, unread=unread)
    return [one.serial for one in findings], [int(one.record["serial"]) for one in disputes]


def two_guards() -> Life:
    life = born()
    for pointer in (A, B):
        life.acquire(Kind.SLAB, pointer, guard=4)
    return life.dead()


BROKEN = bytes([GUARD_LIVE, GUARD_LIVE, 0x42, GUARD_LIVE])


def test_memory_that_is_not_there_is_disputed_and_hides_nothing_behind_it() -> None:
    assert of_guards(two_guards(), None, BROKEN) == ([2], [1])
    # Unless there was more than is looked at.
    assert of_guards(two_guards(), None, BROKEN, unread=1) == ([2], [])


def test_a_guard_of_what_was_released_late_is_not_looked_at_and_hides_nothing_behind_it() -> None:
    assert of_guards(two_guards(), BROKEN, BROKEN) == ([1, 2], [])
    assert of_guards(two_guards().drop(1), BROKEN, BROKEN) == ([2], [])
    assert of_guards(two_guards().drop(1), None, BROKEN) == ([2], [])


def test_who_compares_without_a_bound_has_read_all() -> None:
    life = born()
    life.drop(life.acquire(Kind.SLAB, A, size=2), flags=KEPT)
    run_ = over(life)
    looked_at = to_look_at(run_, PAGE_OFFSET)
    assert len(compare(run_, Snapshot(), looked_at)[1]) == 1
    (one,) = looked_at
    assert compare(run_, Snapshot([(one.gpa, bytes([POISON_RELEASED]) * 2)]), looked_at) == ([], [])

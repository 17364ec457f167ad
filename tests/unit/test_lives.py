"""Which memory is whose when, and what the CPU may use then: each against its plain definition."""

import random
from collections.abc import Iterator

import numpy as np
import pytest

from freeonce.audit import hardware
from freeonce.audit.families import FAMILIES
from freeonce.audit.held import Held, contested, during
from freeonce.audit.lives import FOREVER, PAGE, Lives, _Marked
from freeonce.audit.operands import Operand
from freeonce.audit.operands import operands as given_to
from freeonce.audit.run import take_apart
from freeonce.evidence.ledger import RECORD, Flag, Kind, Phase, Structure, Type
from tests.unit.history import PAGE_OFFSET, History, born, run

CONTIGUOUS = Kind.CONTIGUOUS


@pytest.mark.parametrize("places", range(1, 10))
def test_marks_are_found_upwards_and_downwards(places: int) -> None:
    chance = random.Random(places)
    marked, marks = _Marked(places), set[int]()
    for _ in range(60):
        place, on = chance.randrange(places), chance.random() < 0.5
        marked.mark(place, on=on)
        (marks.add if on else marks.discard)(place)
        for at in range(places + 1):
            assert marked.first_from(at) == min((one for one in marks if one >= at), default=None)
            assert marked.last_below(at) == max((one for one in marks if one < at), default=None)


Lying = list[tuple[int, int, int, int]]
"""Sequence, serial, gpa and size."""


def lying(seed: int) -> tuple[History, Lying]:
    """Allocations over each other, as those of a guest whose addresses come back."""
    chance, history, made = random.Random(seed), run(), Lying()
    for serial in range(1, 9):
        gpa, size = chance.randrange(40), chance.randint(1, 12)
        history.allocate(serial, 0x1000 * serial, size, CONTIGUOUS, 0, physical=gpa)
        (row,) = (row for row in history.rows[-2:] if row["type"] == Type.ALLOCATE)
        made.append((row["sequence"], serial, gpa, size))
    return history, made


def latest(made: Lying, moment: int) -> Lying:
    """What was made before then, and over which nothing was made since."""
    found: Lying = []
    for one in made:
        _, _, gpa, size = one
        if one[0] < moment:
            found = [old for old in found if old[2] + old[3] <= gpa or gpa + size <= old[2]]
            found.append(one)
    return found


def first(made: Lying, gpa: int, size: int) -> int | None:
    """The serial of that which begins first, of those that share bytes."""
    shared = [(at, serial) for _, serial, at, long in made if at < gpa + size and gpa < at + long]
    return min(shared)[1] if shared else None


def serial(record: np.void | None) -> int | None:
    return None if record is None else int(record["serial"])


@pytest.mark.parametrize("seed", range(20))
def test_bytes_are_of_whoever_took_them_last(seed: int) -> None:
    history, made = lying(seed)
    lives = Lives(take_apart(history.records()))
    moments = range(1, made[-1][0] + 3)
    asked = [(moment, gpa, size) for moment in moments for gpa in range(45) for size in (1, 5)]
    found = [serial(one) for one in lives.at(asked)]
    assert found == [first(latest(made, moment), gpa, size) for moment, gpa, size in asked]


def test_what_is_around_is_the_first_whenever_it_was() -> None:
    history, lain = run(), Lying()
    for number in (4, 2, 1, 3, 5):
        history.allocate(number, 0x1000 * number, 8, CONTIGUOUS, 0, physical=10 * number)
        lain.append((0, number, 10 * number, 8))
    lives = Lives(take_apart(history.records()))
    for gpa in range(62):
        for size in (1, 2, 11):
            assert serial(lives.around(gpa, size)) == first(lain, gpa, size)


def test_live_memory_holds_what_lies_in_it_whole() -> None:
    history = run().allocate(1, 0x1000, 8, CONTIGUOUS, 0, physical=10)
    history.release(1, 0x1000, 8, CONTIGUOUS, 0)
    lives = Lives(take_apart(history.records()))
    (made,) = lives.at([(FOREVER, 10, 1)])
    assert made is not None
    released = lives.end(made)
    for gpa in range(8, 20):
        for size in range(1, 11):
            inside = gpa >= 10 and gpa + size <= 18
            assert lives.holds(released, made, gpa, size) is inside
            assert not lives.holds(released + 1, made, gpa, size)
    assert not lives.holds(released, None, 10, 1)


def test_only_what_is_kept_is_kept_until_it_goes_back() -> None:
    life = born()
    kept = life.acquire(Kind.SLAB, PAGE_OFFSET + 0x1000)
    gone = life.acquire(Kind.SLAB, PAGE_OFFSET + 0x2000)
    life.drop(kept, flags=int(Flag.KEPT)).drop(gone, flags=int(Flag.DEFERRED))
    released = life.rows[-2]["sequence"]
    life.phase(Phase.GOING).reclaim(kept)
    back = life.rows[-1]["sequence"]
    lives = Lives(take_apart(life.records()))
    ours, others = lives.at([(FOREVER, 0x1000, 1), (FOREVER, 0x2000, 1)])
    assert ours is not None
    assert others is not None
    for moment in range(released - 1, back + 2):
        assert lives.keeps(moment, ours) is (released < moment < back)
        assert not lives.keeps(moment, others)


def test_what_goes_back_twice_is_kept_until_the_first_time() -> None:
    life = born()
    life.drop(life.acquire(Kind.SLAB, PAGE_OFFSET + 0x1000), flags=int(Flag.KEPT)).reclaim(1)
    back = life.rows[-1]["sequence"]
    life.phase(Phase.GOING).taken(1)
    lives = Lives(take_apart(life.records()))
    (made,) = lives.at([(FOREVER, 0x1000, 1)])
    assert made is not None
    assert [lives.keeps(moment, made) for moment in (back - 1, back, back + 1)] == [
        *(back - 1 > lives.end(made), False, False)
    ]


def test_the_first_of_two_releases_is_the_end() -> None:
    history = run().allocate(1, 0x1000, 8, CONTIGUOUS, 0, physical=10)
    ends = []
    for _ in range(2):
        history.release(1, 0x1000, 8, CONTIGUOUS, 0, withheld=True)
        ends.append(history.rows[-1]["sequence"])
    lives = Lives(take_apart(history.records()))
    (made,) = lives.at([(FOREVER, 10, 1)])
    assert made is not None
    assert lives.end(made) == ends[0]


@pytest.mark.parametrize("kind", FAMILIES)
def test_bytes_are_only_of_what_lies_somewhere(kind: Kind) -> None:
    """A module's own structs and the like are no memory that a CPU may be given."""
    lies = {Kind.POOL, CONTIGUOUS, Kind.SLAB, Kind.PAGES, Kind.VMALLOC, Kind.KVMALLOC}
    for size in (1, 8):
        life = born()
        life.acquire(kind, 0x1000, size)
        life.rows[-1]["physical"] = 0x1000
        for made in Lives(take_apart(life.records())).at(
            [(FOREVER, 0xFF0, 64), (FOREVER, 0x1000, 1)]
        ):
            assert (made is not None) is (kind in lies)


def test_whoever_released_it_first_is_its_release() -> None:
    life = born()
    own = life.acquire(Kind.SLAB, PAGE_OFFSET + 0x1000)
    other = life.acquire(Kind.SLAB, PAGE_OFFSET + 0x2000)
    life.drop(own, flags=int(Flag.DEFERRED), site=5).taken(own, site=6)
    life.taken(other, site=6).drop(other, site=5)
    lives = Lives(take_apart(life.records()))
    made = lives.at([(FOREVER, 0x1000, 1), (FOREVER, 0x2000, 1)])
    sites = [int(record["site"]) for one in made if one and (record := lives.release(one))]
    assert sites == [5, 6]


@pytest.mark.parametrize(
    ("gpa", "size", "pages"),
    [
        (0x6000, 0x1000, range(0x401, 0x402)),
        (0x6800, 0x800, range(0x401, 0x402)),
        (0x6FFF, 2, range(0x401, 0x403)),
        (0x4000, 0x9000, range(0x400, 0x403)),
        (0x7FFF, 0x100, range(0x402, 0x403)),
    ],
)
def test_the_pages_with_bytes_of_an_allocation_are_the_l2s(
    gpa: int, size: int, pages: range
) -> None:
    """Three pages that begin at 0x400000 for the L2, of which an allocation has some."""
    history = run().allocate(1, 0x1000, size, CONTIGUOUS, 0, physical=gpa)
    history.bind(1, 0).operand(1, Structure.PAGE, 0x5000, 0x3000, pointer=0x40_0000)
    whole = take_apart(history.records())
    lives, (given,) = Lives(whole), given_to(whole)
    (made,) = lives.at([(given.start, gpa, size)])
    assert made is not None
    assert hardware._pages(given, made, lives) == pages


def test_of_vmallocs_memory_the_first_page_is_known() -> None:
    """The rest lies elsewhere; what ends in that page lies there as a whole."""
    for offset, size, there in ((0, PAGE, PAGE), (0, PAGE + 1, PAGE), (0x10, PAGE, PAGE - 0x10)):
        life = born()
        life.acquire(Kind.VMALLOC, 0xFFFF_C900_0000_0000 + offset, size)
        life.rows[-1]["physical"] = 0x5000 + offset
        lives = Lives(take_apart(life.records()))
        (made,) = lives.at([(FOREVER, 0x5000 + offset, 1)])
        assert made is not None
        assert lives.extent(made) == (0x5000 + offset, there)
        assert lives.scattered is (there < size)


def test_no_record_is_so_late_as_never() -> None:
    assert np.iinfo(RECORD["sequence"]).max < FOREVER


def test_an_allocation_has_no_more_bytes_than_have_an_address() -> None:
    """52 bits are the most that the manual has (5.3)."""
    for size in ((1 << 52) - 1, 1 << 52, (1 << 64) - 1):
        history = run().add(
            Type.ALLOCATE, serial=1, pointer=1, physical=0, size=size, kind=int(CONTIGUOUS)
        )
        lives = Lives(take_apart(history.records()))
        (made,) = lives.at([(FOREVER, 0, 1)])
        assert made is not None
        assert lives.extent(made) == (0, min(size, 1 << 52))


@pytest.mark.parametrize(
    ("pointer", "gpa"),
    [(PAGE_OFFSET + 0x10_0000, 0x10_0000), (0x10_0000, 0x10_0000), (0x10_0000, 0x10_4000)],
)
def test_objects_lie_where_the_map_has_them_in_which_pages_lie(pointer: int, gpa: int) -> None:
    """A ledger that lies may have it begin anywhere, below 0 as well."""
    life = born()
    life.acquire(Kind.PAGES, pointer, PAGE)
    life.rows[-1]["physical"] = gpa
    serials = [None, life.acquire(Kind.OBJECT, pointer + 0x8000), None]
    lives = Lives(take_apart(life.records()))
    asked = [(FOREVER, gpa + 0x8000 + by, 64) for by in (-64, 0, 64)]
    assert [serial(one) for one in lives.at(asked)] == serials


def operands(seed: int) -> list[Operand]:
    chance = random.Random(seed)
    record = np.zeros(1, RECORD)[0]
    given = []
    for start in sorted(chance.sample(range(1, 60), 12)):
        end, gpa, size = start + chance.randint(0, 30), chance.randrange(30), chance.randint(1, 9)
        owner = "vcpu", chance.randint(1, 3)
        where = Structure.VMCB, owner, 0, start, end, gpa, size
        given.append(Operand(record, *where, identity=False, foreign=False))
    return given


def share(one: Operand, gpa: int, size: int) -> bool:
    return one.gpa < gpa + size and gpa < one.gpa + one.size


@pytest.mark.parametrize("seed", range(20))
def test_what_is_in_use_at_a_moment_is_found_by_its_bytes(seed: int) -> None:
    """Of a number of two's power as well, which fill the tree."""
    given = operands(seed)[: (1, 2, 4, 8, 12)[seed % 5]]
    held = Held(given, lambda one: one.owner)
    moments = list(range(95))
    asked: Iterator[int] = during(given, [held], [(moment, moment) for moment in moments])
    for moment, expected in zip(asked, moments, strict=True):
        assert moment == expected
        # What begins at that very moment is not yet; what ends then is still.
        used = [one for one in given if one.start < moment <= one.end and one.start < one.end]
        for gpa in range(0, 40, 3):
            for but in (None, ("vcpu", 1), ("vcpu", 2)):
                found = held.other(gpa, 4, but)
                others = [one for one in used if one.owner != but and share(one, gpa, 4)]
                lowest = min((one.gpa for one in others), default=None)
                assert (None if found is None else found.gpa) == lowest
                assert found is None or found in others


@pytest.mark.parametrize("seed", range(40))
def test_what_two_owners_have_is_contested(seed: int) -> None:
    given = operands(seed)[: 3 + seed % 9]
    expected = [
        one
        for one in given
        if any(other.owner != one.owner and share(other, one.gpa, one.size) for other in given)
    ]
    assert contested(given, lambda one: one.owner) == expected

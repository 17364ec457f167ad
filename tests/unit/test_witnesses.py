"""Kernel and memory against the owner's account: each alone can contradict it."""

from itertools import product

import numpy as np
import pytest

from freeonce.audit import kernel
from freeonce.audit.audit import judge
from freeonce.audit.families import of_subjects
from freeonce.audit.memory import Memory, compare, wanted
from freeonce.audit.model import Account, Judgement, Rule, Verdict
from freeonce.audit.run import settled, take_apart
from freeonce.evidence.ledger import GUARD_BYTES, RECORD, Flag, Kind, Records, Type, Witness
from freeonce.evidence.snapshot import Extent, Snapshot
from tests.unit.history import PAGE, PAGE_OFFSET, History, run

POOL, CONTIGUOUS = Kind.POOL, Kind.CONTIGUOUS
A, B = 0xFFFF_8880_0000_1000, 0xFFFF_8880_0000_9000
GPA = 0x1000


def rules(judgement: Judgement) -> list[Rule]:
    return [one.rule for one in judgement.findings]


def detail(judgement: Judgement, rule: Rule = Rule.WITNESSES_DISAGREE) -> str:
    (finding,) = judgement.findings
    assert finding.rule is rule
    assert judgement.verdict is Verdict.FAULTY
    return finding.detail


def test_three_witnesses_that_agree_are_clean() -> None:
    judgement = run().allocate(1, A, physical=GPA).release(1, A).done()
    assert judgement.verdict is Verdict.CLEAN
    assert judgement.witnesses == dict.fromkeys(("ledger", "kernel", "memory"), Account.AGREE)


@pytest.mark.parametrize("kind", [POOL, CONTIGUOUS])
def test_memory_past_the_ledger_is_unledgered(kind: Kind) -> None:
    history = run().kernel(Type.ALLOCATE, pointer=A, size=PAGE, kind=int(kind))
    leaked = history.done()
    assert "allocated and never released" in detail(leaked, Rule.UNLEDGERED)
    history = run().kernel(Type.ALLOCATE, pointer=A, size=PAGE, kind=int(kind))
    history.kernel(Type.RELEASE, pointer=A, size=PAGE, kind=int(kind))
    released = history.done()
    assert "allocated and released" in detail(released, Rule.UNLEDGERED)
    assert released.findings[0].kind == kind.name.lower()
    assert released.witnesses["kernel"] is Account.DISAGREE


def test_a_release_of_what_nobody_allocated_is_unledgered() -> None:
    history = run().kernel(Type.RELEASE, pointer=A, size=PAGE, kind=int(CONTIGUOUS))
    assert "released past the ledger" in detail(history.done(), Rule.UNLEDGERED)


def test_what_the_kernel_alone_saw_is_of_no_allocation_and_told_once() -> None:
    (one,) = run().kernel(Type.RELEASE, pointer=A, kind=int(CONTIGUOUS)).done().findings
    assert (one.serial, one.cpu, one.allocated_site, one.released_site, one.count) == (
        0,
        0,
        0,
        0,
        1,
    )
    assert (one.at, one.what, one.size, one.gpa, one.total) == (None,) * 5


def test_an_allocation_that_the_kernel_never_made() -> None:
    history = run().allocate(1, A, physical=GPA, seen=False).release(1, A).end()
    history.add(Type.RECLAIM, serial=1, pointer=A).add(Type.SETTLED, detail=1)
    assert "that the kernel never made" in detail(history.judged())


def test_an_allocation_larger_than_the_kernel_made() -> None:
    history = run().kernel(Type.ALLOCATE, pointer=A, size=32, kind=int(POOL))
    history.allocate(1, A, physical=GPA, seen=False).release(1, A)
    assert "that the kernel never made" in detail(history.done())


@pytest.mark.parametrize(("size", "fits"), [(63, True), (64, True), (65, False)])
def test_an_allocation_ends_where_the_memory_ends_that_the_kernel_gave(
    size: int, fits: bool
) -> None:
    history = run().kernel(Type.ALLOCATE, pointer=A, size=80, kind=int(POOL))
    history.allocate(1, A + 16, size, seen=False)
    never = "the ledger has an allocation here that the kernel never made"
    assert (never in texts(history)) is not fits


def test_an_allocation_of_the_other_kind() -> None:
    history = run().kernel(Type.ALLOCATE, pointer=A, size=PAGE, kind=int(CONTIGUOUS))
    history.allocate(1, A, physical=GPA, seen=False).release(1, A)
    assert "another kind of memory" in detail(history.done())


@pytest.mark.parametrize("kind", [POOL, CONTIGUOUS])
def test_pool_memory_that_another_call_released_is_unledgered(kind: Kind) -> None:
    """A kfree() of pool memory, say. The module knows that the kernel has it, and gives no more."""
    history = run().allocate(1, A, PAGE, kind, 12, physical=GPA).text(Type.LABEL, "state", 1)
    history.text(Type.STEP, "kfree")
    history.kernel(Type.RELEASE, pointer=A, size=2 * PAGE, kind=int(kind), site=9)
    judgement = history.end().add(Type.SETTLED).judged(written={GPA: 1, GPA + PAGE: 1})
    assert "released past the ledger" in detail(judgement, Rule.UNLEDGERED)
    (one,) = judgement.findings
    assert (one.kind, one.what, one.at, one.site) == (kind.name.lower(), "state", "kfree", 9)
    assert judgement.witnesses["kernel"] is Account.DISAGREE


def test_that_its_attributes_are_restored_gives_nothing_back_to_the_kernel() -> None:
    history = run().allocate(1, A, kind=CONTIGUOUS, detail=1).release(1, A, kind=CONTIGUOUS)
    assert history.rows[-1]["type"] == Type.RESTORED
    history.kernel(Type.RELEASE, pointer=A, size=PAGE, kind=int(CONTIGUOUS))
    assert list(take_apart(history.end().settle().records()).past) == [0]


def test_the_first_of_two_releases_past_the_ledger_is_told() -> None:
    history = run().allocate(1, A).kernel(Type.RELEASE, pointer=A, kind=int(POOL))
    first = history.rows[-1]["sequence"]
    history.text(Type.STEP, "later").kernel(Type.RELEASE, pointer=A, kind=int(POOL))
    past = take_apart(history.end().settle().records()).past
    assert {index: int(one["sequence"]) for index, one in past.items()} == {0: first}


def test_kmalloc_memory_that_the_pool_was_given_is_two_faults() -> None:
    """The kmalloc() was not converted: a release of nothing, and memory that stays."""
    history = run().kernel(Type.ALLOCATE, pointer=A, size=64, kind=int(POOL))
    judgement = history.release(0, A, withheld=True).done()
    assert sorted(rules(judgement)) == sorted([Rule.INVALID_FREE, Rule.UNLEDGERED])


def test_a_release_that_never_reached_the_kernel() -> None:
    history = run().allocate(1, A, physical=GPA).release(1, A).end()
    history.add(Type.RECLAIM, serial=1, pointer=A, kind=int(POOL)).add(Type.SETTLED, detail=1)
    assert "the kernel never got it" in detail(history.judged())


def test_an_allocation_never_given_back() -> None:
    history = run().allocate(1, A, physical=GPA).release(1, A).end().add(Type.SETTLED)
    assert "never gave it back" in detail(history.judged())


def test_pages_may_go_back_one_by_one() -> None:
    history = run().kernel(Type.ALLOCATE, pointer=A, size=2 * PAGE, kind=int(CONTIGUOUS))
    history.allocate(1, A, PAGE, CONTIGUOUS, 12, physical=GPA, detail=6, seen=False)
    history.release(1, A, PAGE, CONTIGUOUS, 12).end()
    history.add(Type.RECLAIM, serial=1, pointer=A, kind=int(CONTIGUOUS))
    for page in (A, A + PAGE):
        history.kernel(Type.RELEASE, pointer=page, size=PAGE, kind=int(CONTIGUOUS))
    assert history.add(Type.SETTLED, detail=1).judged().verdict is Verdict.CLEAN


def test_one_page_that_stays_is_found() -> None:
    history = run().kernel(Type.ALLOCATE, pointer=A, size=2 * PAGE, kind=int(CONTIGUOUS))
    history.allocate(1, A, PAGE, CONTIGUOUS, 12, physical=GPA, detail=6, seen=False)
    history.release(1, A, PAGE, CONTIGUOUS, 12).end()
    history.add(Type.RECLAIM, serial=1, pointer=A, kind=int(CONTIGUOUS))
    history.kernel(Type.RELEASE, pointer=A, size=PAGE, kind=int(CONTIGUOUS))
    assert "the kernel never got it" in detail(history.add(Type.SETTLED, detail=1).judged())


def test_pages_taken_by_number_are_only_seen_to_go() -> None:
    history = run().allocate(1, A, PAGE, CONTIGUOUS, 12, physical=GPA, detail=6, seen=False)
    history.rows[-2]["flags"] = int(Flag.RANGE)
    history.release(1, A, PAGE, CONTIGUOUS, 12).end()
    history.add(Type.RECLAIM, serial=1, pointer=A, kind=int(CONTIGUOUS))
    for page in (A, A + PAGE):
        history.kernel(Type.RELEASE, pointer=page, size=PAGE, kind=int(CONTIGUOUS))
    assert history.add(Type.SETTLED, detail=1).judged().verdict is Verdict.CLEAN


def test_a_large_kmalloc_hands_its_pages_on() -> None:
    history = run().allocate(1, A, 4 * PAGE, physical=GPA).release(1, A, 4 * PAGE).end().settle()
    settled = history.rows.pop()
    history.kernel(Type.RELEASE, pointer=A, size=8 * PAGE, kind=int(CONTIGUOUS))
    settled["sequence"] = len(history.rows) + 1
    history.rows.append(settled)
    assert history.judged().verdict is Verdict.CLEAN


@pytest.mark.parametrize("kind", [POOL, CONTIGUOUS])
@pytest.mark.parametrize("offset", [0, 8, 63])
def test_a_write_into_released_memory_is_use_after_free(kind: Kind, offset: int) -> None:
    history = run().allocate(1, A, kind=kind, physical=GPA).release(1, A, kind=kind).end().settle()
    judgement = history.judged(written={GPA + offset: 1})
    assert detail(judgement, Rule.USE_AFTER_FREE) == f"written at byte {offset} after its release"
    assert judgement.findings[0].kind == kind.name.lower()


def test_a_write_into_live_memory_is_its_owners_business() -> None:
    history = run().allocate(1, A, physical=GPA).end().settle()
    assert rules(history.judged(written={GPA + 8: 1})) == [Rule.LEAK]


@pytest.mark.parametrize("offset", [0, 3, 4, 8, GUARD_BYTES - 1])
def test_a_write_behind_the_end_is_out_of_bounds(offset: int) -> None:
    history = run().allocate(1, A, physical=GPA).release(1, A).end().settle()
    judgement = history.judged(written={GPA + 64 + offset: 0x42})
    assert f"at byte {offset} behind its end" in detail(judgement, Rule.OUT_OF_BOUNDS)


@pytest.mark.parametrize("offset", [GUARD_BYTES, 200, 4096 - 64 - 1])
@pytest.mark.parametrize("released", [True, False])
def test_the_rest_of_the_last_page_of_contiguous_memory_is_watched(
    offset: int, released: bool
) -> None:
    history = run().allocate(1, A, 64, Kind.CONTIGUOUS, physical=GPA, detail=6)
    if released:
        history.release(1, A, 64, Kind.CONTIGUOUS)
    judgement = history.end().settle().judged(written={GPA + 64 + offset: 0x42})
    (found,) = (one for one in judgement.findings if one.rule is Rule.OUT_OF_BOUNDS)
    assert found.detail == f"written at byte {offset} behind its end, found at the end"


def test_of_several_bytes_that_were_written_the_first_is_told() -> None:
    history = run().allocate(1, A, 64, CONTIGUOUS, physical=GPA, detail=6)
    history.release(1, A, 64, CONTIGUOUS).end().settle()
    inside, behind = ({GPA + offset: 0x42, GPA + offset + 8: 0x42} for offset in (3, 100))
    assert detail(history.judged(inside), Rule.USE_AFTER_FREE) == (
        "written at byte 3 after its release"
    )
    assert detail(history.judged(behind), Rule.OUT_OF_BOUNDS) == (
        "written at byte 36 behind its end, found at the end"
    )


def test_what_a_release_found_on_the_rest_of_the_page_is_out_of_bounds() -> None:
    history = run().allocate(1, A, 64, Kind.CONTIGUOUS, physical=GPA, detail=6)
    history.release(1, A, 64, Kind.CONTIGUOUS)
    history.rows[-1]["detail"] = 96
    assert detail(history.done(), Rule.OUT_OF_BOUNDS) == (
        "written at byte 96 behind its end, found at its release"
    )


def test_a_write_behind_the_end_of_a_leak_is_both() -> None:
    history = run().allocate(1, A, physical=GPA).end().settle()
    judgement = history.judged(written={GPA + 64: 1})
    assert sorted(rules(judgement)) == sorted([Rule.LEAK, Rule.OUT_OF_BOUNDS])


def test_a_guard_found_broken_at_release_is_out_of_bounds() -> None:
    history = run().allocate(1, A, physical=GPA).release(1, A)
    history.rows[-1]["physical"] ^= 1
    judgement = history.done()
    assert detail(judgement, Rule.OUT_OF_BOUNDS) == (
        "written at byte 8 behind its end, found at its release"
    )


def test_a_release_whose_guard_was_not_told_once_disagrees() -> None:
    """The module writes the guard anew there: what it was before is known from this only."""
    silent = run().allocate(1, A, physical=GPA).release(1, A)
    silent.rows.pop()
    assert "recorded 0 times" in detail(silent.done())
    twice = run().allocate(1, A, physical=GPA).release(1, A)
    row = dict(twice.rows[-1], sequence=len(twice.rows) + 1)
    twice.rows.append(row)
    assert "recorded 2 times" in detail(twice.done())


def test_memory_that_was_not_read_from_its_first_byte_on_disagrees() -> None:
    history = run().allocate(1, A, physical=GPA).release(1, A).end().settle()
    for missing in (1, 64):
        rest = Snapshot([(GPA + missing, history.blocks[0].memory()[missing:])])
        judgement = judge(history.records(), Memory(rest, history.memory().gpas))
        assert "where no memory is" in detail(judgement)


@pytest.mark.parametrize(
    ("kind", "size", "rest"),
    [
        (POOL, 64, 0),
        (CONTIGUOUS, 64, PAGE - 64 - GUARD_BYTES),
        (CONTIGUOUS, PAGE - GUARD_BYTES, 0),
        (CONTIGUOUS, PAGE - GUARD_BYTES + 1, PAGE - 1),
    ],
)
def test_of_live_memory_what_lies_behind_is_read_and_of_released_memory_all(
    kind: Kind, size: int, rest: int
) -> None:
    for released, withheld in ((False, False), (True, True), (True, False)):
        history = run().allocate(1, A, size, kind, physical=GPA)
        if released:
            history.release(1, A, size, kind, withheld=withheld)
        asked_for = wanted(take_apart(history.records()), PAGE_OFFSET)
        start = GPA if released and not withheld else GPA + size
        assert asked_for.extents == [Extent(start, GPA + size + GUARD_BYTES + rest - start)]
        assert asked_for.gvas == [A, A + size + GUARD_BYTES - 1]
        assert asked_for.unread == 0


def test_memory_of_which_the_rest_of_the_page_was_not_read_disagrees() -> None:
    history = run().allocate(1, A, kind=CONTIGUOUS, physical=GPA).end().settle()
    for read, there in ((PAGE, True), (PAGE - 1, False)):
        part = Snapshot([(GPA, history.blocks[0].memory()[:read])])
        _, disputes = compare(take_apart(history.records()), Memory(part, history.memory().gpas))
        assert (disputes == []) is there


def test_the_last_byte_of_an_allocation_is_looked_up_as_the_first_is() -> None:
    last = 64 + GUARD_BYTES - 1
    for at in (0, last):
        history = run().allocate(1, A, physical=GPA).release(1, A).end().settle()
        memory = history.memory()
        memory.gpas[A + at] = 0x7000
        assert detail(judge(history.records(), memory)).startswith(
            f"the ledger puts it at gpa {GPA + at:#x}, the guest's page tables at 0x7000"
        )


def broken_behind(history: History) -> list[int]:
    """The serials of those found broken behind their end, with allocation 2 broken there."""
    found, _ = compare(take_apart(history.records()), history.memory(written={GPA + PAGE + 64: 1}))
    return [one.serial for one in found if one.rule is Rule.OUT_OF_BOUNDS]


def two() -> History:
    return run().allocate(1, A, physical=GPA).allocate(2, B, physical=GPA + PAGE)


def test_what_is_not_known_of_one_allocation_is_known_of_the_next() -> None:
    real = two().release(1, A).end()
    real.rows[0]["flags"] = int(Flag.REAL)
    past = two().kernel(Type.RELEASE, pointer=A, kind=int(POOL)).end()
    late = two().end().release(1, A)
    elsewhere = two().release(1, A).end()
    elsewhere.blocks[0].mapped = 0x7000
    assert [broken_behind(one) for one in (real, past, late, elsewhere)] == [[2]] * 4


def test_of_more_memory_than_is_read_nobody_says_that_it_is_not_there() -> None:
    history = run().allocate(1, A, physical=GPA).release(1, A).end().settle()
    memory = Memory(Snapshot(), history.memory().gpas, unread=1)
    assert compare(take_apart(history.records()), memory) == ([], [])


def test_released_by_the_ledger_and_live_in_memory() -> None:
    history = run().allocate(1, A, physical=GPA).release(1, A).end().settle()
    history.blocks[0].released = False
    assert "says it is released, its guard in memory says live" in detail(history.judged())


def test_live_by_the_ledger_and_released_in_memory() -> None:
    history = run().allocate(1, A, physical=GPA).end().settle()
    history.blocks[0].released = True
    assert "says it is live, its guard in memory says released" in detail(history.judged())


@pytest.mark.parametrize(("mapped", "words"), [(None, "at nothing"), (0x7000, "at 0x7000")])
def test_an_address_that_is_mapped_elsewhere(mapped: int | None, words: str) -> None:
    history = run().allocate(1, A, physical=GPA).release(1, A).end().settle()
    history.blocks[0].mapped = mapped
    assert words in detail(history.judged())


def test_memory_that_was_not_there_to_read() -> None:
    history = run().allocate(1, A, physical=GPA).release(1, A).end().settle()
    memory = history.memory()
    judgement = judge(history.records(), Memory(Snapshot(), memory.gpas))
    assert "where no memory is" in detail(judgement)


@pytest.mark.parametrize(
    ("what", "about", "only"),
    [
        (Type.RECLAIM, {"kind": int(POOL), "serial": 1, "pointer": A}, True),
        (Type.RECLAIM, {"kind": int(Kind.NONE), "serial": 1, "pointer": A}, False),
        (Type.SETTLED, {"kind": int(Kind.NONE)}, True),
        (Type.STEP, {"kind": int(Kind.NONE)}, False),
        (Type.RELEASE, {"kind": int(POOL), "serial": 1, "pointer": A}, False),
        (Type.RELEASE, {"witness": int(Witness.KERNEL), "kind": int(POOL), "pointer": A}, True),
        (
            *(Type.RELEASE, {"witness": int(Witness.KERNEL), "kind": int(Kind.SLAB), "serial": 1}),
            False,
        ),
    ],
)
def test_only_what_settles_a_run_leaves_its_pairs_as_they_are(
    what: Type, about: dict[str, int], only: bool
) -> None:
    history = run().allocate(1, A).release(1, A).end()
    ended = len(history.rows)
    history.rows.append(history.rows[-1] | {"type": int(what), "size": 0, "detail": 0} | about)
    records = history.add(Type.SETTLED).records()
    done = settled(take_apart(records[:ended]), records[ended:])
    assert (done is not None) is only
    if done is not None:
        assert done.records.tolist() == take_apart(records).records.tolist()
    assert settled(take_apart(records[: ended - 1]), records[ended:]) is None


def past_the_ledger(history: History) -> list[tuple[int | None, str]]:
    """Where the kernel saw what the ledger does not tell, and what."""
    findings, _ = kernel.compare(history.records())
    return [(one.pointer, one.detail.partition(" past")[0]) for one in findings]


@pytest.mark.parametrize(
    ("pointer", "flags", "found"),
    [
        (A, 0, True),
        (A, int(Flag.TAIL), True),
        (A - 8, int(Flag.TAIL), False),
        (A + 8, int(Flag.TAIL), False),
        (B, int(Flag.TAIL), False),
        (B, 0, True),
    ],
)
def test_a_function_of_the_kernels_may_end_with_a_kfree_of_its_own_memory(
    pointer: int, flags: int, found: bool
) -> None:
    """Called by ours (flags 32); of an address that our ledger has it is our memory."""
    history = run().allocate(1, A).kernel(Type.RELEASE, pointer=A, kind=int(POOL))
    history.kernel(Type.RELEASE, pointer=pointer, kind=int(POOL), flags=flags)
    assert past_the_ledger(history) == ([(pointer, "released")] if found else [])


@pytest.mark.parametrize(("size", "handed_on"), [(64, False), (PAGE - 1, False), (PAGE, True)])
def test_only_memory_of_whole_pages_hands_them_on_and_once(size: int, handed_on: bool) -> None:
    history = run().kernel(Type.ALLOCATE, pointer=A, size=size, kind=int(POOL))
    history.kernel(Type.RELEASE, pointer=A, kind=int(POOL))
    for _ in range(2):
        history.kernel(Type.RELEASE, pointer=A, size=PAGE, kind=int(CONTIGUOUS))
    strays = [one for one in past_the_ledger(history) if one[1] == "released"]
    assert strays == [(A, "released")] * (1 if handed_on else 2)


@pytest.mark.parametrize(
    ("pointer", "kind"), [(A, POOL), (A + PAGE, CONTIGUOUS), (A + 8, CONTIGUOUS)]
)
def test_pages_are_handed_on_where_they_begin_and_as_pages(pointer: int, kind: Kind) -> None:
    history = run().kernel(Type.ALLOCATE, pointer=A, size=2 * PAGE, kind=int(POOL))
    history.kernel(Type.RELEASE, pointer=A, kind=int(POOL))
    history.kernel(Type.RELEASE, pointer=pointer, size=PAGE, kind=int(kind))
    assert (pointer, "released") in past_the_ledger(history)


def test_inside_of_slab_memory_nothing_is_released() -> None:
    history = run().kernel(Type.ALLOCATE, pointer=A, size=64, kind=int(POOL))
    history.kernel(Type.RELEASE, pointer=A + 8, kind=int(POOL))
    assert past_the_ledger(history) == [
        (A + 8, "released"),
        (A, "allocated and never released"),
    ]


def texts(history: History) -> list[str]:
    """Where the ledger and the kernel speak of the same and differ."""
    return [one.text for one in kernel.compare(history.records())[1]]


@pytest.mark.parametrize(
    ("what", "fields", "speaks"),
    [
        (Type.RELEASE, {"pointer": A - 1, "serial": 1}, False),
        (Type.RELEASE, {"pointer": A, "serial": 1}, True),
        (Type.RELEASE, {"pointer": A + 63, "serial": 1}, True),
        (Type.RELEASE, {"pointer": A + 64, "serial": 1}, False),
        (Type.RELEASE, {"pointer": A}, False),
        (Type.RESTORED, {"pointer": A, "serial": 1}, False),
    ],
)
def test_what_the_ledger_says_to_have_had_is_not_past_it(
    what: Type, fields: dict[str, int], speaks: bool
) -> None:
    history = run().kernel(Type.ALLOCATE, pointer=A, size=64, kind=int(POOL))
    history.add(what, kind=int(POOL), **fields)
    past = [] if speaks else [(A, "allocated and never released")]
    disputed = ["the kernel made an allocation here that is not in the ledger"] if speaks else []
    assert (past_the_ledger(history), texts(history)) == (past, disputed)


@pytest.mark.parametrize(
    ("serial", "pointer", "had"), [(1, A, True), (1, A + 8, False), (2, A, False)]
)
def test_the_ledger_gives_back_only_what_it_has(serial: int, pointer: int, had: bool) -> None:
    history = run().allocate(1, A)
    history.add(Type.RECLAIM, serial=serial, pointer=pointer, kind=int(POOL))
    words = "the ledger gives back an allocation that it never had"
    assert texts(history) == ([] if had else [words])


@pytest.mark.parametrize(("size", "whole"), [(PAGE - 1, False), (PAGE, True), (PAGE + 1, True)])
def test_memory_is_back_when_all_of_it_is(size: int, whole: bool) -> None:
    history = run().kernel(Type.ALLOCATE, pointer=A, size=PAGE, kind=int(CONTIGUOUS))
    history.kernel(Type.RELEASE, pointer=A, size=size, kind=int(CONTIGUOUS))
    released = "released" if whole else "never released"
    assert past_the_ledger(history) == [(A, f"allocated and {released}")]


@pytest.mark.parametrize(
    ("offset", "size", "pages"),
    [
        (0, PAGE - GUARD_BYTES, 1),
        (0, PAGE - GUARD_BYTES + 1, 2),
        (8, 64, 1),
    ],
)
def test_pages_taken_by_number_are_whole_ones(offset: int, size: int, pages: int) -> None:
    """As many as size and guard need, from the beginning of that in which it begins."""
    for given in (pages - 1, pages):
        history = run().allocate(1, A + offset, size, CONTIGUOUS, 12, physical=GPA, seen=False)
        history.rows[-2]["flags"] = int(Flag.RANGE)
        history.add(Type.RECLAIM, serial=1, pointer=A + offset, kind=int(CONTIGUOUS))
        for page in range(given):
            pointer = A + page * PAGE
            history.kernel(Type.RELEASE, pointer=pointer, size=PAGE, kind=int(CONTIGUOUS))
        stays = ["the ledger gave it back; the kernel never got it"]
        assert texts(history.add(Type.SETTLED)) == ([] if given == pages else stays)


def test_two_allocations_of_the_ledger_where_the_kernel_made_one_disagree() -> None:
    history = run().allocate(1, A, 128).allocate(2, A + 64, seen=False)
    assert texts(history) == ["the ledger has two allocations where the kernel made one"]


Row = tuple[Type, dict[str, int]]


def test_probes_are_all_there_when_a_run_begins() -> None:
    """15 of them (guest/LEDGER.md)."""
    on = {"witness": int(Witness.KERNEL), "detail": 0x7FFF}
    begin: Row = (Type.BEGIN, {})
    step: Row = (Type.STEP, on)
    told: list[tuple[bool, tuple[Row, ...]]] = [
        (True, (begin, (Type.WITNESS_ON, on), step)),
        (True, (begin, (Type.WITNESS_ON, on | {"detail": 0xFFFF}))),
        (False, (begin, step)),
        (False, (begin, step, (Type.WITNESS_ON, on))),
        (False, (step, (Type.WITNESS_ON, on))),
        (False, (begin, (Type.WITNESS_ON, on), (Type.WITNESS_ON, on))),
        (False, (begin, (Type.WITNESS_ON, on | {"witness": int(Witness.LEDGER)}))),
        *(
            (False, (begin, (Type.WITNESS_ON, on | {"detail": 0x7FFF & ~(1 << probe)})))
            for probe in range(15)
        ),
    ]
    for there, rows in told:
        history = History()
        for what, fields in rows:
            history.add(what, **fields)
        assert kernel.attached(history.records()) is there


BLOCKS = ((10, 5), (15, 0), (20, 1), (30, 4))
"""Where the kernel gave out how many bytes."""


def test_open_blocks_are_found_by_their_bytes() -> None:
    """No bytes at all lie where they begin."""
    walk, record = kernel.Walk(), np.zeros(1, RECORD)[0]
    for start, size in BLOCKS:
        walk.add(kernel.Block(record, start, size))
    left = list(BLOCKS)
    while True:
        for pointer, size in product(range(8, 40), range(25)):
            touched = [
                start
                for start, room in left
                if start < pointer + max(size, 1) and pointer < start + max(room, 1)
            ]
            assert [one.start for one in walk.overlapping(pointer, size)] == touched
            inside = [start for start, room in left if start <= pointer < start + room]
            holding = walk.holding(pointer)
            assert ([] if holding is None else [holding.start]) == inside
        if not left:
            break
        start, _ = left.pop(len(left) // 2)
        walk.close(walk.open[start])


def agree(history: History) -> bool:
    return kernel._plainly_agree(history.end().settle().records())


def test_what_plainly_agrees_needs_no_walk() -> None:
    assert agree(run())
    assert agree(run().allocate(1, A).release(1, A).allocate(2, B))
    many = run()
    for serial in range(1, 7):
        many.allocate(serial, A + 16 * PAGE * (serial % 4) + PAGE * serial)
    assert agree(many)


@pytest.mark.parametrize("lost", range(20))
def test_the_short_way_never_sees_less_than_the_walk(
    lost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever record is missing or moved, both ways come to the same."""
    history = run().allocate(1, A).release(1, A).allocate(2, B, kind=CONTIGUOUS).end().settle()
    records = history.records()
    if lost < len(records):
        records = np.delete(records, lost)
    short = kernel.compare(records)
    monkeypatch.setattr(kernel, "_plainly_agree", lambda _: False)
    walked = kernel.compare(records)
    assert [one.rule for one in short[0]] == [one.rule for one in walked[0]]
    assert [one.text for one in short[1]] == [one.text for one in walked[1]]


@pytest.mark.parametrize("field", ["pointer", "size", "kind", "serial", "type", "witness"])
def test_what_is_told_otherwise_is_plain_only_where_the_walk_is_silent(
    field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = run().allocate(1, A, 5000, CONTIGUOUS).allocate(2, B, 96)
    records = history.allocate(3, A + 16 * PAGE).end().settle().records()
    assert _told_plainly(records)
    most = np.iinfo(RECORD[field]).max
    changed = []
    for index, own in enumerate(records[field].tolist()):
        # Of a type that there is not no ledger is judged.
        near = set() if field == "type" else {own + by for by in (-PAGE, -8, -1, 1, 8, PAGE)}
        for other in near.union(records[field].tolist()):
            if 0 <= other <= most:
                changed.append(records.copy())
                changed[-1][index][field] = other
    plain = [one for one in changed if _told_plainly(one)]
    monkeypatch.setattr(kernel, "_plainly_agree", lambda _: False)
    # The kernel gives nothing back to itself: such a record makes a run incomplete elsewhere.
    by_kernel = (Type.RECLAIM, Witness.KERNEL)
    plain = [one for one in plain if by_kernel not in one[["type", "witness"]].tolist()]
    assert all(kernel.compare(one) == ([], []) for one in plain)


@pytest.mark.parametrize("first", [1, 4])
def test_what_is_told_in_another_order_is_plain_only_where_the_walk_is_silent(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever goes back first."""
    history = run().allocate(1, A).allocate(2, B, kind=CONTIGUOUS)
    history.allocate(3, A + 16 * PAGE, 2 * PAGE).allocate(4, A - 16 * PAGE).end()
    history.blocks.sort(key=lambda one: abs(one.serial - first))
    records = history.settle().records()
    assert _told_plainly(records)
    orders = (list(range(len(records))) for _ in range(len(records) ** 2))
    changed = []
    for order, (one, other) in zip(orders, product(range(len(records)), repeat=2), strict=True):
        order.insert(other, order.pop(one))
        changed.append(records[order])
    plain = [one for one in changed if _told_plainly(one)]
    monkeypatch.setattr(kernel, "_plainly_agree", lambda _: False)
    assert all(kernel.compare(one) == ([], []) for one in plain)


@pytest.mark.parametrize(
    "blocks",
    [
        ((A, 0), (A, 0), (B, 0)),
        ((A, 0), (B, 0), (B, 0)),
        ((A, 64), (A + 63, 64), (B, 64)),
        ((A, 64), (B, 64), (B + 63, 64)),
        ((A, 64), (B, 128), (B + 64, 64)),
    ],
)
def test_what_lies_over_each_other_is_not_plain(blocks: tuple[tuple[int, int], ...]) -> None:
    history = run()
    for serial, (pointer, size) in enumerate(blocks, start=1):
        history.kernel(Type.ALLOCATE, pointer=pointer, size=size, kind=int(POOL))
        history.add(Type.ALLOCATE, serial=serial, pointer=pointer, size=size, kind=int(POOL))
    for serial, (pointer, _) in enumerate(blocks, start=1):
        history.add(Type.RECLAIM, serial=serial, pointer=pointer, kind=int(POOL))
        history.kernel(Type.RELEASE, pointer=pointer, kind=int(POOL))
    assert not _told_plainly(history.records())
    assert texts(history)


def _told_plainly(records: Records) -> bool:
    return kernel._plainly_agree(records[~of_subjects(records["kind"])])


@pytest.mark.parametrize("start", [A - PAGE, A, A + PAGE, A + 3 * PAGE])
def test_pages_by_number_that_somebody_has_disagree(start: int) -> None:
    """Two open blocks at one address were one in the books, and the second release a crash."""
    history = run().kernel(Type.ALLOCATE, pointer=A, size=4 * PAGE, kind=int(CONTIGUOUS))
    history.allocate(1, start, PAGE + 1, CONTIGUOUS, 12, physical=GPA, detail=6, seen=False)
    history.rows[-2]["flags"] = int(Flag.RANGE)
    for _ in range(2):
        history.kernel(Type.RELEASE, pointer=A, size=4 * PAGE, kind=int(CONTIGUOUS))
    judgement = history.done()
    assert Rule.WITNESSES_DISAGREE in rules(judgement)
    assert judgement.verdict is Verdict.FAULTY


@pytest.mark.parametrize("start", [A - PAGE, A, A + PAGE, A + 3 * PAGE])
def test_memory_that_the_kernel_gave_out_twice_disagrees(start: int) -> None:
    history = run()
    for pointer, pages in ((A, 4), (start, 2)):
        history.kernel(Type.ALLOCATE, pointer=pointer, size=pages * PAGE, kind=int(CONTIGUOUS))
    _, disputes = kernel.compare(history.end().settle().records())
    assert [one.text for one in disputes] == [
        "the kernel gave out an address that was not released to it"
    ]

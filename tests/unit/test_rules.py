"""What the rules say where they find something: of which record, in which words, and where not."""

import pytest

from freeonce.audit.model import Finding, Rule
from freeonce.audit.rules import (
    _suspects,
    broken,
    double_frees,
    invalid_frees,
    leaks,
    mismatched_frees,
    misplaced,
    null_frees,
    past_the_ledger,
    reasons,
    unwithheld,
    wrong_size_frees,
)
from freeonce.audit.run import take_apart
from freeonce.evidence.ledger import Broken, Flag, Kind, Type
from tests.unit.history import PAGE, PAGE_OFFSET, History, born, run

A, B, C = (PAGE_OFFSET + 0x10_0000 * number for number in (1, 2, 3))
POOL, CONTIGUOUS = Kind.POOL, Kind.CONTIGUOUS
KEPT, WITHHELD, DEFERRED = int(Flag.KEPT), int(Flag.WITHHELD), int(Flag.DEFERRED)
POISON = 0x6B6B_6B6B_6B6B_6B6B
WRITE_COMBINED = 1


def test_a_finding_about_no_allocation_names_none() -> None:
    history = run().release(0, 0, withheld=True)
    history.rows[-1].update(site=7, cpu=3)
    (one,) = null_frees(take_apart(history.records()))
    assert (one.serial, one.size, one.site, one.allocated_site, one.released_site) == (
        *(0, None, 7, 0, 0),
    )
    assert (one.pointer, one.cpu, one.sequence) == (0, 3, len(history.rows))


def test_a_finding_names_where_its_allocation_was_made() -> None:
    life = born()
    life.drop(life.acquire(Kind.SLAB, A, size=96, site=5), kind=Kind.VMALLOC, flags=WITHHELD)
    (one,) = life.whole().findings
    assert (one.site, one.allocated_site, one.size) == (2, 5, 96)


@pytest.mark.parametrize(
    ("pointer", "words"),
    [
        (POISON, "it is our own poison"),
        (POISON + 0xFFFF, "it is our own poison"),
        (POISON - 0xFFFF, "it is our own poison"),
        (POISON + 0x1_0000, ""),
        (POISON - 0x1_0000, ""),
        ((1 << 64) - 1, "it is the error -1 (EPERM)"),
        ((1 << 64) - 4095, "it is the error -4095 (unknown)"),
        ((1 << 64) - 4096, ""),
    ],
)
def test_a_pointer_near_poison_or_that_is_an_error_says_so(pointer: int, words: str) -> None:
    (one,) = invalid_frees(take_apart(run().release(0, pointer, withheld=True).records()))
    assert one.detail.startswith("never allocated")
    assert words in one.detail
    assert words or one.detail == "never allocated"


def test_each_release_by_the_kernel_is_held_against_its_own_owners() -> None:
    """The first was the kernel's alone, the second its owner's later, the third its owner's."""
    life = born()
    for pointer in (A, B, C):
        life.acquire(Kind.SLAB, pointer)
    life.taken(1).taken(2).drop(2, flags=WITHHELD).drop(3, flags=KEPT).taken(3)
    found = [(one.serial, one.detail) for one in double_frees(take_apart(life.records()))]
    assert found == [(2, ""), (3, "by the kernel")]


def test_what_a_deferred_release_leaves_to_the_kernel_is_no_second_one() -> None:
    for flags, again in ((DEFERRED, False), (KEPT, True), (0, True)):
        life = born()
        life.drop(life.acquire(Kind.SLAB, A), flags=flags).taken(1)
        assert len(double_frees(take_apart(life.records()))) == again


@pytest.mark.parametrize(
    ("kind", "size", "told", "words"),
    [
        (POOL, 64, 32, "as 32 bytes aligned to 8, allocated as 64 bytes aligned to 8"),
        (Kind.PAGES, 2 * PAGE, PAGE, "as 4096 bytes, allocated as 8192 bytes"),
        (Kind.PAGES, 2 * PAGE, 2 * PAGE + 1, "as 8193 bytes, allocated as 8192 bytes"),
        (Kind.PAGES, 2 * PAGE, PAGE + 1, ""),
        (Kind.SLAB, 64, 32, ""),
    ],
)
def test_another_size_is_told_by_both(kind: Kind, size: int, told: int, words: str) -> None:
    if kind is POOL:
        history: History = run().allocate(1, A, size).release(1, A, told)
    else:
        life = born()
        history = life.drop(life.acquire(kind, A, size), size=told)
    found = wrong_size_frees(take_apart(history.records()))
    assert [one.detail for one in found] == ([words] if words else [])


@pytest.mark.parametrize("made", [0, int(Flag.EXACT)])
@pytest.mark.parametrize("gone", [0, int(Flag.EXACT)])
@pytest.mark.parametrize("pages", [1, 2])
def test_two_single_pages_are_no_block(made: int, gone: int, pages: int) -> None:
    life = born()
    serial = life.acquire(Kind.PAGES, A, pages * PAGE, flags=made)
    found = mismatched_frees(take_apart(life.drop(serial, flags=gone).records()))
    assert len(found) == (made != gone and pages > 1)


@pytest.mark.parametrize("cache", [0, WRITE_COMBINED, 6, 7])
@pytest.mark.parametrize("named", [0, WRITE_COMBINED, 6, 7])
def test_contiguous_memory_is_released_as_the_cache_type_that_was_asked_for(
    cache: int, named: int
) -> None:
    history = run().allocate(1, A, PAGE, CONTIGUOUS, 12, detail=cache)
    history.rows[-1]["detail"] |= 3 << 8  # the node
    history.release(1, A, PAGE, CONTIGUOUS, 12, named=named + 1)
    assert len(mismatched_frees(take_apart(history.records()))) == (cache != named)


def test_what_was_found_broken_of_nobody_hides_nothing() -> None:
    """Neither of a serial that there is not, nor in a way that there is not."""
    life = born()
    for pointer in (A, B):
        life.acquire(Kind.SLAB, pointer)
    behind = int(Broken.BEHIND)
    life.add(Type.BROKEN, serial=9, detail=behind, pointer=A + 64, physical=1)
    life.add(Type.BROKEN, serial=1, detail=9, pointer=A + 64, physical=1)
    life.add(Type.BROKEN, serial=2, detail=behind, pointer=B + 65, physical=1, size=0x42)
    (one,) = broken(take_apart(life.records()))
    assert (one.serial, one.sequence) == (2, len(life.rows))
    assert one.detail == (
        "written at byte 1 behind its end "
        "(1 wrong byte, from the first on: 42 00 00 00 00 00 00 00)"
    )


@pytest.mark.parametrize(
    ("pointer", "align_log2", "words"),
    [
        (1 << 63, 63, None),
        (1 << 62, 63, f"{1 << 62:#x} is not aligned to {1 << 63}"),
        (1 << 63 | 8, 63, f"{1 << 63 | 8:#x} is not aligned to {1 << 63}"),
        (1 << 63, 64, "alignment is no power of two"),
        (A | 8, 3, None),
        (A | 8, 4, f"{A | 8:#x} is not aligned to 16"),
        (A | 1, 0, None),
        (A | 1, 1, f"{A | 1:#x} is not aligned to 2"),
    ],
)
def test_memory_lies_at_a_multiple_of_its_alignment(
    pointer: int, align_log2: int, words: str | None
) -> None:
    run_ = take_apart(run().allocate(1, pointer, align_log2=align_log2).records())
    assert [one.detail for one in misplaced(run_)] == ([] if words is None else [words])
    # Of what lies as it should, and there may be millions of it, none is looked at more closely.
    assert _suspects(run_.allocates).tolist() == [words is not None]


def test_all_that_is_wrong_with_a_place_is_told_at_once() -> None:
    history = run().allocate(1, A, PAGE, CONTIGUOUS, 13, physical=0x1000, detail=6 | 2 << 8)
    history.rows[-1].update(pointer=0x2000, physical=0x2FFF, size=0x800, detail=1 | 1 << 8)
    (one,) = misplaced(take_apart(history.records()))
    assert one.detail.split("; ") == [
        "0x1000 is not aligned to 8192",
        "0x1000..0x1fff is not inside 0x2000..0x2fff",
        "0x1000..0x1fff crosses a multiple of 0x800",
        "cache type WB, asked for WC",
        "on node 1, asked for node 0",
    ]


@pytest.mark.parametrize(
    ("cache", "asked"), [(0, 7), (7, 0), (0, 0), (WRITE_COMBINED, WRITE_COMBINED), (6, 6)]
)
def test_uncached_is_uncached_by_either_name(cache: int, asked: int) -> None:
    history = run().allocate(1, A, PAGE, CONTIGUOUS, 12, detail=cache)
    history.rows[-1]["detail"] = asked
    assert misplaced(take_apart(history.records())) == []


@pytest.mark.parametrize("told", [0, 1, 2])
@pytest.mark.parametrize(
    ("kind", "cache", "withheld", "needed"),
    [
        (CONTIGUOUS, WRITE_COMBINED, False, True),
        (CONTIGUOUS, WRITE_COMBINED | 0x600, False, True),
        (CONTIGUOUS, 7, False, True),
        (CONTIGUOUS, WRITE_COMBINED, True, False),
        (CONTIGUOUS, 6, False, False),
        (CONTIGUOUS, 6 | 0x100, False, False),
        (POOL, WRITE_COMBINED, False, False),
    ],
)
def test_the_cache_type_of_what_was_not_write_back_is_told_once(
    kind: Kind, cache: int, withheld: bool, needed: bool, told: int
) -> None:
    """At a release that the kernel has; of pools nobody asks."""
    history = run().allocate(1, A, PAGE, kind, 12, detail=cache).allocate(2, B)
    history.release(2, B).release(1, A, PAGE, kind, 12, withheld)
    history.rows = [row for row in history.rows if row["type"] != Type.RESTORED]
    for _ in range(told):
        history.add(Type.RESTORED, serial=1, pointer=A, detail=6)
    said = list(reasons(take_apart(history.records())))
    once = "the cache type of released memory was not recorded exactly once"
    assert said == ([once] if needed and told != 1 else [])


def test_a_second_release_restores_nothing_again() -> None:
    history = run().allocate(1, A, PAGE, CONTIGUOUS, 12, detail=WRITE_COMBINED)
    history.release(1, A, PAGE, CONTIGUOUS, 12).release(1, A, PAGE, CONTIGUOUS, 12)
    history.release(0, B, PAGE, CONTIGUOUS, 12)
    assert list(reasons(take_apart(history.records()))) == []


def test_what_went_past_the_ledger_says_how() -> None:
    history = run().allocate(1, A).give(1, A)
    (one,) = past_the_ledger(take_apart(history.records()))
    assert (one.rule, one.serial, one.witness) == (Rule.UNLEDGERED, 1, "ledger")
    assert one.detail == "released by kfree(), past the ledger"
    history = run().allocate(1, A).kernel(Type.RELEASE, pointer=A, kind=int(POOL))
    (one,) = past_the_ledger(take_apart(history.records()))
    assert (one.rule, one.serial, one.witness) == (Rule.UNLEDGERED, 1, "kernel")
    assert one.detail == "released past the ledger, seen by the kernel"


def test_a_leak_that_was_released_too_late_says_so_and_where() -> None:
    life = born()
    for pointer in (A, B):
        life.acquire(Kind.SLAB, pointer)
    life.dead().drop(1, site=9)
    found = leaks(take_apart(life.records()))
    assert [(one.serial, one.detail, one.released_site) for one in found] == [
        (1, "released only after the end", 9),
        (2, "", 0),
    ]


NOT_WITHHELD = "a faulty release was not withheld from the kernel"
WITHHELD_SOUND = "a sound release was withheld from the kernel"


def disputes(history: History, *findings: Finding) -> list[str]:
    run_ = take_apart(history.records())
    return [one.text for one in unwithheld(run_, list(findings))]


@pytest.mark.parametrize("withheld", [False, True])
@pytest.mark.parametrize(
    ("rule", "history"),
    [
        (None, run().allocate(1, A).release(1, A)),
        (Rule.NULL_FREE, run().release(0, 0)),
        (Rule.INVALID_FREE, run().release(0, B)),
        (Rule.DOUBLE_FREE, run().allocate(1, A).release(1, A).release(1, A)),
        (Rule.MISMATCHED_FREE, run().allocate(1, A).release(1, A, kind=CONTIGUOUS)),
        (Rule.UNLEDGERED, run().allocate(1, A).give(1, A)),
        # It is released all the same.
        (Rule.WRONG_SIZE_FREE, run().allocate(1, A).release(1, A, 32)),
    ],
)
def test_what_is_withheld_is_what_is_faulty(
    rule: Rule | None, history: History, withheld: bool
) -> None:
    release = [row for row in history.rows if row["type"] == Type.RELEASE][-1]
    release["flags"] = WITHHELD if withheld else 0
    faulty = rule not in (None, Rule.WRONG_SIZE_FREE)
    text = NOT_WITHHELD if faulty else WITHHELD_SOUND
    accused = [] if rule is None else [release["sequence"]]
    findings = [Finding(rule, "pool", sequence, A, 0) for sequence in accused if rule is not None]
    assert disputes(history, *findings) == ([] if withheld is faulty else [text])


def test_with_act_real_nothing_is_withheld() -> None:
    history = run().allocate(1, A).release(1, A).release(1, A)
    assert disputes(history) == [NOT_WITHHELD]
    history.rows[0]["flags"] = int(Flag.REAL)
    assert disputes(history) == []


@pytest.mark.parametrize("withheld", [False, True])
def test_pages_of_a_subject_may_be_withheld_from_another_order(withheld: bool) -> None:
    life = born()
    life.drop(life.acquire(Kind.PAGES, A, 2 * PAGE), size=PAGE)
    life.rows[-1]["flags"] = WITHHELD if withheld else 0
    (one,) = wrong_size_frees(take_apart(life.records()))
    assert disputes(life, one) == []


@pytest.mark.parametrize(
    ("kind", "flags", "enough"),
    [
        (Kind.PAGES, KEPT, True),
        (Kind.PAGES, DEFERRED, True),
        (Kind.PAGES, WITHHELD, True),
        (Kind.PAGES, 0, False),
        (POOL, KEPT, False),
        (POOL, WITHHELD, True),
    ],
)
def test_of_a_subjects_memory_that_a_cpu_is_at_it_is_enough_to_keep_it(
    kind: Kind, flags: int, enough: bool
) -> None:
    history: History = run().allocate(1, A, PAGE).release(1, A, PAGE)
    if kind is not POOL:
        life = born()
        history = life.drop(life.acquire(kind, A, PAGE))
    release = next(row for row in history.rows if row["type"] == Type.RELEASE)
    release["flags"] = flags
    used = Finding(Rule.HARDWARE_USE_AFTER_FREE, "pages", release["sequence"], A, 0)
    assert disputes(history, used) == ([] if enough else [NOT_WITHHELD])


def test_what_is_kept_and_sound_is_no_dispute() -> None:
    for flags in (KEPT, DEFERRED):
        life = born()
        life.drop(life.acquire(Kind.SLAB, A), flags=flags)
        assert disputes(life) == []

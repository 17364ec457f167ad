"""The rules on lives of modules that know nothing of freeonce, family by family."""

import tomllib
from pathlib import Path

import pytest

from freeonce.audit.audit import judge
from freeonce.audit.families import FAMILIES
from freeonce.audit.kernel import PROBES
from freeonce.audit.memory import MOST_BYTES, Memory, compare, wanted
from freeonce.audit.model import Account, Rule, Verdict
from freeonce.audit.phases import without_room
from freeonce.audit.rules import leaks
from freeonce.audit.run import take_apart
from freeonce.errors import Obstacle
from freeonce.evidence.ledger import Blind, Broken, Family, Flag, Kind, Phase, Type
from freeonce.evidence.snapshot import Snapshot
from tests.unit.history import LIFE, PAGE, PAGE_OFFSET, Life, born, run

A, B = PAGE_OFFSET + 0x10_0000, PAGE_OFFSET + 0x20_0000
FOREIGN = [kind for kind in Kind if kind >= Kind.SLAB]
WITHHELD, KEPT, DEFERRED = int(Flag.WITHHELD), int(Flag.KEPT), int(Flag.DEFERRED)
ROOT = Path(__file__).resolve().parents[2]

Found = list[tuple[Rule, str]]


def found(life: Life, written: dict[int, int] | None = None) -> Found:
    """Rules and families of the findings, of a life without any doubt."""
    judgement = life.whole(written)
    assert judgement.reasons == ()
    assert (judgement.verdict is Verdict.CLEAN) == (not judgement.findings)
    return [(one.rule, one.kind) for one in judgement.findings]


def family(kind: Kind) -> str:
    return kind.name.lower()


def test_a_life_that_does_nothing_is_clean() -> None:
    assert found(born()) == []


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("flags", [0, KEPT, DEFERRED])
def test_released_once_by_the_right_call_is_clean(kind: Kind, flags: int) -> None:
    life = born()
    serial = life.acquire(kind, A)
    life.drop(serial, flags=flags)
    if flags == DEFERRED:
        life.taken(serial)
    assert found(life) == []


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_nobody_released_is_a_leak(kind: Kind) -> None:
    life = born()
    life.acquire(kind, A, site=7)
    judgement = life.whole()
    (one,) = judgement.findings
    assert (one.rule, one.kind, one.site, one.size) == (Rule.LEAK, family(kind), 7, 64)


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_the_kernel_released_is_no_leak(kind: Kind) -> None:
    life = born()
    assert found(life.taken(life.acquire(kind, A))) == []


def test_leaks_are_told_apart_by_who_released_them_late() -> None:
    """Of one stack: one that nobody released, two by one stack, and others by one each."""
    life, late = born(), (0, 1, 2, 3, 3)
    serials = [life.acquire(Kind.SLAB, A + number * PAGE, site=7) for number in range(6)]
    life.dead()
    for serial, site in zip(serials[1:], late, strict=True):
        life.drop(serial, site=site)
    told = [(one.serial, one.count, one.released_site) for one in leaks(take_apart(life.records()))]
    assert told == [(1, 1, 0), (2, 1, 0), (3, 1, 1), (4, 1, 2), (5, 2, 3)]


def test_double_releases_are_told_apart_by_the_first_ones() -> None:
    life = born()
    for number, site in enumerate((5, 6, 5)):
        serial = life.acquire(Kind.SLAB, A + number * PAGE)
        life.drop(serial, site=site).drop(serial, site=9, flags=WITHHELD)
    told = [(one.serial, one.count, one.released_site) for one in life.whole().findings]
    assert told == [(1, 2, 5), (2, 1, 6)]


def test_what_the_kernel_had_already_is_not_released_late() -> None:
    life = born()
    life.taken(life.acquire(Kind.SLAB, A)).dead()
    assert take_apart(life.drop(1).records()).late == {}


def test_what_the_instrument_gave_back_is_not_released_late() -> None:
    """By the kernel: of what nobody gave back to it, that is too late."""
    for given_back in (False, True):
        life = born()
        life.acquire(Kind.SLAB, A)
        life.dead()
        if given_back:
            life.reclaim(1)
        assert list(take_apart(life.taken(1).records()).late) == ([] if given_back else [0])


def test_leaks_of_one_stack_are_one_finding_with_a_count() -> None:
    life = born()
    for number, (site, size) in enumerate([(7, 64), (8, 32), (7, 100)]):
        life.acquire(Kind.SLAB, A + number * PAGE, size, site=site)
    findings = life.whole().findings
    told = [(one.site, one.serial, one.size, one.count, one.total) for one in findings]
    assert told == [(7, 1, 64, 2, 164), (8, 2, 32, 1, 32)]


def test_leaks_without_a_stack_are_not_of_one_place() -> None:
    life = born()
    life.acquire(Kind.SLAB, A, site=0)
    life.acquire(Kind.SLAB, B, site=0)
    assert [one.count for one in life.whole().findings] == [1, 1]


@pytest.mark.parametrize("of_no_run", [True, False])
@pytest.mark.parametrize("how", ["owner", "kernel"])
def test_a_release_after_the_end_is_a_leak(how: str, of_no_run: bool) -> None:
    life = born()
    serial = life.acquire(Kind.SLAB, A)
    life.dead()
    if how == "owner":
        life.drop(serial, flags=KEPT, site=9)
    else:
        life.taken(serial, site=9)
    if of_no_run:
        life.rows[-1]["run"] = 0
    (one,) = life.settle().judged().findings
    assert (one.rule, one.detail, one.released_site) == (
        Rule.LEAK,
        "released only after the end",
        9,
    )


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_second_release_is_a_double_free(kind: Kind) -> None:
    life = born()
    serial = life.acquire(kind, A)
    life.drop(serial, flags=KEPT, site=5).drop(serial, flags=WITHHELD, site=6)
    judgement = life.whole()
    (one,) = judgement.findings
    assert (one.rule, one.site, one.released_site) == (Rule.DOUBLE_FREE, 6, 5)
    assert judgement.reasons == ()


def test_a_release_of_what_the_kernel_released_is_a_double_free() -> None:
    life = born()
    serial = life.acquire(Kind.SLAB, A)
    life.taken(serial, site=5).drop(serial, flags=WITHHELD, site=6)
    (one,) = life.whole().findings
    assert (one.rule, one.site, one.released_site) == (Rule.DOUBLE_FREE, 6, 5)


def test_what_the_kernel_releases_that_was_released_is_a_double_free() -> None:
    life = born()
    serial = life.acquire(Kind.SLAB, A)
    life.drop(serial, flags=KEPT, site=5).taken(serial, site=6)
    (one,) = life.whole().findings
    assert (one.rule, one.site, one.released_site) == (Rule.DOUBLE_FREE, 6, 5)
    assert one.detail == "by the kernel"


def test_a_deferred_release_is_the_kernels_to_do() -> None:
    life = born()
    serial = life.acquire(Kind.SLAB, A)
    life.drop(serial, flags=DEFERRED).taken(serial).drop(serial, flags=WITHHELD)
    assert found(life) == [(Rule.DOUBLE_FREE, "slab")]


@pytest.mark.parametrize("kind", FOREIGN)
def test_inside_of_an_allocation_nothing_begins(kind: Kind) -> None:
    life = born()
    serial = life.acquire(kind, A)
    life.drop(0, kind, pointer=A + 8, flags=WITHHELD).drop(serial)
    judgement = life.whole()
    (one,) = judgement.findings
    assert (one.rule, one.serial, one.detail) == (Rule.INVALID_FREE, 1, "8 bytes inside of it")


def test_inside_of_what_an_address_means_now() -> None:
    """It had another allocation before, longer, and after the release a third."""
    life = born()
    life.drop(life.acquire(Kind.SLAB, A, size=128))
    second = life.acquire(Kind.SLAB, A, size=64)
    for site, offset in ((4, 8), (5, 72)):
        life.drop(0, pointer=A + offset, flags=WITHHELD, site=site)
    life.drop(second).drop(life.acquire(Kind.SLAB, A, size=256))
    assert [one.serial for one in life.whole().findings] == [2, 0]


def test_what_the_kernel_gave_by_other_ways_may_be_released() -> None:
    assert found(born().drop(0, pointer=B)) == []
    assert found(born().drop(0, pointer=B, flags=WITHHELD)) == [(Rule.INVALID_FREE, "slab")]


@pytest.mark.parametrize(
    ("pointer", "words"),
    [
        (0x6B6B_6B6B_6B6B_6B6B, "our own poison, so somebody read released memory"),
        (0x6B6B_6B6B_6B6B_6B6B - 0x18, "our own poison, so somebody read released memory"),
        ((1 << 64) - 12, "the error -12 (ENOMEM)"),
        ((1 << 64) - 4096, "never allocated"),
        (B, "never allocated"),
        (PAGE, "never allocated"),
    ],
)
def test_a_pointer_that_is_none_says_what_it_is(pointer: int, words: str) -> None:
    life = born().drop(0, pointer=pointer, flags=WITHHELD)
    (one,) = life.whole().findings
    assert one.detail.endswith(words)


MISMATCHES = [
    (made, call) for made in FOREIGN for call in FOREIGN if call not in FAMILIES[made].released_by
]


@pytest.mark.parametrize(("made", "call"), MISMATCHES)
def test_another_familys_call_is_mismatched(made: Kind, call: Kind) -> None:
    life = born()
    life.drop(life.acquire(made, A), kind=call, flags=WITHHELD)
    assert found(life) == [(Rule.MISMATCHED_FREE, family(made))]
    assert life.judged().findings[0].detail == f"by the {family(call)} call"


@pytest.mark.parametrize(
    ("made", "call"), [(made, call) for made in FOREIGN for call in FAMILIES[made].released_by]
)
def test_calls_that_are_right_for_more_than_one_family(made: Kind, call: Kind) -> None:
    life = born()
    life.drop(life.acquire(made, A), kind=call)
    if made in FOREIGN and call in FOREIGN:
        assert found(life) == []


def test_after_a_wrong_release_the_right_one_may_follow() -> None:
    life = born()
    serial = life.acquire(Kind.SLAB, A)
    for _ in range(2):
        life.drop(serial, kind=Kind.VMALLOC, flags=WITHHELD, site=5)
    life.drop(serial)
    judgement = life.whole()
    assert [(one.rule, one.count) for one in judgement.findings] == [(Rule.MISMATCHED_FREE, 2)]
    assert judgement.reasons == ()


def test_what_was_only_released_wrongly_is_no_leak_and_stays_live() -> None:
    life = born()
    life.drop(life.acquire(Kind.SLAB, A, guard=16), kind=Kind.VMALLOC, flags=WITHHELD)
    assert found(life) == [(Rule.MISMATCHED_FREE, "slab")]
    rules = [one.rule for one in life.judged(written={A + 64: 1}).findings]
    assert sorted(rules) == sorted([Rule.MISMATCHED_FREE, Rule.OUT_OF_BOUNDS])


def test_the_kernels_own_words_on_who_may_release_what() -> None:
    """kfree() takes objects of any cache, kvfree() both kinds; nothing else takes two."""
    assert FAMILIES[Kind.OBJECT].released_by == {Kind.OBJECT, Kind.SLAB, Kind.KVMALLOC}
    assert FAMILIES[Kind.SLAB].released_by == {Kind.SLAB, Kind.KVMALLOC}
    assert FAMILIES[Kind.VMALLOC].released_by == {Kind.VMALLOC, Kind.KVMALLOC}
    others = set(FOREIGN) - {Kind.OBJECT, Kind.SLAB, Kind.VMALLOC}
    assert all(FAMILIES[kind].released_by == {kind} for kind in others)


def test_the_instruments_table_says_the_same() -> None:
    path = ROOT / "guest/instrument/families/families.toml"
    for name, told in tomllib.loads(path.read_text()).items():
        mine = FAMILIES[Family[name.upper()]]
        assert Kind(told["number"]).name.lower() == name
        assert {one.name.lower() for one in mine.released_by} == set(told["released_by"])
        assert mine.null_release == told["null_release"]


@pytest.mark.parametrize(("given", "clean"), [(0x77, True), (0x88, False)])
def test_an_object_goes_back_to_its_own_cache(given: int, clean: bool) -> None:
    life = born()
    serial = life.acquire(Kind.OBJECT, A, cache=0x77)
    life.drop(serial, cache=given, flags=0 if clean else WITHHELD)
    expected: Found = [] if clean else [(Rule.MISMATCHED_FREE, "object")]
    assert found(life) == expected
    if not clean:
        assert life.judged().findings[0].detail == "to another cache"


@pytest.mark.parametrize(("size", "clean"), [(PAGE, False), (2 * PAGE, True), (4 * PAGE, False)])
@pytest.mark.parametrize("withheld", [True, False])
def test_pages_are_released_by_their_order(size: int, clean: bool, withheld: bool) -> None:
    life = born()
    serial = life.acquire(Kind.PAGES, A, 2 * PAGE)
    life.drop(serial, size=size, flags=0 if clean or not withheld else WITHHELD)
    assert found(life) == ([] if clean else [(Rule.WRONG_SIZE_FREE, "pages")])


def test_exact_pages_are_released_in_whole_ones() -> None:
    life = born()
    assert found(life.drop(life.acquire(Kind.PAGES, A, 5000), size=2 * PAGE)) == []


@pytest.mark.parametrize("made", [0, int(Flag.EXACT)])
@pytest.mark.parametrize("gone", [0, int(Flag.EXACT)])
@pytest.mark.parametrize("pages", [1, 4])
def test_single_pages_are_no_block(made: int, gone: int, pages: int) -> None:
    life = born()
    serial = life.acquire(Kind.PAGES, A, pages * PAGE, flags=made)
    right = made == gone or pages == 1
    # Who released it later by itself means nothing for how it was taken.
    life.drop(serial, flags=gone | KEPT if right else gone | WITHHELD)
    assert found(life) == ([] if right else [(Rule.MISMATCHED_FREE, "pages")])
    if not right:
        how = "one block, as single pages" if gone else "single pages, as one block"
        assert life.judged().findings[0].detail == how


def test_no_other_call_names_a_size() -> None:
    life = born()
    assert found(life.drop(life.acquire(Kind.SLAB, A, 64, align_log2=6), size=0)) == []


@pytest.mark.parametrize("kind", FOREIGN)
def test_null_is_wrong_only_where_it_is_not_allowed(kind: Kind) -> None:
    """The instrument tells of no other release of null; a family's table has the last word."""
    life = born().drop(0, kind, pointer=0, flags=WITHHELD)
    judgement = life.whole()
    rules = [one.rule for one in judgement.findings]
    nulls_are_wrong = (Kind.OBJECT, Kind.PAGES, Kind.MISC, Kind.SRCU, Kind.REGISTRATION)
    assert (Rule.NULL_FREE in rules) == (kind in nulls_are_wrong)
    assert judgement.verdict is not Verdict.CLEAN
    assert found(born().drop(0, kind, pointer=0)) == []


@pytest.mark.parametrize("kind", [Kind.SLAB, Kind.OBJECT, Kind.PAGES])
@pytest.mark.parametrize("offset", [0, 8, 63])
def test_a_write_into_what_is_kept_is_read_by_the_host(kind: Kind, offset: int) -> None:
    life = born()
    life.drop(life.acquire(kind, A), flags=KEPT)
    judgement = life.whole(written={A + offset: 0x42})
    (one,) = judgement.findings
    assert (one.rule, one.kind, one.witness) == (Rule.USE_AFTER_FREE, family(kind), "memory")
    assert f"byte {offset} after its release (1 wrong byte" in one.detail
    assert (one.site, one.released_site) == (1, 2)


def test_what_went_back_before_the_end_is_not_looked_at() -> None:
    life = born()
    serial = life.acquire(Kind.SLAB, A)
    life.drop(serial, flags=KEPT).reclaim(serial)
    assert found(life, written={A: 0x42}) == []


@pytest.mark.parametrize("guard", [1, 15, 16, 64])
def test_a_guard_that_is_broken_at_the_end_is_read_by_the_host(guard: int) -> None:
    for offset in {0, guard - 1}:
        life = born()
        life.acquire(Kind.SLAB, A, guard=guard)
        rules = [one.rule for one in life.whole(written={A + 64 + offset: 0x42}).findings]
        assert sorted(rules) == sorted([Rule.LEAK, Rule.OUT_OF_BOUNDS])
        assert [one.rule for one in life.judged().findings] == [Rule.LEAK]


@pytest.mark.parametrize(
    ("where", "at", "rule", "words"),
    [
        (Broken.POISON, A + 8, Rule.USE_AFTER_FREE, "written at byte 8 after its release"),
        (Broken.BEHIND, A + 64, Rule.OUT_OF_BOUNDS, "written at byte 0 behind its end"),
        (Broken.BEHIND, A + 134, Rule.OUT_OF_BOUNDS, "written at byte 70 behind its end"),
        (Broken.FRONT, A - 3, Rule.OUT_OF_BOUNDS, "written 3 bytes in front of it"),
    ],
)
def test_what_the_instrument_found_broken(where: Broken, at: int, rule: Rule, words: str) -> None:
    for late in (False, True):
        life = born()
        serial = life.acquire(Kind.SLAB, A)
        life.drop(serial, flags=KEPT)
        told = {"serial": serial, "detail": int(where), "pointer": at, "physical": 2, "size": 0x42}
        if late:
            life.dead().add(Type.BROKEN, **told)
            judgement = life.settle().judged()
        else:
            life.add(Type.BROKEN, **told)
            judgement = life.whole()
        (one,) = judgement.findings
        assert (one.rule, one.serial, one.site, judgement.reasons) == (rule, serial, 1, ())
        assert one.detail == f"{words} (2 wrong bytes, from the first on: 42 00 00 00 00 00 00 00)"


@pytest.mark.parametrize("kind", FOREIGN)
def test_memory_of_each_cpu_has_no_byte_of_its_own(kind: Kind) -> None:
    life = born()
    serial = life.acquire(kind, A)
    life.drop(serial, flags=KEPT)
    life.add(Type.BROKEN, serial=serial, detail=int(Broken.POISON), pointer=A, physical=1)
    (one,) = life.whole().findings
    of_each_cpu = kind is Kind.PERCPU
    assert ("in one CPU's part" in one.detail) is of_each_cpu
    assert ("at byte 0 after its release (1 wrong byte, " in one.detail) is not of_each_cpu


def test_what_instrument_and_host_both_find_is_one_fault() -> None:
    life = born()
    serial = life.acquire(Kind.SLAB, A)
    life.drop(serial, flags=KEPT).dead()
    life.add(Type.BROKEN, serial=serial, detail=int(Broken.POISON), pointer=A, physical=1, size=1)
    (one,) = life.settle().judged(written={A: 1}).findings
    assert (one.rule, one.witness) == (Rule.USE_AFTER_FREE, "ledger+memory")


def past_wrappers() -> Life:
    life = born()
    life.kernel(Type.ALLOCATE, pointer=B, size=96, kind=int(Kind.SLAB), site=4)
    return life


def test_what_was_taken_past_the_wrappers_and_stays_is_unledgered() -> None:
    (one,) = past_wrappers().whole().findings
    assert (one.rule, one.kind, one.site, one.size) == (Rule.UNLEDGERED, "slab", 4, 96)


def test_what_was_taken_past_the_wrappers_may_be_released_by_anybody() -> None:
    assert found(past_wrappers().drop(0, pointer=B)) == []
    life = past_wrappers()
    life.kernel(Type.RELEASE, pointer=B, kind=int(Kind.SLAB))
    assert found(life) == []
    assert found(past_wrappers().drop(0, pointer=B, flags=WITHHELD))[0][0] is Rule.UNLEDGERED


def test_of_what_was_taken_past_the_wrappers_what_is_still_there_is_told() -> None:
    life, kind = born(), int(Kind.SLAB)
    gone, again, stays = A, B, B + PAGE
    for pointer, site in ((gone, 4), (again, 5), (stays, 6)):
        life.kernel(Type.ALLOCATE, pointer=pointer, size=96, kind=kind, site=site)
    life.drop(0, pointer=gone).kernel(Type.RELEASE, pointer=again, kind=kind)
    life.kernel(Type.ALLOCATE, pointer=again, size=96, kind=kind, site=7)
    told = [(one.pointer, one.site) for one in life.whole().findings]
    assert told == [(stays, 6), (again, 7)]


@pytest.mark.parametrize("fields", [{"flags": int(Flag.WRAPPED)}, {"serial": 1}])
def test_what_its_owner_tells_was_not_taken_past_the_wrappers(fields: dict[str, int]) -> None:
    life = born()
    life.kernel(Type.ALLOCATE, pointer=A, size=64, kind=int(Kind.SLAB), **fields)
    life.acquire(Kind.SLAB, A)
    assert found(life) == [(Rule.LEAK, "slab")]


@pytest.mark.parametrize("bit", range(PROBES.bit_length()))
def test_a_life_needs_every_probe(bit: int) -> None:
    life = born()
    (row,) = [row for row in life.rows if row["type"] == int(Type.WITNESS_ON)]
    row["detail"] = PROBES & ~(1 << bit)
    judgement = life.whole()
    assert judgement.verdict is Verdict.INCOMPLETE
    assert judgement.witnesses["kernel"] is Account.MISSING


def test_what_was_seen_inside_of_a_wrapper_is_the_owners_to_tell() -> None:
    life = born()
    life.kernel(Type.ALLOCATE, pointer=A, kind=int(Kind.SLAB), flags=int(Flag.WRAPPED))
    serial = life.acquire(Kind.SLAB, A)
    life.drop(serial)
    life.kernel(
        Type.RELEASE, pointer=A, kind=int(Kind.SLAB), flags=int(Flag.WRAPPED), serial=serial
    )
    assert found(life) == []


def disagreement(life: Life) -> str:
    (one,) = life.whole().findings
    assert one.rule is Rule.WITNESSES_DISAGREE
    return one.detail


def test_an_address_that_comes_back_though_it_was_never_given_back() -> None:
    for flags in (None, KEPT, WITHHELD, DEFERRED):
        life = born()
        first = life.acquire(Kind.SLAB, A)
        if flags is not None:
            life.drop(first, flags=flags)
        life.drop(life.acquire(Kind.SLAB, A))
        assert "gives out this address twice" in disagreement(life)


@pytest.mark.parametrize("how", ["passed on", "reclaimed", "by the kernel"])
def test_an_address_comes_back_when_the_kernel_has_it(how: str) -> None:
    life = born()
    first = life.acquire(Kind.SLAB, A)
    if how == "by the kernel":
        life.taken(first)
    else:
        life.drop(first, flags=KEPT if how == "reclaimed" else 0)
    if how == "reclaimed":
        life.reclaim(first)
    life.drop(life.acquire(Kind.SLAB, A))
    assert found(life) == []


def test_a_release_that_names_nothing_of_what_is_live_disagrees() -> None:
    life = born()
    life.acquire(Kind.SLAB, A)
    assert "names none" in disagreement(life.drop(0, pointer=A))


def test_a_release_of_an_address_that_was_given_back_may_name_nothing() -> None:
    life = born()
    life.drop(life.acquire(Kind.SLAB, A))
    assert found(life.drop(0, pointer=A)) == []


def test_the_kernel_releases_only_what_the_ledger_has() -> None:
    life = born()
    life.kernel(Type.RELEASE, serial=9, pointer=A, kind=int(Kind.SLAB))
    assert "allocation 9, which is not in the ledger" in disagreement(life)


def test_the_kernel_releases_nothing_twice() -> None:
    life = born()
    serial = life.acquire(Kind.SLAB, A)
    assert "it already has" in disagreement(life.taken(serial).taken(serial))
    life = born()
    serial = life.acquire(Kind.SLAB, A)
    life.drop(serial, flags=KEPT).reclaim(serial).taken(serial)
    assert "it already has" in disagreement(life)


def reasons(life: Life) -> tuple[str, ...]:
    judgement = life.settle().judged()
    assert judgement.verdict is Verdict.INCOMPLETE
    return judgement.reasons


@pytest.mark.parametrize("why", Blind)
def test_what_the_instrument_lost_sight_of_is_incomplete(why: Blind) -> None:
    life = born()
    life.add(Type.BLIND, detail=int(why))
    assert "(1 times)" in reasons(life.dead())[0]


def test_how_often_it_lost_sight_is_told_for_each_reason() -> None:
    life = born()
    for why in (Blind.STACKS, 99, Blind.BOOKS, Blind.STACKS):
        life.add(Type.BLIND, detail=int(why))
    assert reasons(life.dead()) == (
        "the instrument's books were full (1 times)",
        "the instrument had no room for another stack (2 times)",
        "the instrument lost sight of something (1 times)",
    )


def test_that_the_host_took_no_records_in_time_is_a_reason_of_its_own() -> None:
    for what, detail, said in (
        (Type.BLIND, Blind.ROOM, [Obstacle.NOT_DRAINED]),
        (Type.BLIND, Blind.STACKS, []),
        (Type.STEP, Blind.ROOM, []),
    ):
        records = run().add(what, detail=int(detail)).records()
        assert [one.obstacle for one in without_room(records)] == said


def test_memory_found_broken_that_nobody_has_is_incomplete() -> None:
    life = born()
    life.add(Type.BROKEN, serial=9, detail=int(Broken.POISON))
    assert reasons(life.dead()) == ("memory was found broken that is not in the ledger",)


def test_memory_found_broken_nobody_knows_where_is_incomplete() -> None:
    life = born()
    serial = life.acquire(Kind.SLAB, A)
    life.drop(serial, flags=KEPT).add(Type.BROKEN, serial=serial, detail=9)
    assert "memory was found broken that is not in the ledger" in reasons(life.dead())


@pytest.mark.parametrize("late", [False, True], ids=["before the end", "while settling"])
def test_what_was_found_broken_cannot_be_kept_back(late: bool) -> None:
    life = born()
    serial = life.acquire(Kind.SLAB, A)
    life.drop(serial, flags=KEPT)
    where = {"serial": serial, "detail": int(Broken.POISON), "pointer": A, "physical": 1}
    if late:
        life.dead()
    life.add(Type.BROKEN, **where)
    if not late:
        life.dead()
    life.settle()
    assert life.judged().verdict is Verdict.FAULTY
    untold = [row for row in life.rows if row["type"] != Type.BROKEN]
    life.rows = [dict(row, sequence=number) for number, row in enumerate(untold, start=1)]
    judgement = life.judged()
    assert judgement.findings == ()
    assert judgement.verdict is Verdict.INCOMPLETE
    assert judgement.reasons == ("memory was found broken 1 times by the books, 0 by the ledger",)


def changed(life: Life, kind: Type, **fields: int) -> Life:
    """With the last record of a type changed, or taken out."""
    index = max(i for i, row in enumerate(life.rows) if row["type"] == kind)
    if fields:
        life.rows[index].update(fields)
    else:
        del life.rows[index]
        for number, row in enumerate(life.rows, start=1):
            row["sequence"] = number
    return life


def test_a_life_ends_when_the_kernel_has_come_to_rest() -> None:
    rest = "the kernel did not come to rest before the end"
    assert reasons(changed(born().dead(), Type.QUIESCED)) == (rest,)
    twice = born()
    twice.add(Type.QUIESCED)
    assert reasons(twice.dead()) == (rest,)
    late = born()
    late.phase(Phase.GOING).phase(Phase.GONE).end().add(Type.QUIESCED, detail=0b111)
    late.kept_at_end = {}
    assert rest in reasons(late)
    assert reasons(changed(born().dead(), Type.QUIESCED, detail=0b110)) == (
        "RCU callbacks were not waited for to the end",
    )
    assert reasons(changed(born().dead(), Type.QUIESCED, detail=0b101)) == (
        "work queues were not waited for to the end",
    )
    assert changed(born().dead(), Type.QUIESCED, detail=0b011).settle().judged().reasons == ()


def test_a_deferred_release_must_have_been_waited_for() -> None:
    life = born()
    serial = life.acquire(Kind.SLAB, A)
    life.drop(serial, flags=DEFERRED).taken(serial).dead()
    assert reasons(changed(life, Type.QUIESCED, detail=0b011)) == (
        "deferred releases were not waited for to the end",
    )


def test_without_a_deferred_release_none_need_be_waited_for() -> None:
    life = born()
    life.drop(life.acquire(Kind.SLAB, A)).dead()
    assert changed(life, Type.QUIESCED, detail=0b011).settle().judged().reasons == ()


def test_what_is_live_at_the_end_is_live_at_the_first_one() -> None:
    life = born().dead()
    life.add(Type.END, size=9)
    assert not any("live at the end by the books" in reason for reason in reasons(life))


def test_what_is_live_by_the_books_is_live_by_the_ledger() -> None:
    life = born()
    life.acquire(Kind.SLAB, A)
    assert reasons(changed(life.dead(), Type.QUIESCED, size=2)) == (
        "2 allocations were live by the instrument's books, 1 by the ledger",
    )


def test_what_is_acquired_after_the_rest_was_not_live_then() -> None:
    life = born().phase(Phase.GOING).phase(Phase.GONE)
    life.add(Type.QUIESCED, detail=0b111)
    life.acquire(Kind.SLAB, A)
    life.add(Type.CPU_STATE, pointer=0xD01, size=40, detail=1).add(Type.END, size=1)
    life.kept_at_end = {}
    judgement = life.settle().judged()
    assert (judgement.reasons, [one.rule for one in judgement.findings]) == ((), [Rule.LEAK])


def test_each_module_that_is_still_loaded_is_told_by_its_name_or_else_its_number() -> None:
    life = born()
    life.text(Type.SUBJECT, "a_module_with_a_long_na", serial=3)
    life.text(Type.SUBJECT, "me", serial=3, piece=1)
    for load in (3, 2):
        life.phase(Phase.COMING, load).phase(Phase.LIVE, load)
    life.acquire(Kind.SLAB, A)
    judgement = life.dead().settle().judged()
    still = "is still loaded, and may still release what it holds"
    assert judgement.reasons == (f"module 2 {still}", f"a_module_with_a_long_name {still}")
    # One of three is gone: it may be another's.
    assert judgement.findings == ()


def test_a_thousand_modules_are_named_and_no_more() -> None:
    life = born()
    for load in range(2, 1003):
        life.phase(Phase.COMING, load)
    assert len(reasons(life.dead())) == 1000 - 1


def test_a_life_without_a_module_is_none() -> None:
    life = Life()
    life.born()
    life.rows = [row for row in life.rows if row["type"] not in (Type.SUBJECT, Type.PHASE)]
    for number, row in enumerate(life.rows, start=1):
        row["sequence"] = number
    assert reasons(life.dead(unloaded=False)) == ("no module was loaded",)


def test_what_a_module_holds_while_it_is_loaded_is_no_leak_yet() -> None:
    life = born()
    life.acquire(Kind.SLAB, A)
    assert reasons(life.dead(unloaded=False)) == (
        "zram is still loaded, and may still release what it holds",
    )
    assert life.judged().findings == ()


@pytest.mark.parametrize(
    ("phases", "wrong"),
    [
        ((Phase.COMING, Phase.LIVE, Phase.GOING, Phase.GONE), ""),
        ((Phase.LIVE, Phase.GOING, Phase.GONE), ""),
        ((Phase.COMING, Phase.INIT_FAILED, Phase.GONE), ""),
        ((Phase.COMING, Phase.GOING, Phase.INIT_FAILED, Phase.GONE), ""),
        ((Phase.COMING, Phase.GONE), "never went live"),
        ((Phase.COMING, Phase.LIVE, Phase.GONE, Phase.GOING), "out of order"),
        ((Phase.LIVE, Phase.LIVE, Phase.GONE), "out of order"),
        ((Phase.LIVE, Phase.GONE, 9), "out of order"),
        ((Phase.COMING, Phase.INIT_FAILED, Phase.INIT_FAILED, Phase.GONE), "out of order"),
        ((Phase.COMING, Phase.INIT_FAILED, Phase.LIVE, Phase.GONE), "out of order"),
        ((Phase.COMING, Phase.LIVE, Phase.GOING), "still loaded"),
    ],
)
def test_a_module_goes_through_its_phases(phases: tuple[int, ...], wrong: str) -> None:
    life = Life()
    life.born()
    life.rows = [row for row in life.rows if row["type"] != Type.PHASE]
    for number, row in enumerate(life.rows, start=1):
        row["sequence"] = number
    for phase in phases:
        life.add(Type.PHASE, serial=1, detail=int(phase))
    told = life.dead(unloaded=False).settle().judged().reasons
    assert told == () if not wrong else wrong in told[0]


def test_a_ledger_of_a_life_that_names_too_much_memory_is_told_and_not_read() -> None:
    life = born()
    for number in range(4):
        size = MOST_BYTES // 3
        life.drop(life.acquire(Kind.SLAB, A + number * size, size), flags=KEPT)
    life.dead().settle()
    run = take_apart(life.records())
    asked_for = wanted(run, PAGE_OFFSET)
    assert sum(one.size for one in asked_for.extents) <= MOST_BYTES
    read = [(one.gpa, b"\x6b" * one.size) for one in asked_for.extents]
    looked = Memory(Snapshot(read), {}, PAGE_OFFSET, asked_for.unread)
    judgement = judge(life.records(), looked, asked=LIFE)
    assert judgement.verdict is Verdict.INCOMPLETE
    assert judgement.findings == ()
    assert "more than are looked at" in judgement.reasons[0]


@pytest.mark.parametrize("beyond", [0, 1])
def test_so_much_memory_is_read_for_one_run_and_no_more(beyond: int) -> None:
    """64 MiB."""
    life, sizes = born(), ((64 << 20) - PAGE, PAGE + beyond)
    for pointer, size in zip((A, A + (64 << 20)), sizes, strict=True):
        life.drop(life.acquire(Kind.SLAB, pointer, size), flags=KEPT)
    asked_for = wanted(take_apart(life.records()), PAGE_OFFSET)
    assert [one.size for one in asked_for.extents] == [*sizes[: 2 - beyond]]
    assert asked_for.unread == (sizes[1] if beyond else 0)


def test_where_nobody_knows_the_map_of_all_memory_nothing_is_looked_for_in_it() -> None:
    life = born()
    life.acquire(Kind.SLAB, A, guard=16)
    life.dead().settle()
    assert compare(take_apart(life.records()), Memory(Snapshot(), {})) == ([], [])

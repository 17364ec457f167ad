"""The CPU as an owner: what it was given, and what it was left with."""

from unittest.mock import ANY

import pytest

from freeonce.audit import cpu_state, static
from freeonce.audit.audit import judge
from freeonce.audit.hardware import judge_operands
from freeonce.audit.memory import wanted
from freeonce.audit.model import Asked, Judgement, Rule, Verdict
from freeonce.audit.operands import operands
from freeonce.audit.run import Run, take_apart
from freeonce.evidence.ledger import (
    CPU_STATE_GIF,
    CPU_STATE_SILENT,
    HOST_REGISTERS,
    Flag,
    Kind,
    Structure,
    Type,
    Witness,
)
from tests.unit.history import PAGE, PAT_WB, REACHED, ROOM, History, run

VMCB, OTHER, IOPM = 0x10_0000, 0x20_0000, 0x30_0000
A = 0x40_0000
ABOVE = 1 << 40
"""Behind the last of 40 bits."""

Found = list[tuple[Rule, str, int]]


def page(history: History, serial: int, gpa: int, size: int = PAGE) -> History:
    return history.allocate(serial, gpa, size, Kind.CONTIGUOUS, 12, detail=PAT_WB)


def release(history: History, serial: int, gpa: int, size: int = PAGE, **how: bool) -> History:
    return history.release(serial, gpa, size, Kind.CONTIGUOUS, 12, **how)


def bound(size: int = PAGE, cache: int = PAT_WB) -> History:
    """One VMCB, given to the CPU."""
    return page(run(), 1, VMCB, size).bind(1, VMCB).operand(1, Structure.VMCB, VMCB, cache=cache)


def found(history: History) -> Found:
    judgement = history.done()
    assert judgement.reasons == ()
    return [(one.rule, one.kind, one.serial) for one in judgement.findings]


def test_what_is_unbound_before_its_release_is_clean() -> None:
    history = page(run(), 1, VMCB).allocate_room().bind_whole(1, VMCB)
    history.enter(1, VMCB).add(Type.UNBIND, serial=1)
    assert found(release(history.release_room(), 1, VMCB)) == []


def test_a_release_of_what_is_bound_is_the_fault_and_is_withheld() -> None:
    history = release(bound(), 1, VMCB, withheld=True)
    assert found(history) == [(Rule.HARDWARE_USE_AFTER_FREE, "contiguous", 1)]
    (finding,) = history.judged().findings
    assert "VMRUN (15.5.1)" in finding.detail
    assert "L2 1" in finding.detail


def test_such_a_release_that_reached_the_kernel_is_disputed() -> None:
    history = release(bound(), 1, VMCB)
    assert [rule for rule, _, _ in found(history)] == [Rule.WITNESSES_DISAGREE]


def test_what_was_released_before_it_was_given_is_the_fault() -> None:
    history = release(page(run(), 1, VMCB), 1, VMCB).allocate_room()
    history.bind_whole(1, VMCB).enter(1, VMCB).add(Type.UNBIND, serial=1).release_room()
    assert found(history) == [(Rule.HARDWARE_USE_AFTER_FREE, "contiguous", 1)]


def test_the_write_of_an_exit_into_it_is_no_second_fault() -> None:
    history = release(page(run(), 1, VMCB), 1, VMCB)
    history.bind(1, VMCB).operand(1, Structure.VMCB, VMCB).enter(1, VMCB)
    history.add(Type.UNBIND, serial=1).end().settle()
    (finding,) = history.judged({VMCB + 0x70: 0x72}).findings
    assert (finding.rule, finding.witness) == (Rule.HARDWARE_USE_AFTER_FREE, "ledger+memory")
    assert "byte 112" in finding.detail


def test_a_write_by_software_into_other_memory_stays_a_fault_of_its_own() -> None:
    history = release(page(release(page(run(), 1, VMCB), 1, VMCB), 2, OTHER), 2, OTHER)
    history.bind(1, VMCB).operand(1, Structure.VMCB, VMCB).end().settle()
    rules = [one.rule for one in history.judged({OTHER: 1}).findings]
    assert sorted(rules) == [Rule.HARDWARE_USE_AFTER_FREE, Rule.USE_AFTER_FREE]


def test_what_was_never_allocated_is_the_fault() -> None:
    history = run().bind(1, VMCB).operand(1, Structure.VMCB, VMCB)
    assert found(history) == [(Rule.HARDWARE_USE_AFTER_FREE, "none", 0)]


def test_what_nobody_released_has_no_stack_of_a_release() -> None:
    for history in (run(), page(run(), 1, VMCB - PAGE)):
        history.bind(1, 0).operand(1, Structure.IOPM, VMCB - PAGE, 3 * PAGE)
        (one,) = judge_operands(take_apart(history.records()))
        assert one.released_site == 0


@pytest.mark.parametrize(("given", "clean"), [(12 << 10, True), (8 << 10, False)])
def test_a_map_must_be_held_in_its_full_length(given: int, clean: bool) -> None:
    history = page(run(), 1, IOPM, given).bind(1, VMCB)
    history.operand(1, Structure.IOPM, IOPM, 12 << 10).add(Type.UNBIND, serial=1)
    release(history, 1, IOPM, given)
    expected: Found = [(Rule.HARDWARE_USE_AFTER_FREE, "contiguous", 1)]
    assert found(history) == ([] if clean else expected)


@pytest.mark.parametrize("gpa", [IOPM - PAGE, IOPM + PAGE])
def test_pages_that_reach_out_of_the_allocation_are_the_fault(gpa: int) -> None:
    history = page(run(), 1, IOPM, 2 * PAGE).bind(1, VMCB)
    history.operand(1, Structure.NESTED_PAGE, gpa, 2 * PAGE).add(Type.UNBIND, serial=1)
    release(history, 1, IOPM, 2 * PAGE)
    assert found(history) == [(Rule.HARDWARE_USE_AFTER_FREE, "contiguous", 1)]


def test_l1s_own_memory_mapped_where_it_lies_needs_no_allocation() -> None:
    flags = int(Flag.IDENTITY)
    history = run().bind(1, VMCB).operand(1, Structure.NESTED_PAGE, IOPM, pointer=IOPM, flags=flags)
    assert found(history) == []


def test_l1s_own_memory_may_be_mapped_for_every_l2() -> None:
    flags, history = int(Flag.IDENTITY), run()
    for vcpu in (1, 2):
        history.bind(vcpu, 0, nested_cr3=vcpu * PAGE)
        history.operand(vcpu, Structure.NESTED_PAGE, IOPM, pointer=IOPM, flags=flags)
    assert found(history) == []


def test_the_guests_word_for_that_is_not_enough() -> None:
    flags = int(Flag.IDENTITY)
    history = run().bind(1, VMCB).operand(1, Structure.NESTED_PAGE, IOPM, pointer=0, flags=flags)
    assert [rule for rule, _, _ in found(history)] == [Rule.HARDWARE_USE_AFTER_FREE]


def test_that_it_lies_where_it_is_mapped_is_not_enough_either() -> None:
    history = run().bind(1, VMCB).operand(1, Structure.NESTED_PAGE, IOPM, pointer=IOPM)
    assert [rule for rule, _, _ in found(history)] == [Rule.HARDWARE_USE_AFTER_FREE]


def test_a_new_set_of_operands_replaces_the_old_one() -> None:
    history = page(bound(), 2, OTHER).bind(1, OTHER).operand(1, Structure.VMCB, OTHER)
    assert found(release(history, 1, VMCB)) == [(Rule.LEAK, "contiguous", 2)]


def test_a_host_save_area_is_the_cpus_until_svm_is_off() -> None:
    history = page(run(), 1, VMCB).operand(0, Structure.HOST_SAVE_AREA, VMCB)
    history.add(Type.SVM_OFF)
    assert found(release(history, 1, VMCB)) == []
    history = page(run(), 1, VMCB).operand(0, Structure.HOST_SAVE_AREA, VMCB)
    release(history, 1, VMCB, withheld=True).add(Type.SVM_OFF)
    assert found(history) == [(Rule.HARDWARE_USE_AFTER_FREE, "contiguous", 1)]


@pytest.mark.parametrize(
    ("gpa", "cache", "said"),
    [
        (VMCB + 8, PAT_WB, "not aligned to 4096"),
        (VMCB, 0, "cache type UC, must be WB"),
        (ABOVE, PAT_WB, "above the CPU's physical addresses"),
    ],
)
def test_misplaced(gpa: int, cache: int, said: str) -> None:
    history = page(run(), 1, VMCB, 2 * PAGE).bind(1, gpa)
    history.operand(1, Structure.VMCB, gpa, cache=cache).add(Type.UNBIND, serial=1)
    release(history, 1, VMCB, 2 * PAGE)
    (finding,) = history.done().findings
    assert finding.rule is Rule.MISPLACED
    assert said in finding.detail


@pytest.mark.parametrize(("bits", "end"), [(None, 1 << 52), (40, ABOVE), (200, 1 << 64)])
def test_addresses_end_where_the_cpu_says(bits: int | None, end: int) -> None:
    """52 bits are the most that the manual has (5.3), and a field has no more than 64."""
    for size in (PAGE, 2 * PAGE):
        history = History().text(Type.BEGIN, "test/scenario")
        if bits is not None:
            history.add(Type.CPU_STATE, size=bits)
        history.bind(1, 0).operand(1, Structure.NESTED_PAGE, end - PAGE, size)
        (one,) = judge_operands(take_apart(history.records()))
        if size == PAGE:
            assert one.rule is Rule.HARDWARE_USE_AFTER_FREE
        else:
            assert one.rule is Rule.MISPLACED
            assert f"addresses, which end at {end:#x}" in one.detail


def test_a_cpu_that_does_not_answer_does_not_say_where_addresses_end() -> None:
    history = bound().add(Type.CPU_STATE, serial=1, detail=CPU_STATE_SILENT)
    assert judge_operands(take_apart(history.records())) == []


def test_the_pages_of_an_l2_may_be_of_any_cache_type() -> None:
    history = page(run(), 1, IOPM).bind(1, VMCB)
    history.operand(1, Structure.NESTED_PAGE, IOPM, cache=0).add(Type.UNBIND, serial=1)
    assert found(release(history, 1, IOPM)) == []


@pytest.mark.parametrize("structure", [Structure.PAGE_TABLE, Structure.PAGE])
def test_without_nested_paging_tables_and_pages_are_held_as_well(structure: Structure) -> None:
    history = page(run(), 1, IOPM).bind(1, VMCB).operand(1, structure, IOPM)
    release(history, 1, IOPM, withheld=True).add(Type.UNBIND, serial=1)
    assert found(history) == [(Rule.HARDWARE_USE_AFTER_FREE, "contiguous", 1)]


def test_a_page_of_such_an_l2_may_be_of_any_cache_type_and_its_table_not() -> None:
    history = page(page(run(), 1, IOPM), 2, OTHER).bind(1, VMCB)
    history.operand(1, Structure.PAGE, IOPM, cache=0)
    history.operand(1, Structure.PAGE_TABLE, OTHER, cache=0).add(Type.UNBIND, serial=1)
    history = release(release(history, 1, IOPM), 2, OTHER)
    assert found(history) == [(Rule.MISPLACED, "contiguous", 2)]


def test_what_a_cpu_is_given_without_a_vcpu_is_of_no_page_table_and_not_foreign() -> None:
    history = run().operand(0, Structure.HOST_SAVE_AREA, VMCB)
    history.operand(1, Structure.NESTED_PAGE, VMCB).operand(0, Structure.VMSAVE, VMCB)
    given = operands(take_apart(history.records()))
    assert [(one.root, one.foreign) for one in given] == [(0, False)] * 3


def test_vmsave_uses_its_page_at_that_moment_only() -> None:
    history = page(run(), 1, VMCB).operand(0, Structure.VMSAVE, VMCB)
    assert found(release(history, 1, VMCB)) == []
    history = release(page(run(), 1, VMCB), 1, VMCB).operand(0, Structure.VMSAVE, VMCB)
    assert found(history) == [(Rule.HARDWARE_USE_AFTER_FREE, "contiguous", 1)]


def test_vmsave_ends_no_host_save_area_and_shares_with_no_vmcb() -> None:
    history = page(bound(), 2, OTHER).operand(0, Structure.HOST_SAVE_AREA, OTHER)
    history.operand(0, Structure.VMSAVE, VMCB).add(Type.UNBIND, serial=1)
    release(release(history, 1, VMCB), 2, OTHER, withheld=True).add(Type.SVM_OFF)
    assert found(history) == [(Rule.HARDWARE_USE_AFTER_FREE, "contiguous", 2)]


def test_two_l2s_with_one_vmcb_are_misplaced() -> None:
    history = bound().bind(2, VMCB).operand(2, Structure.VMCB, VMCB)
    history.add(Type.UNBIND, serial=1).add(Type.UNBIND, serial=2)
    assert found(release(history, 1, VMCB)) == [(Rule.MISPLACED, "contiguous", 1)]


def test_one_after_the_other_may_have_it() -> None:
    history = bound().add(Type.UNBIND, serial=1).bind(2, VMCB).operand(2, Structure.VMCB, VMCB)
    history.add(Type.UNBIND, serial=2)
    assert found(release(history, 1, VMCB)) == []


@pytest.mark.parametrize(("roots", "clean"), [((OTHER, OTHER), True), ((OTHER, IOPM), False)])
def test_pages_are_shared_only_within_one_nested_page_table(
    roots: tuple[int, int], clean: bool
) -> None:
    history = page(run(), 1, VMCB)
    for vcpu, root in enumerate(roots, start=1):
        history.bind(vcpu, 0, nested_cr3=root).operand(vcpu, Structure.NESTED_PAGE, VMCB)
    history.add(Type.UNBIND, serial=1).add(Type.UNBIND, serial=2)
    expected: Found = [] if clean else [(Rule.MISPLACED, "contiguous", 1)]
    assert found(release(history, 1, VMCB)) == expected


def test_permission_maps_may_be_shared() -> None:
    history = page(run(), 1, IOPM, 12 << 10)
    for vcpu in (1, 2):
        history.bind(vcpu, 0).operand(vcpu, Structure.IOPM, IOPM, 12 << 10)
    history.add(Type.UNBIND, serial=1).add(Type.UNBIND, serial=2)
    assert found(release(history, 1, IOPM, 12 << 10)) == []


def test_two_cpus_with_one_host_save_area_are_misplaced() -> None:
    history = page(run().cpu_state(cpu=1), 1, VMCB).operand(
        0, Structure.HOST_SAVE_AREA, VMCB, cpu=0
    )
    history.operand(0, Structure.HOST_SAVE_AREA, VMCB, cpu=1)
    history.add(Type.SVM_OFF, cpu=0).add(Type.SVM_OFF, cpu=1)
    assert found(release(history, 1, VMCB).cpu_state(cpu=1)) == [(Rule.MISPLACED, "contiguous", 1)]


def test_a_vmrun_of_what_was_never_told_is_incomplete() -> None:
    judgement = run().enter(1, VMCB).done()
    assert judgement.verdict is Verdict.INCOMPLETE
    assert judgement.reasons == ("a VMRUN whose addresses were not recorded",)


@pytest.mark.parametrize("given", [[], [OTHER]])
def test_a_vmrun_of_another_vmcb_than_was_told_is_incomplete(given: list[int]) -> None:
    history = page(run(), 1, OTHER).bind(1, VMCB)
    for gpa in given:
        history.operand(1, Structure.VMCB, gpa)
    history.enter(1, VMCB).add(Type.UNBIND, serial=1)
    judgement = release(history, 1, OTHER).done()
    assert judgement.reasons == ("a VMRUN whose addresses were not recorded",)


@pytest.mark.parametrize("missing", [Structure.VMCB, *REACHED])
@pytest.mark.parametrize("live", [True, False])
def test_a_vmrun_needs_all_that_its_vmcb_leads_to(missing: Structure, live: bool) -> None:
    """Of a VMCB that is nobody's nothing is followed."""
    history = page(run(), 1, VMCB).allocate_room()
    if not live:
        release(history, 1, VMCB)
    history.bind_whole(1, VMCB, missing).enter(1, VMCB).add(Type.UNBIND, serial=1)
    if live:
        release(history, 1, VMCB)
    needed = live or missing in (Structure.VMCB, Structure.HOST_VMCB)
    reasons = ("a VMRUN whose addresses were not recorded",) if needed else ()
    assert history.release_room().done().reasons == reasons


@pytest.mark.parametrize(("size", "whole"), [(PAGE - 1, False), (PAGE, True)])
def test_a_vmcb_that_is_not_all_in_live_memory_leads_nowhere(size: int, whole: bool) -> None:
    history = page(run(), 1, VMCB, size).allocate_room().bind_whole(1, VMCB, Structure.IOPM)
    history.enter(1, VMCB).add(Type.UNBIND, serial=1)
    judgement = release(history.release_room(), 1, VMCB, size).done()
    untold = ("a VMRUN whose addresses were not recorded",)
    assert judgement.reasons == (untold if whole else ())


def test_a_page_table_that_nothing_leads_to_is_not_the_root() -> None:
    history = page(run(), 1, VMCB).allocate_room().bind_whole(1, VMCB, Structure.NESTED_TABLE)
    history.operand(1, Structure.NESTED_TABLE, ROOM + PAGE).enter(1, VMCB)
    history.add(Type.UNBIND, serial=1)
    judgement = release(history.release_room(), 1, VMCB).done()
    assert judgement.reasons == ("a VMRUN whose addresses were not recorded",)


def test_a_withheld_vmrun_gave_nothing_to_the_cpu() -> None:
    history = run().add(Type.VMRUN, serial=1, physical=VMCB, flags=int(Flag.WITHHELD))
    assert history.done().verdict is Verdict.CLEAN


@pytest.mark.parametrize("during", [1, 2, None])
@pytest.mark.parametrize("later", [VMCB, VMCB + PAGE])
def test_an_address_that_came_back_is_judged_by_who_had_it(later: int, during: int | None) -> None:
    """With act=real. The first had two pages; the second begins with it, or at its second page."""

    def use() -> None:
        history.bind(1, 0).operand(1, Structure.IOPM, VMCB + PAGE)
        history.add(Type.UNBIND, serial=1)

    size = VMCB + 2 * PAGE - later
    history = page(run(), 1, VMCB, 2 * PAGE)
    history.rows[0]["flags"] = int(Flag.REAL)
    if during == 1:
        use()
    release(history, 1, VMCB, 2 * PAGE)
    history.add(Type.RECLAIM, serial=1, pointer=VMCB, kind=int(Kind.CONTIGUOUS))
    page(history, 2, later, size)
    if during == 2:
        use()
    release(history, 2, later, size)
    if during is None:
        use()
    found = judge_operands(take_apart(history.records()))
    assert [(one.rule, one.serial) for one in found] == (
        [] if during else [(Rule.HARDWARE_USE_AFTER_FREE, 2)]
    )


def test_a_vmcb_is_never_l1s_own_memory() -> None:
    flags = int(Flag.IDENTITY)
    history = run().bind(1, VMCB).operand(1, Structure.VMCB, VMCB, pointer=VMCB, flags=flags)
    assert [rule for rule, _, _ in found(history)] == [Rule.HARDWARE_USE_AFTER_FREE]


@pytest.mark.parametrize("page_first", [True, False])
def test_another_vcpus_vmcb_is_nobodys_page(page_first: bool) -> None:
    """Whichever is told first, and though both have one nested page table."""
    history = page(run(), 1, VMCB)
    first, second = Structure.VMCB, Structure.NESTED_PAGE
    if page_first:
        first, second = second, first
    history.bind(1, 0, nested_cr3=OTHER).operand(1, first, VMCB)
    history.bind(2, 0, nested_cr3=OTHER).operand(2, second, VMCB)
    history.add(Type.UNBIND, serial=1).add(Type.UNBIND, serial=2)
    assert found(release(history, 1, VMCB)) == [(Rule.MISPLACED, "contiguous", 1)]


def test_what_is_too_short_is_held_all_the_same() -> None:
    history = page(run(), 1, IOPM, 8 << 10).bind(1, VMCB)
    history.operand(1, Structure.IOPM, IOPM, 12 << 10)
    release(history, 1, IOPM, 8 << 10, withheld=True)
    assert found(history) == [(Rule.HARDWARE_USE_AFTER_FREE, "contiguous", 1)]


def test_operands_that_found_no_room_are_incomplete() -> None:
    judgement = run().bind(1, VMCB).operand(1, Structure.MORE, 0, 0).done()
    assert judgement.reasons == ("not all addresses given to the CPU are known",)


def test_what_is_gone_is_the_owners_again() -> None:
    history = page(run(), 1, IOPM).bind(1, VMCB).operand(1, Structure.NESTED_PAGE, IOPM)
    history.gone(1, Structure.NESTED_PAGE, IOPM)
    assert found(release(history, 1, IOPM).add(Type.UNBIND, serial=1)) == []


def test_another_operand_that_is_gone_ends_not_this_one() -> None:
    history = page(run(), 1, IOPM, 3 * PAGE).bind(1, VMCB)
    history.operand(1, Structure.NESTED_PAGE, IOPM).operand(1, Structure.NESTED_PAGE, IOPM + PAGE)
    history.operand(1, Structure.NESTED_PAGE, IOPM + PAGE, pointer=PAGE)
    history.gone(1, Structure.NESTED_PAGE, IOPM).gone(1, Structure.NESTED_PAGE, IOPM + PAGE)
    history = release(history, 1, IOPM, 3 * PAGE, withheld=True).add(Type.UNBIND, serial=1)
    assert found(history) == [(Rule.HARDWARE_USE_AFTER_FREE, "contiguous", 1)]


@pytest.mark.parametrize("fields", [{"size": 2 * PAGE}, {"pointer": PAGE}, {"cache": 0}])
def test_the_end_of_what_was_never_given_is_incomplete(fields: dict[str, int]) -> None:
    history = page(run(), 1, IOPM, 2 * PAGE).bind(1, VMCB)
    history.operand(1, Structure.NESTED_PAGE, IOPM).gone(1, Structure.NESTED_PAGE, IOPM, **fields)
    judgement = release(history.add(Type.UNBIND, serial=1), 1, IOPM, 2 * PAGE).done()
    assert judgement.reasons == (
        "the ledger takes an address from the CPU that it was never given",
    )


@pytest.mark.parametrize("lost", [Structure.VMCB, *REACHED])
def test_a_vmrun_needs_all_that_was_told_and_is_not_gone(lost: Structure) -> None:
    history = page(run(), 1, VMCB).allocate_room().bind_whole(1, VMCB)
    first, pages = REACHED.get(lost, (0, 1))
    gpa = VMCB if lost is Structure.VMCB else ROOM + first * PAGE
    history.gone(1, lost, gpa, pages * PAGE).enter(1, VMCB).add(Type.UNBIND, serial=1)
    judgement = release(history.release_room(), 1, VMCB).done()
    assert judgement.reasons == ("a VMRUN whose addresses were not recorded",)


@pytest.mark.parametrize("structure", [Structure.VMCB, *REACHED])
def test_what_was_given_twice_is_there_until_both_are_gone(structure: Structure) -> None:
    first, pages = REACHED.get(structure, (0, 1))
    gpa = VMCB if structure is Structure.VMCB else ROOM + first * PAGE
    for gone in (1, 2):
        history = page(run(), 1, VMCB).allocate_room().bind_whole(1, VMCB)
        history.operand(1, structure, gpa, pages * PAGE)
        for _ in range(gone):
            history.gone(1, structure, gpa, pages * PAGE)
        history.enter(1, VMCB).add(Type.UNBIND, serial=1)
        untold = ("a VMRUN whose addresses were not recorded",)
        assert release(history.release_room(), 1, VMCB).done().reasons == untold[: gone - 1]


def test_a_withheld_vmrun_needs_no_exit() -> None:
    history = bound().add(Type.VMRUN, serial=1, physical=VMCB, flags=int(Flag.WITHHELD))
    history.add(Type.UNBIND, serial=1)
    assert found(release(history, 1, VMCB)) == []


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ({"efer": 0x1D01}, "EFER was 0xd01, is 0x1d01"),
        ({"host_save_area": VMCB}, f"VM_HSAVE_PA was 0x0, is {VMCB:#x}"),
    ],
)
def test_what_a_cpu_is_left_with(left: dict[str, int], said: str) -> None:
    history = run().cpu_state(**left).end(states=False).settle()
    (finding,) = history.judged().findings
    assert (finding.rule, finding.kind, finding.detail) == (Rule.NOT_RESTORED, "none", said)


def test_gif_that_was_left_0() -> None:
    history = run().add(Type.CPU_STATE, pointer=0xD01, size=40, detail=0).end(states=False).settle()
    (finding,) = history.judged().findings
    assert finding.rule is Rule.NOT_RESTORED
    assert "GIF" in finding.detail


def test_gif_that_was_0_before_is_left_as_it_was() -> None:
    history = run().cpu_state()
    for row in history.rows[-2:]:
        row["detail"] = 0
    assert history.end(states=False).settle().judged().findings == ()


def test_what_a_cpu_is_left_with_is_what_its_last_state_says() -> None:
    history = run().cpu_state(efer=0x2D01).cpu_state(efer=0x1D01)
    last = len(history.rows)
    (finding,) = history.end(states=False).settle().judged().findings
    assert (finding.sequence, finding.detail) == (last, "EFER was 0xd01, is 0x1d01")


def test_each_cpu_is_compared_with_itself() -> None:
    history = run().cpu_state(cpu=1).cpu_state(cpu=1, efer=0x1D01)
    (finding,) = history.done().findings
    assert (finding.rule, finding.cpu) == (Rule.NOT_RESTORED, 1)


@pytest.mark.parametrize("detail", [CPU_STATE_SILENT])
def test_a_cpu_that_does_not_answer_is_incomplete(detail: int) -> None:
    history = run().add(Type.CPU_STATE, serial=1, detail=detail)
    assert history.done().reasons == ("CPU 1 does not answer",)


def test_both_states_told_before_the_scenario_are_incomplete() -> None:
    judgement = run().cpu_state().text(Type.STEP, "later").end(states=False).settle().judged()
    assert judgement.reasons == (
        "the state of CPU 0 was not recorded before and after everything else",
    )


@pytest.mark.parametrize(
    "did",
    [{"type": int(Type.ALLOCATE), "serial": 1}, {"type": int(Type.RELEASE)}],
)
def test_what_was_done_before_the_first_state_is_incomplete(did: dict[str, int]) -> None:
    history = History().text(Type.BEGIN, "test/scenario").add(Type.STEP).cpu_state().end()
    history.rows[1].update(pointer=A, kind=int(Kind.POOL), **did)
    assert list(cpu_state.reasons(take_apart(history.records()))) == [
        "the state of CPU 0 was not recorded before and after everything else",
    ]


def test_a_state_may_be_told_by_another_cpu() -> None:
    history = run().cpu_state(cpu=1).text(Type.STEP, "here").cpu_state(cpu=1)
    for row in history.rows:
        row["cpu"] = 0
    assert history.done().reasons == ()


@pytest.mark.parametrize("cpus", [None, 2])
def test_a_cpu_is_missed_where_the_machine_is_known_to_have_it(cpus: int | None) -> None:
    history = run().end()
    for row in history.rows:
        row["cpu"] = 1
        row["serial"] = int(row["type"] == Type.CPU_STATE)
    missed = [] if cpus is None else ["the state of CPU 0 was never recorded"]
    assert list(cpu_state.reasons(take_apart(history.records()), cpus)) == missed


def test_a_record_of_a_cpu_that_the_machine_has_not_is_incomplete() -> None:
    history = run().add(Type.STEP, cpu=1).end().settle()
    judgement = judge(history.records(), history.memory(), asked=Asked(cpus=1))
    assert judgement.reasons == (
        "the state of CPU 1 was never recorded",
        "the ledger has records of CPU 1, but the machine has only 1",
    )


def test_a_hypervisor_left_running_goes_on_while_the_other_cpus_tell() -> None:
    """CPU 1 answers from guest mode: its exit comes after CPU 0's state, before its own."""
    history = page(run().cpu_state(cpu=1), 1, VMCB).allocate_room()
    history.bind_whole(1, VMCB).add(Type.VMRUN, serial=1, physical=VMCB)
    history.add(Type.UNBIND, serial=1).release_room()
    release(history, 1, VMCB).cpu_state().add(Type.VMEXIT, serial=1, cpu=1).cpu_state(cpu=1)
    assert history.end(states=False).settle().judged().reasons == ()


def test_what_a_cpu_did_after_its_own_state_is_incomplete() -> None:
    history = page(run().cpu_state(cpu=1), 1, VMCB).allocate_room()
    history.bind_whole(1, VMCB).add(Type.VMRUN, serial=1, physical=VMCB)
    history.add(Type.UNBIND, serial=1).release_room()
    release(history, 1, VMCB).cpu_state().cpu_state(cpu=1).add(Type.VMEXIT, serial=1, cpu=1)
    judgement = history.end(states=False).settle().judged()
    assert judgement.reasons == (
        "the state of CPU 1 was not recorded before and after everything else",
    )


def test_a_state_told_before_what_another_cpu_of_the_scenario_did_is_incomplete() -> None:
    history = run().cpu_state(cpu=1).text(Type.STEP, "first").cpu_state(cpu=1)
    history.text(Type.STEP, "later").cpu_state()
    judgement = history.end(states=False).settle().judged()
    assert judgement.reasons == (
        "the state of CPU 1 was not recorded before and after everything else",
    )


def test_a_cpu_that_did_something_and_told_no_state_is_incomplete() -> None:
    judgement = run().text(Type.STEP, "here").add(Type.SVM_OFF, cpu=1).done()
    assert judgement.reasons == ("the state of CPU 1 was never recorded",)


def test_a_state_that_was_not_told_at_the_end_is_incomplete() -> None:
    judgement = run().end(states=False).settle().judged()
    assert judgement.reasons == (ANY,)
    assert "CPU 0" in judgement.reasons[0]


def test_a_register_of_the_host_that_a_vmrun_changed() -> None:
    number = HOST_REGISTERS.index("CR2")
    history = run().add(Type.HOST_REGISTER, detail=number, pointer=1, physical=2, cpu=1)
    (finding,) = history.done().findings
    assert (finding.rule, finding.cpu) == (Rule.NOT_RESTORED, 1)
    assert "CR2 was 0x2, before it 0x1" in finding.detail


def test_registers_of_one_cpu_are_one_finding_at_the_first() -> None:
    history = run()
    first = len(history.rows) + 1
    for register in ("CR3", "DR7"):
        history.add(Type.HOST_REGISTER, detail=HOST_REGISTERS.index(register), pointer=1)
    (finding,) = history.done().findings
    assert finding.sequence == first
    assert finding.detail.count(" was 0x0, before it 0x1") == 2


def test_a_register_that_there_is_not_is_told_by_its_number() -> None:
    number = len(HOST_REGISTERS)
    (finding,) = run().add(Type.HOST_REGISTER, detail=number, pointer=1).done().findings
    assert f"the host's register {number} was 0x0, before it 0x1" in finding.detail


def test_fpu_registers_that_a_vmrun_changed() -> None:
    number = HOST_REGISTERS.index("FPU")
    (finding,) = run().add(Type.HOST_REGISTER, detail=number, physical=161).done().findings
    # XMM0 begins at byte 160 (volume 2, 11.4.4).
    assert "FPU registers differ from byte 160" in finding.detail


def test_hostile_numbers_are_survived() -> None:
    huge = (1 << 64) - 1
    history = run().bind(1, huge, nested_cr3=huge)
    history.operand(1, Structure.VMCB, huge, huge).add(Type.OPERAND, serial=9, detail=0xFF)
    history.add(Type.HOST_REGISTER, detail=1 << 31)
    assert history.done().verdict is Verdict.INCOMPLETE


def unloading(*left: dict[str, int], told: bool = True) -> tuple[History, History]:
    """A run that asks for the unload, settled, and the same with what came after."""

    def one() -> History:
        history = History(run=0).cpu_state().cpu_state(cpu=1)
        history.run = 1
        history.begin().cpu_state(cpu=1).cpu_state().cpu_state(cpu=1)
        history.add(Type.END, flags=int(Flag.UNLOAD)).settle()
        history.run = 0
        return history

    whole = one()
    for cpu, state in enumerate(left):
        whole.cpu_state(cpu=cpu, **state)
    return one(), whole.add(Type.MODULE_EXIT) if told else whole


def judged_at_unload(run_alone: History, whole: History | None) -> Judgement:
    records = run_alone.records()
    records = records[records["run"] == 1]
    unloaded = None if whole is None else whole.records()
    return judge(records, run_alone.memory(), unloaded=unloaded)


def test_a_module_that_leaves_all_cpus_as_it_found_them_is_clean() -> None:
    assert judged_at_unload(*unloading({}, {})).verdict is Verdict.CLEAN


def test_what_a_module_leaves_behind() -> None:
    judgement = judged_at_unload(*unloading({}, {"host_save_area": VMCB}))
    (finding,) = judgement.findings
    assert (finding.rule, finding.cpu, finding.pointer) == (Rule.NOT_RESTORED, 1, None)
    assert finding.detail == f"VM_HSAVE_PA was 0x0, is {VMCB:#x}"
    assert judgement.reasons == ()


def test_an_unload_that_did_not_happen_is_incomplete() -> None:
    alone, whole = unloading({}, {}, told=False)
    for evidence in (None, History(), whole):
        assert judged_at_unload(alone, evidence).reasons == ("the module was not unloaded",)


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        (Type.HOST_REGISTER, {"detail": 1, "pointer": 1, "physical": 2}),
        (Type.VMRUN, {"serial": 1, "physical": VMCB}),
        (Type.PANIC, {}),
        (Type.BEGIN, {"run": 2}),
        (Type.CPU_STATE, {"run": 2, "pointer": 0xD01, "detail": CPU_STATE_GIF}),
        (Type.RELEASE, {"witness": int(Witness.KERNEL)}),
    ],
)
def test_what_happens_between_the_run_and_the_unload_is_incomplete(
    what: Type, fields: dict[str, int]
) -> None:
    alone, whole = unloading()
    whole.rows.pop()
    whole.add(what, **fields).cpu_state().cpu_state(cpu=1).add(Type.MODULE_EXIT)
    judgement = judged_at_unload(alone, whole)
    assert judgement.reasons == ("something happened between the run and the unload",)


def test_a_cpu_that_was_silent_at_the_load_is_no_finding() -> None:
    alone, whole = unloading({}, {})
    for history in (alone, whole):
        history.rows[1].update(detail=CPU_STATE_SILENT, pointer=0)
    judgement = judged_at_unload(alone, whole)
    assert judgement.findings == ()
    assert judgement.reasons == ("CPU 1 did not answer at the load",)


def test_a_cpu_that_fell_silent_in_the_run_is_no_finding() -> None:
    history = run().cpu_state(cpu=1).add(Type.CPU_STATE, serial=1, detail=CPU_STATE_SILENT)
    judgement = history.done()
    assert (judgement.findings, judgement.reasons) == ((), ("CPU 1 does not answer",))


def test_a_cpu_that_told_nothing_at_the_unload_is_incomplete() -> None:
    judgement = judged_at_unload(*unloading({}))
    assert judgement.reasons == (
        "the state of CPU 1 was not recorded before the run and at the unload",
    )


def test_a_cpu_that_is_silent_at_the_unload_is_no_finding() -> None:
    alone, whole = unloading({}, {})
    whole.rows[-2].update(detail=CPU_STATE_SILENT, pointer=0)
    judgement = judged_at_unload(alone, whole)
    assert judgement.findings == ()
    assert judgement.reasons == ("CPU 1 does not answer at the unload",)


NOT_AROUND = "the state of CPU {} was not recorded before the run and at the unload"


@pytest.mark.parametrize(
    ("before", "behind", "cpus", "missed"),
    [
        ((0, 1), (0, 1), 2, []),
        ((0, 1), (0,), 2, [1]),
        ((0,), (0, 1), 2, [1]),
        ((0,), (0,), 2, [1]),
        ((0,), (0,), None, []),
        ((1,), (1,), None, []),
    ],
)
def test_each_cpu_tells_before_the_run_is_over_and_at_the_unload(
    before: tuple[int, ...], behind: tuple[int, ...], cpus: int | None, missed: list[int]
) -> None:
    history = History(run=0)
    for cpu in before:
        history.cpu_state(cpu=cpu)
    after = len(history.rows)
    for cpu in behind:
        history.cpu_state(cpu=cpu)
    records = history.add(Type.MODULE_EXIT).records()
    told = cpu_state.reasons_at_unload(records, after, cpus)
    assert list(told) == [NOT_AROUND.format(cpu) for cpu in missed]


def handled(history: History, gpa: int, structure: Structure = Structure.HANDLER_DATA) -> History:
    """A CPU of which Linux is the guest, by a handler that uses pool memory there."""
    return history.operand(0, structure, gpa, 64)


@pytest.mark.parametrize(
    ("offset", "said"),
    [
        (-1, "begins 1 bytes before it"),
        (0, ""),
        (1, "needs 64 bytes of it, has 63"),
    ],
)
def test_what_is_not_all_inside_of_an_allocation_says_by_how_much(offset: int, said: str) -> None:
    history = handled(run().allocate(1, A), A + offset)
    told = [one.detail for one in judge_operands(take_apart(history.records()))]
    assert told == ([f"data of the handler: {said}"] if said else [])


@pytest.mark.parametrize("structure", [Structure.HANDLER_STACK, Structure.HANDLER_DATA])
def test_what_a_handler_uses_is_in_use_until_it_has_left(structure: Structure) -> None:
    history = handled(run().allocate(1, A), A, structure)
    history.release(1, A, withheld=True)
    (finding,) = history.add(Type.LEFT).done().findings
    assert finding.rule is Rule.HARDWARE_USE_AFTER_FREE
    assert "of the handler of CPU 0" in finding.detail


def test_a_handler_uses_all_that_it_was_given_whatever_else_the_cpu_has() -> None:
    """Linux's own host save area comes and goes beside it."""
    history = page(handled(run().allocate(1, A), A, Structure.HANDLER_STACK), 2, OTHER)
    handled(history.allocate(3, A + PAGE), A + PAGE)
    history.operand(0, Structure.HOST_SAVE_AREA, OTHER).add(Type.SVM_OFF)
    release(history.release(1, A, withheld=True).release(3, A + PAGE, withheld=True), 2, OTHER)
    assert found(history.add(Type.LEFT)) == [
        (Rule.HARDWARE_USE_AFTER_FREE, "pool", serial) for serial in (1, 3)
    ]


def test_what_a_handler_used_may_go_when_it_has_left() -> None:
    history = handled(run().allocate(1, A), A).add(Type.LEFT)
    assert history.release(1, A).done().verdict is Verdict.CLEAN


def test_a_handler_of_another_cpu_is_not_ended_by_this_ones_leaving() -> None:
    history = handled(run().allocate(1, A), A)
    history.rows[-1]["cpu"] = 1
    history.add(Type.LEFT).release(1, A, withheld=True)
    assert [one.rule for one in history.done().findings] == [Rule.HARDWARE_USE_AFTER_FREE]


STATIC_GVA = 0xFFFF_FFFF_C000_0000


def static_map(history: History, *pages: tuple[int, int], size: int = 2 * PAGE) -> Run:
    """A map of 8 KiB at MAP, of which these (gva, gpa) are told as static memory before it."""
    for gva, gpa in pages:
        history.add(Type.STATIC, pointer=gva, physical=gpa, size=PAGE)
    history.bind(1, 0).operand(1, Structure.MSRPM, MAP, size)
    return take_apart(history.records())


MAP = 0x70_0000
BOTH = ((STATIC_GVA, MAP), (STATIC_GVA + 0x5000, MAP + PAGE))


def test_static_memory_is_the_cpus_to_use() -> None:
    assert judge_operands(static_map(run(), *BOTH)) == []


@pytest.mark.parametrize(
    "pages",
    [
        (),
        BOTH[:1],
        (BOTH[0], BOTH[0]),
        (BOTH[0], (0xFFFF_8880_0000_0000, MAP + PAGE)),  # no module lies there
        (BOTH[0], (STATIC_GVA + 8, MAP + PAGE)),
        (BOTH[0], (BOTH[1][0], MAP + 2 * PAGE)),
    ],
)
def test_what_is_not_all_static_is_nobodys(pages: tuple[tuple[int, int], ...]) -> None:
    found = judge_operands(static_map(run(), *pages))
    assert [one.rule for one in found] == [Rule.HARDWARE_USE_AFTER_FREE]


def test_static_memory_is_told_before_it_is_used() -> None:
    history = run().bind(1, 0).operand(1, Structure.MSRPM, MAP, 2 * PAGE)
    for gva, gpa in BOTH:
        history.add(Type.STATIC, pointer=gva, physical=gpa, size=PAGE)
    found = judge_operands(take_apart(history.records()))
    assert [one.rule for one in found] == [Rule.HARDWARE_USE_AFTER_FREE]


@pytest.mark.parametrize(
    ("gva", "of_modules"),
    [
        (0xFFFF_FFFF_9FFF_F000, False),
        (0xFFFF_FFFF_A000_0000, True),
        (0xFFFF_FFFF_FEFF_F000, True),
        (0xFFFF_FFFF_FF00_0000, False),
    ],
)
def test_static_memory_lies_where_the_kernel_maps_modules(gva: int, of_modules: bool) -> None:
    """Documentation/x86/x86_64/mm.rst."""
    found = judge_operands(static_map(run(), (gva, MAP), size=PAGE))
    assert (found == []) is of_modules


def test_static_memory_is_told_by_whole_pages_and_no_byte_is_none_of_it() -> None:
    history = run().add(Type.STATIC, pointer=STATIC_GVA, physical=MAP, size=PAGE - 1)
    assert len(judge_operands(static_map(history, size=PAGE))) == 1
    assert len(judge_operands(static_map(run(), *BOTH, size=0))) == 1


@pytest.mark.parametrize("mapped", [None, MAP + PAGE])
def test_page_tables_that_have_no_such_static_memory_are_believed(mapped: int | None) -> None:
    run_ = static_map(run(), *BOTH)
    gpas = {STATIC_GVA: mapped, BOTH[1][0]: BOTH[1][1]}
    assert len(list(static.disputes(run_, gpas))) == 1
    assert list(static.disputes(run_, {**gpas, STATIC_GVA: MAP})) == []


def test_of_a_lifes_static_memory_the_page_tables_are_gone() -> None:
    """And of nobody else's, whatever else the begin says."""
    for flags, gone in ((int(Flag.LIFE), True), (int(Flag.REAL), False), (0, False)):
        history = run()
        history.rows[0]["flags"] = flags
        found = list(static.disputes(static_map(history, *BOTH), {}))
        assert [one.pointer for one in found] == ([] if gone else [gva for gva, _ in BOTH])


def test_so_many_pages_of_static_memory_are_looked_up_and_no_more() -> None:
    pages = [(STATIC_GVA + number * PAGE, MAP + number * PAGE) for number in range(4097)]
    assert wanted(static_map(run(), *pages), 0).gvas == [gva for gva, _ in pages[:4096]]

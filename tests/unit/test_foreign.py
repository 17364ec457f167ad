"""What a hypervisor that knows nothing of freeonce gave the CPU: held in guest mode only."""

import pytest

from freeonce.audit import freed, operands
from freeonce.audit.hardware import judge_operands
from freeonce.audit.model import Finding, Rule
from freeonce.audit.run import take_apart
from freeonce.evidence.ledger import Field, Flag, Kind, Structure, Type
from freeonce.report.cpu import cpu_document, cpu_words
from tests.unit.history import PAGE, PAGE_OFFSET, Life

VMCB, IOPM, MSRPM, TABLE, OTHER = (PAGE * number for number in (0x100, 0x110, 0x120, 0x130, 0x140))
USER = PAGE * 0x900
"""Somebody's page, which the L2 has."""


class Play(Life):
    """One vcpu of a subject, made of whole pages."""

    def __init__(self) -> None:
        super().__init__()
        self.born()
        self.serials = {
            place: self.acquire(Kind.PAGES, PAGE_OFFSET + place, size)
            for place, size in (
                *((VMCB, PAGE), (IOPM, 4 * PAGE), (MSRPM, 2 * PAGE), (TABLE, PAGE)),
                (OTHER, PAGE),
            )
        }

    def bound(self, vcpu: int = 1) -> "Play":
        """All that a VMRUN needs to be told."""
        fields = {"physical": VMCB, "pointer": TABLE, "flags": int(Flag.FOREIGN)}
        self.add(Type.BIND, serial=vcpu, **fields)
        self.operand(vcpu, Structure.VMCB, VMCB)
        self.operand(vcpu, Structure.IOPM, IOPM, 3 * PAGE)
        self.operand(vcpu, Structure.MSRPM, MSRPM, 2 * PAGE)
        self.operand(vcpu, Structure.NESTED_TABLE, TABLE)
        return self.mapped(vcpu)

    def mapped(self, vcpu: int = 1) -> "Play":
        self.operand(vcpu, Structure.NESTED_PAGE, USER)
        return self

    def unmapped(self, vcpu: int = 1) -> "Play":
        self.gone(vcpu, Structure.NESTED_PAGE, USER)
        return self

    def entered(self, vcpu: int = 1, **fields: int) -> "Play":
        self.enter(vcpu, VMCB, **fields)
        return self

    def free(self, place: int) -> "Play":
        self.drop(self.serials[place], flags=int(Flag.KEPT))
        return self

    def freed(self, gpa: int = USER, pages: int = 1) -> "Play":
        self.add(Type.PAGE_FREED, physical=gpa, size=pages * PAGE)
        return self

    def found(self) -> list[Finding]:
        return judge_operands(take_apart(self.records()))

    def doubts(self) -> list[str]:
        run = take_apart(self.records())
        return [*operands.reasons(run), *freed.reasons(run)]


def test_what_a_foreign_vmrun_reaches_is_whole_without_a_hosts_vmcb() -> None:
    play = Play().bound().entered()
    assert play.found() == []
    assert play.doubts() == []


def test_a_release_while_a_cpu_is_in_guest_mode_is_the_fault() -> None:
    play = Play().bound()
    play.vmrun(1, VMCB)
    play.free(VMCB)
    play.add(Type.VMEXIT, serial=1)
    (finding,) = play.found()
    assert (finding.rule, finding.serial) == (Rule.HARDWARE_USE_AFTER_FREE, play.serials[VMCB])
    assert "VMCB, rax at VMRUN (15.5.1) of L2 1" in finding.detail


def test_what_is_let_go_between_two_vmruns_may_be_released() -> None:
    play = Play().bound().entered()
    play.gone(1, Structure.MSRPM, MSRPM, 2 * PAGE)
    assert play.free(MSRPM).found() == []


def test_what_a_vmrun_still_reaches_after_its_release_is_the_fault() -> None:
    play = Play().bound().entered()
    play.gone(1, Structure.MSRPM, MSRPM, 2 * PAGE)
    play.free(MSRPM).operand(1, Structure.MSRPM, MSRPM, 2 * PAGE)
    (finding,) = play.entered().found()
    assert finding.serial == play.serials[MSRPM]
    assert "MSRPM_BASE_PA (15.11)" in finding.detail
    assert "after its release" in finding.detail


def test_what_lies_in_no_allocation_is_the_fault_but_for_the_l2s_own_pages() -> None:
    play = Play().bound()
    play.operand(1, Structure.NESTED_TABLE, PAGE * 0x700)
    (finding,) = play.entered().found()
    assert "is in no allocation" in finding.detail


@pytest.mark.parametrize("control", [0, 1])
def test_a_table_that_a_tlb_may_have_kept(control: int) -> None:
    play = Play().bound()
    play.operand(1, Structure.NESTED_TABLE, OTHER)
    play.entered().gone(1, Structure.NESTED_TABLE, OTHER)
    found = play.free(OTHER).entered(control=control).found()
    assert [one.serial for one in found] == ([] if control else [play.serials[OTHER]])


def test_a_page_of_anybodys_that_is_freed_in_guest_mode_is_the_fault() -> None:
    play = Play().bound()
    play.vmrun(1, VMCB)
    play.freed().add(Type.VMEXIT, serial=1)
    (finding,) = play.found()
    assert (finding.rule, finding.gpa, finding.pointer) == (
        *(Rule.HARDWARE_USE_AFTER_FREE, USER),
        None,
    )
    said = "of L2 1: given back to the page allocator while the CPU may still use it"
    assert finding.detail.endswith(said)


@pytest.mark.parametrize("control", [0, 1])
def test_a_page_that_is_freed_when_the_l2_has_lost_it_needs_a_flush(control: int) -> None:
    found = Play().bound().entered().unmapped().freed().entered(control=control).found()
    assert [one.gpa for one in found] == ([] if control else [USER])


def test_a_page_is_found_in_a_block_that_is_freed_as_a_whole() -> None:
    play = Play().bound().entered().unmapped()
    assert len(play.freed(USER - 3 * PAGE, 8).entered().found()) == 1
    play = Play().bound().entered().unmapped()
    assert play.freed(USER + PAGE, 8).freed(USER - 4 * PAGE, 4).entered().found() == []


@pytest.mark.parametrize("gone", [USER, USER + 9 * PAGE])
def test_each_page_of_an_l2_is_looked_for(gone: int) -> None:
    play = Play().bound()
    play.operand(1, Structure.NESTED_PAGE, USER + 9 * PAGE)
    play.entered().unmapped().gone(1, Structure.NESTED_PAGE, USER + 9 * PAGE)
    assert [one.gpa for one in play.freed(gone).entered().found()] == [gone]


@pytest.mark.parametrize("most", [9, 10])
def test_more_looks_than_one_run_may_take_are_a_doubt(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two blocks that were freed at each of the five addresses that the CPU was given."""
    monkeypatch.setattr(freed, "MOST_LOOKS", most)
    play = Play().bound()
    play.vmrun(1, VMCB)
    play.freed().freed(OTHER).add(Type.VMEXIT, serial=1)
    doubts = ["too many freed pages of an L2 to check each"] if most < 10 else []
    assert play.doubts() == doubts
    assert [one.gpa for one in play.found()] == ([] if doubts else [USER])


@pytest.mark.parametrize("root", [TABLE, OTHER])
def test_vcpus_may_have_pages_in_common(root: int) -> None:
    play = Play().bound().entered()
    fields = {"physical": OTHER, "pointer": root, "flags": int(Flag.FOREIGN)}
    play.add(Type.BIND, serial=2, **fields)
    assert play.mapped(2).found() == []


def test_memory_of_vmalloc_is_not_known_beyond_its_first_page() -> None:
    play = Play()
    play.acquire(Kind.VMALLOC, 0xFFFF_C900_0000_0000, 4 * PAGE)
    play.rows[-1]["physical"] = PAGE * 0x600
    play.bound().operand(1, Structure.NESTED_TABLE, PAGE * 0x600)
    assert play.entered().found() == []
    assert play.doubts() == []
    # Where the second page lies nobody told: perhaps here.
    play.operand(1, Structure.NESTED_TABLE, PAGE * 0x700)
    assert play.found() == []
    assert len(play.doubts()) == 1


def test_the_kernels_own_release_counts() -> None:
    play = Play().bound().entered()
    play.gone(1, Structure.MSRPM, MSRPM, 2 * PAGE)
    play.taken(play.serials[MSRPM])
    (finding,) = Play.found(_again(play))
    assert finding.serial == play.serials[MSRPM]


def _again(play: Play) -> Play:
    play.operand(1, Structure.MSRPM, MSRPM, 2 * PAGE)
    return play.entered()


def test_objects_lie_where_the_map_of_all_memory_says() -> None:
    play = Play()
    serial = play.acquire(Kind.OBJECT, PAGE_OFFSET + PAGE * 0x500, PAGE)
    play.bound().operand(1, Structure.NESTED_TABLE, PAGE * 0x500)
    assert play.entered().found() == []
    play.vmrun(1, VMCB)
    play.drop(serial)
    play.add(Type.VMEXIT, serial=1)
    assert [one.serial for one in play.found()] == [serial]


def test_a_vmrun_of_nobody_knows_whom_is_told_as_a_doubt() -> None:
    assert Play().entered(0).doubts() == ["a VMRUN whose addresses were not recorded"]


def test_figures_of_what_the_cpu_was_given() -> None:
    records = Play().bound().entered().unmapped().freed().entered().records()
    given = {"vmcb": 1, "iopm": 1, "msrpm": 1, "nested_table": 1, "nested_page": 1}
    assert cpu_document(records) == {
        "vmruns": 2,
        "vcpus": 1,
        "operands": given,
        "pages_freed": 1,
    }
    assert cpu_words(records).startswith(
        "2 VMRUNs of 1 vcpus; the CPU was given 5 addresses: 1 vmcb"
    )
    assert cpu_words(Play().records()) == ""


def test_a_page_that_is_kept_must_not_be_given_to_an_l2() -> None:
    play = Play().bound().entered()
    play.free(OTHER).operand(1, Structure.NESTED_PAGE, OTHER)
    (finding,) = play.entered(control=1).found()
    assert (finding.serial, finding.gpa) == (play.serials[OTHER], OTHER)
    assert "after its release" in finding.detail


def test_a_page_that_the_kernel_has_again_may_be_somebody_elses() -> None:
    play = Play().bound().entered().free(OTHER)
    serial = play.serials[OTHER]
    play.add(Type.RECLAIM, serial=serial, pointer=PAGE_OFFSET + OTHER, kind=int(Kind.PAGES))
    play.operand(1, Structure.NESTED_PAGE, OTHER)
    assert play.entered(control=1).found() == []


@pytest.mark.parametrize("cpu", [0, 1])
def test_a_free_page_that_the_tables_have_still_is_the_fault_in_spite_of_a_flush(cpu: int) -> None:
    play = Play().bound().entered().unmapped().freed().mapped()
    play.vmrun(1, VMCB, control=1, cpu=cpu)
    # As the instrument tells it again, of a page that it found free.
    (finding,) = play.freed().found()
    assert finding.gpa == USER


def test_what_was_a_subjects_page_may_be_a_free_one() -> None:
    play = Play().bound().entered()
    play.taken(play.serials[OTHER])
    play.operand(1, Structure.NESTED_PAGE, OTHER)
    assert play.entered().found() == []
    (finding,) = play.freed(OTHER).found()
    assert (finding.gpa, finding.serial) == (OTHER, 0)


def test_a_page_of_the_subjects_own_that_is_released_in_guest_mode_is_one_fault() -> None:
    """The page allocator has it later, when the instrument gives it back."""
    play = Play().bound()
    serial = play.serials[OTHER]
    play.operand(1, Structure.NESTED_PAGE, OTHER).vmrun(1, VMCB)
    play.free(OTHER).reclaim(serial)
    (one,) = play.freed(OTHER).found()
    assert one.serial == serial


@pytest.mark.parametrize("inside", [False, True])
def test_a_table_that_was_unlinked_in_guest_mode_is_not_flushed_by_that_vmrun(
    inside: bool,
) -> None:
    play = Play().bound()
    play.operand(1, Structure.NESTED_TABLE, OTHER)
    play.entered()
    if not inside:
        play.gone(1, Structure.NESTED_TABLE, OTHER)
    play.vmrun(1, VMCB, control=1)
    if inside:
        play.gone(1, Structure.NESTED_TABLE, OTHER)
    play.free(OTHER).add(Type.VMEXIT, serial=1)
    assert [one.serial for one in play.found()] == ([play.serials[OTHER]] if inside else [])


@pytest.mark.parametrize("field", Field)
def test_what_is_reached_by_a_field_that_is_not_followed_is_a_doubt(field: Field) -> None:
    play = Play().bound()
    play.add(Type.OPERAND, serial=1, detail=int(Structure.MORE) | field << 16)
    (doubt,) = play.entered().doubts()
    assert doubt == f"what an L2 reaches by its VMCB's {operands.UNTOLD[field]} is not known"

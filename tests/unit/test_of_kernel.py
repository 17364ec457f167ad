"""What a scenario takes of the kernel's own allocators, and what lands on the wrong side."""

from freeonce.audit.model import Account, Finding, Rule, Verdict
from freeonce.evidence.ledger import Kind, Type
from tests.unit.history import run

POINTER, OTHER, VMCB = 0x1000, 0x9000, 0x20_0000


def said(finding: Finding) -> tuple[Rule, str, int]:
    return finding.rule, finding.kind, finding.serial


def test_what_was_taken_of_the_kernel_and_given_back_is_clean() -> None:
    judgement = run().take(1, POINTER).give(1, POINTER).done()
    assert judgement.verdict is Verdict.CLEAN
    assert (judgement.allocations, judgement.releases) == (1, 1)


def test_what_was_taken_of_the_kernel_and_forgotten_is_a_leak_of_its_family() -> None:
    (leak,) = run().take(1, POINTER, size=48).done().findings
    assert said(leak) == (Rule.LEAK, "slab", 1)
    assert leak.size == 48


def test_kfree_of_pool_memory_is_told_with_its_call_and_its_step() -> None:
    history = run().allocate(1, POINTER).text(Type.LABEL, "state", serial=1)
    history.text(Type.STEP, "kfree").give(1, POINTER, withheld=True)
    history.rows[-1]["site"] = 0x40
    judgement = history.done()
    (found,) = judgement.findings
    assert said(found) == (Rule.UNLEDGERED, "pool", 1)
    assert (found.what, found.at, found.site) == ("state", "kfree", 0x40)
    assert found.detail == "released by kfree(), past the ledger"
    # The ledger itself tells it, and the other two say the same.
    assert set(judgement.witnesses.values()) == {Account.AGREE}


def test_a_release_past_the_ledger_is_one() -> None:
    history = run().allocate(1, POINTER).give(1, POINTER, withheld=True)
    (past, double) = history.release(1, POINTER, withheld=True).done().findings
    assert said(past) == (Rule.UNLEDGERED, "pool", 1)
    assert said(double) == (Rule.DOUBLE_FREE, "pool", 1)


def test_it_must_have_been_withheld() -> None:
    """The kernel would have got what the instrument gives back once more when it settles."""
    judgement = run().allocate(1, POINTER).give(1, POINTER).done()
    assert [one.rule for one in judgement.findings] == [Rule.WITNESSES_DISAGREE]


def test_our_release_of_the_kernels_memory_is_invalid_and_no_leak() -> None:
    history = run().take(1, POINTER)
    history.rows[-1]["site"] = 0x40
    (found,) = history.give(1, POINTER, Kind.POOL, withheld=True).done().findings
    assert (found.rule, found.kind, found.pointer) == (Rule.INVALID_FREE, "pool", POINTER)
    assert found.detail == "it is 64 bytes slab, taken from the kernel itself"
    assert found.allocated_site == 0x40


def test_the_books_of_the_kernels_memory_must_be_those_of_the_ledger() -> None:
    history = run().take(1, POINTER).take(2, OTHER).give(2, OTHER)
    history.rows = [row for row in history.rows if row.get("serial") != 1]
    for number, row in enumerate(history.rows, start=1):
        row["sequence"] = number
    judgement = history.done()
    assert judgement.verdict is Verdict.INCOMPLETE
    assert judgement.reasons == (
        "1 allocations were live at the end by the books, 0 by the ledger",
    )


def test_the_kernels_memory_is_none_that_a_cpu_may_be_given() -> None:
    """Nobody keeps its release back; and a vmalloc area has no one gpa behind its first page."""
    history = run().allocate_room().take(901, POINTER, size=0x4000)
    history.rows[-1]["physical"] = VMCB
    history.bind_whole(1, VMCB).add(Type.UNBIND, serial=1)
    history.give(901, POINTER).release_room()
    (found,) = history.done().findings
    assert said(found) == (Rule.HARDWARE_USE_AFTER_FREE, "none", 0)
    assert found.gpa == VMCB
    assert "is in no allocation" in found.detail

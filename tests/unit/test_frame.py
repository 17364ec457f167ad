"""What stands around a run: nothing after its end is of it, and it is as the host asked."""

import re
from pathlib import Path

import numpy as np
import pytest

from freeonce.audit.audit import judge
from freeonce.audit.frame import before_begin
from freeonce.audit.kernel import PROBES
from freeonce.audit.memory import Memory
from freeonce.audit.model import Account, Asked, Judgement, Rule, Verdict
from freeonce.audit.operands import HANDLER
from freeonce.evidence.ledger import (
    RECORD_BYTES,
    Blind,
    Flag,
    Kind,
    Records,
    Structure,
    Type,
    Witness,
    parse_records,
)
from freeonce.evidence.snapshot import Snapshot
from tests.unit.history import PAGE, PAT_WB, History, run

A, B = 0xFFFF_8880_0000_1000, 0xFFFF_8880_0000_2000
LEDGERS = Path(__file__).parents[1] / "data" / "ledgers"


def before_settling(history: History, settled: History) -> History:
    """The records of `history`, then those of `settled` from its settling on."""
    first = next(i for i, row in enumerate(settled.rows) if row["type"] == Type.END) + 1
    for row in settled.rows[first:]:
        history.rows.append(dict(row, sequence=len(history.rows) + 1))
    return history


def ended_with_a_leak() -> History:
    return run().allocate(1, A).end()


def released_late(history: History, *, serial: int = 1, **fields: int) -> History:
    return history.add(
        Type.RELEASE, serial=serial, pointer=A, size=64, kind=int(Kind.POOL), align_log2=3, **fields
    )


def leak(judgement: Judgement) -> str:
    """The detail of the leak that is all there is."""
    assert judgement.verdict is Verdict.FAULTY, judgement.reasons
    (finding,) = judgement.findings
    assert finding.rule is Rule.LEAK
    return finding.detail


def test_a_release_after_the_end_is_a_leak_that_names_it() -> None:
    history = released_late(ended_with_a_leak(), site=0x42)
    history.add(Type.GUARD, serial=1)
    judgement = before_settling(history, ended_with_a_leak().settle()).judged()
    assert leak(judgement) == "released only after the end"
    assert judgement.findings[0].released_site == 0x42
    assert judgement.findings[0].witness == "ledger"
    assert judgement.releases == 0


@pytest.mark.parametrize("filling", [b"\x6b", b"\x00"])
def test_the_memory_of_what_is_released_late_may_be_anything(filling: bytes) -> None:
    """The host may read it before that release, after it and in the midst of it."""
    history = released_late(ended_with_a_leak()).add(Type.GUARD, serial=1)
    before_settling(history, ended_with_a_leak().settle())
    seen = Memory(Snapshot([(A, filling * 80)]), history.memory().gpas)
    assert leak(judge(history.records(), seen)) == "released only after the end"


def test_a_release_while_the_run_is_ended_is_a_leak_too() -> None:
    """The scenario has returned when the states of the CPUs are told again, before the end."""
    history = released_late(run().allocate(1, A).cpu_state()).add(Type.GUARD, serial=1)
    before_settling(history.end(states=False), ended_with_a_leak().settle())
    judgement = history.judged()
    assert leak(judgement) == "released only after the end"
    assert judgement.releases == 0


def test_of_the_kernel_s_memory_too() -> None:
    history = run().take(1, A).cpu_state().give(1, A).end(states=False).settle()
    assert leak(history.judged()) == "released only after the end"


def test_a_second_release_while_the_run_is_ended_is_no_verdict() -> None:
    history = released_late(run().allocate(1, A).release(1, A).cpu_state())
    before_settling(history.end(states=False), ended_with_a_leak().settle())
    judgement = history.judged()
    assert judgement.verdict is Verdict.INCOMPLETE
    assert "something was released again while the run was being ended" in judgement.reasons


@pytest.mark.parametrize("right", [False, True])
def test_a_release_by_another_call_while_the_run_is_ended_is_a_mismatched_free(
    right: bool,
) -> None:
    """It was withheld, so the memory stays live, and the right one may still come too late."""
    history = run().take(1, A).cpu_state()
    about = {"serial": 1, "pointer": A}
    history.add(Type.RELEASE, **about, kind=int(Kind.VMALLOC), flags=int(Flag.WITHHELD))
    if right:
        history.give(1, A)
    history.end(states=False)
    judgement = history.settle().judged()
    assert judgement.reasons == ()
    assert [one.rule for one in judgement.findings] == [Rule.MISMATCHED_FREE]


def test_a_release_after_the_settling_is_a_leak_too() -> None:
    """The module does not know the memory any more then, and no run is current."""
    history = ended_with_a_leak().settle()
    released_late(history, serial=0, run=0, flags=int(Flag.WITHHELD))
    assert leak(history.judged()) == "released only after the end"


def test_a_kernel_that_did_not_come_to_rest_after_the_end_is_no_verdict() -> None:
    """What it puts off may yet write to memory that the host has looked at."""
    history = run().allocate(1, A).release(1, A).end()
    history.add(Type.BLIND, detail=int(Blind.REST))
    judgement = history.settle().judged()
    assert judgement.verdict is Verdict.INCOMPLETE
    said = "the kernel did not come to rest when a scenario was over (1 times)"
    assert said in judgement.reasons


def test_the_second_release_of_released_memory_after_the_end_is_no_verdict() -> None:
    history = released_late(run().allocate(1, A).release(1, A).end())
    judgement = before_settling(history, ended_with_a_leak().settle()).judged()
    assert judgement.verdict is Verdict.INCOMPLETE
    assert judgement.reasons == ("something happened after the end of the run: release",)


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        (Type.STEP, {}),
        (Type.GUARD, {"serial": 2}),
        (Type.RELEASE, {"serial": 1, "pointer": A, "size": 64, "kind": int(Kind.POOL)}),
    ],
)
def test_a_late_release_excuses_only_what_it_wrote(what: Type, fields: dict[str, int]) -> None:
    history = released_late(ended_with_a_leak()).add(Type.GUARD, serial=1).add(what, **fields)
    judgement = before_settling(history, ended_with_a_leak().settle()).judged()
    assert judgement.reasons == (
        f"something happened after the end of the run: {what.name.lower()}",
    )


CLEAN = run().allocate(1, A).release(1, A).allocate(2, B, kind=Kind.CONTIGUOUS)
CLEAN.release(2, B, kind=Kind.CONTIGUOUS).text(Type.STEP, "done").end().settle()


def test_the_end_moved_before_any_work_is_no_verdict() -> None:
    """Whatever stands between the end and the settling was judged as if it stood before."""
    assert CLEAN.judged().verdict is Verdict.CLEAN
    at = next(i for i, row in enumerate(CLEAN.rows) if row["type"] == Type.END)
    for to in range(1, at):
        moved = History(rows=[dict(row) for row in CLEAN.rows], blocks=CLEAN.blocks)
        moved.rows.insert(to, moved.rows.pop(at))
        for number, row in enumerate(moved.rows, start=1):
            row["sequence"] = number
        assert moved.judged().verdict is not Verdict.CLEAN


NO_SETTLING = set(Type) - {Type.RECLAIM, Type.SETTLED, Type.STACK, Type.SYMBOL}


@pytest.mark.parametrize("kind", sorted(NO_SETTLING))
def test_anything_but_settling_after_the_end_is_no_verdict(kind: Type) -> None:
    history = run().end().add(kind, serial=9)
    judgement = before_settling(history, run().end().settle()).judged()
    assert judgement.verdict is Verdict.INCOMPLETE


def test_memory_taken_after_the_end_is_no_verdict() -> None:
    history = run().end().kernel(Type.ALLOCATE, pointer=A, size=64, kind=int(Kind.POOL))
    history.kernel(Type.RELEASE, pointer=A, kind=int(Kind.POOL)).add(Type.SETTLED)
    judgement = history.judged()
    assert "something happened after the end of the run: allocate" in judgement.reasons


def test_a_hypervisor_left_running_is_left_while_the_run_is_settled() -> None:
    def left(on: bool) -> Judgement:
        history = run()
        if on:
            history.add(Type.SVM_ON).operand(0, Structure.HOST_SAVE_AREA, 0)
        history.end().add(Type.UNBIND, serial=1).add(Type.SVM_OFF).add(Type.SETTLED)
        return history.judged()

    assert left(True).reasons == ()
    assert left(False).reasons == ("something happened after the end of the run: svm_off, unbind",)


def test_a_hypervisor_left_running_excuses_only_what_it_records() -> None:
    history = run().add(Type.SVM_ON).operand(0, Structure.HOST_SAVE_AREA, 0)
    history.end().text(Type.STEP, "later").add(Type.SVM_OFF).add(Type.SETTLED)
    assert history.judged().reasons == ("something happened after the end of the run: step",)


@pytest.mark.parametrize("told", [0, 2])
def test_a_settling_that_counts_otherwise_is_no_verdict(told: int) -> None:
    history = run().allocate(1, A).release(1, A).end().settle()
    history.rows[-1]["detail"] = told
    assert "reports another number" in "; ".join(history.judged().reasons)


@pytest.mark.parametrize(("asked", "begun"), [(0, 0), (8, 8), (8, 0), (0, 8), (0, 16), (0, 1)])
def test_a_run_begins_as_the_host_asked_for(asked: int, begun: int) -> None:
    history = run().end().settle()
    history.rows[0]["flags"] = begun
    judgement = judge(history.records(), history.memory(), asked=Asked(flags=asked))
    assert (judgement.verdict is Verdict.CLEAN) == (asked == begun)


def test_every_cpu_of_the_machine_tells_its_state() -> None:
    history = run().end().settle()

    def with_cpus(count: int) -> Judgement:
        return judge(history.records(), history.memory(), asked=Asked(cpus=count))

    assert with_cpus(1).verdict is Verdict.CLEAN
    assert with_cpus(2).reasons == ("the state of CPU 1 was never recorded",)


def test_a_cpu_that_the_machine_has_not_is_no_verdict() -> None:
    history = run().cpu_state(cpu=1).cpu_state(cpu=1).end().settle()
    judgement = judge(history.records(), history.memory(), asked=Asked(cpus=1))
    assert judgement.reasons == ("the ledger has records of CPU 1, but the machine has only 1",)


def test_a_witness_attached_later_has_not_seen_all() -> None:
    history = CLEAN
    for to in range(2, len(history.rows)):
        moved = History(rows=[dict(row) for row in history.rows], blocks=history.blocks)
        moved.rows.insert(to, moved.rows.pop(1))
        for number, row in enumerate(moved.rows, start=1):
            row["sequence"] = number
        judgement = moved.judged()
        assert judgement.verdict is Verdict.INCOMPLETE
        assert judgement.witnesses["kernel"] is Account.MISSING


def parsed(history: History) -> int:
    """How many records are damaged."""
    return parse_records(history.data(), 0).damaged


@pytest.mark.parametrize("kind", Type)
def test_each_witness_tells_only_what_it_can_know(kind: Type) -> None:
    by_kernel = {Type.ALLOCATE, Type.RELEASE, Type.WITNESS_ON}
    by_kernel |= {Type.STACK, Type.SYMBOL, Type.BLIND}
    failed = {"detail": 0xFFFF_FFF4} if kind is Type.ALLOCATE_FAILED else {}
    assert parsed(History().kernel(kind, **failed)) == (kind not in by_kernel)
    assert parsed(History().add(kind, **failed)) == (kind is Type.WITNESS_ON)


# By guest/LEDGER.md's table.
FLAGGED = {"begin", "end", "allocate", "allocate_failed", "release"}
FLAGGED |= {"bind", "operand", "vmrun"}
ALIGNED = {"allocate", "allocate_failed", "release"}
OF_A_KIND = ALIGNED | {"constraint", "reclaim", "restored", "broken", "attempt"}


@pytest.mark.parametrize("kind", [one for one in Type if one is not Type.WITNESS_ON])
def test_a_record_carries_only_what_its_type_does(kind: Type) -> None:
    failed = {"detail": 0xFFFF_FFF4} if kind is Type.ALLOCATE_FAILED else {}
    name = kind.name.lower()
    assert parsed(History().add(kind, flags=1, **failed)) == (name not in FLAGGED)
    assert parsed(History().add(kind, align_log2=3, **failed)) == (name not in ALIGNED)
    assert parsed(History().add(kind, kind=1, **failed)) == (name not in OF_A_KIND)


@pytest.mark.parametrize(("detail", "good"), [(0, 0), (12, 0), (0xFFFF_F000, 0), (0xFFFF_F001, 1)])
def test_an_allocation_fails_with_an_error_of_linux(detail: int, good: int) -> None:
    assert parsed(History().add(Type.ALLOCATE_FAILED, detail=detail)) == 1 - good


def settling(run_number: int = 1) -> History:
    """The settling of the run before, as it stands before a begin."""
    history = History(run=run_number).add(Type.RECLAIM, serial=1, pointer=A)
    return history.kernel(Type.RELEASE, pointer=A).add(Type.SETTLED, detail=1)


def doubts(earlier: History) -> list[str]:
    own = History(run=2).begin().records()
    return list(before_begin(earlier.records(), own))


def test_the_settling_of_the_run_before_is_due() -> None:
    assert doubts(History()) == []
    assert doubts(settling()) == []


@pytest.mark.parametrize(
    "earlier",
    [
        settling().add(Type.RELEASE, serial=1, pointer=A),
        settling().kernel(Type.RELEASE, pointer=A),
        settling().add(Type.STEP),
        settling(run_number=2),
        History(run=1).add(Type.RELEASE, pointer=A).add(Type.SETTLED),
        History(run=2).kernel(Type.RELEASE, pointer=A),
        History(run=1).kernel(Type.RELEASE, pointer=A),
        History(run=1).kernel(Type.ALLOCATE, pointer=A).add(Type.SETTLED),
    ],
)
def test_anything_else_before_the_begin_is_a_doubt(earlier: History) -> None:
    assert doubts(earlier) == ["there are other records before the begin of this run"]


def test_a_run_has_the_number_of_its_begin() -> None:
    """What its module releases after the settling is of none."""
    own = History(run=1).begin()
    for row in own.rows[1:]:
        row["run"] = 0
    found = before_begin(settling(run_number=1).records(), own.records())
    assert list(found) == ["there are other records before the begin of this run"]


SAVE_AREA = 0x40_0000


def with_svm(*told: tuple[int, int, int]) -> tuple[str, ...]:
    """The reasons, with SVM on and its save area told as these (gpa, size, cpu)."""
    history = run().cpu_state(cpu=1)
    history.allocate(1, SAVE_AREA, PAGE, Kind.CONTIGUOUS, 12, detail=PAT_WB)
    history.add(Type.SVM_ON, size=SAVE_AREA)
    # What a vcpu is given there is none of it.
    history.bind(1, 0).operand(1, Structure.NESTED_PAGE, SAVE_AREA).add(Type.UNBIND, serial=1)
    for gpa, size, cpu in told:
        history.operand(0, Structure.HOST_SAVE_AREA, gpa, size, cpu=cpu)
    history.add(Type.SVM_OFF).release(1, SAVE_AREA, PAGE, Kind.CONTIGUOUS, 12).cpu_state(cpu=1)
    return history.done().reasons


def test_what_svm_on_names_must_be_told_as_an_operand() -> None:
    assert with_svm((SAVE_AREA, PAGE, 0)) == ()
    untold = ("a host save area that a CPU was given was not recorded",)
    assert with_svm() == untold
    assert with_svm((SAVE_AREA + PAGE, PAGE, 0)) == untold
    assert with_svm((SAVE_AREA, PAGE, 1)) == untold


FIXED = {Structure.IOPM: 12 << 10, Structure.MSRPM: 8 << 10}
"""15.10.1 and 15.11; all other structures are a page, and what an L2 is given whole pages."""


@pytest.mark.parametrize("structure", set(Structure) - {Structure.MORE, *HANDLER})
def test_operands_have_the_manuals_sizes(structure: Structure) -> None:
    right = FIXED.get(structure, PAGE)
    pages = (Structure.NESTED_PAGE, Structure.PAGE)
    for size in (0, 1, right - 1, right, right + PAGE):
        history = run().bind(1, 0).operand(1, structure, SAVE_AREA, size)
        whole = size == right or (structure in pages and size and size % PAGE == 0)
        assert any("size" in reason for reason in history.done().reasons) != whole


@pytest.mark.parametrize("structure", HANDLER)
def test_what_a_handler_uses_may_be_of_any_size_but_none(structure: Structure) -> None:
    for size in (0, 1, PAGE):
        reasons = run().operand(0, structure, SAVE_AREA, size).add(Type.LEFT).done().reasons
        assert any("size" in reason for reason in reasons) is (size == 0)


@pytest.mark.parametrize("times", [0, 1, 2])
def test_memory_of_another_cache_type_is_told_to_be_restored_once(times: int) -> None:
    history = run().allocate(1, SAVE_AREA, PAGE, Kind.CONTIGUOUS, 12, detail=1)
    history.release(1, SAVE_AREA, PAGE, Kind.CONTIGUOUS, 12).rows.pop()
    for _ in range(times):
        history.add(Type.RESTORED, serial=1, pointer=SAVE_AREA, detail=PAT_WB)
    untold = ("the cache type of released memory was not recorded exactly once",)
    assert history.done().reasons == (() if times == 1 else untold)


def ledger(name: str) -> tuple[Records, tuple[str, ...]]:
    """Records of a real or made-up window, and whether some of them are damaged."""
    data = (LEDGERS / f"{name}.ledger").read_bytes()
    found = parse_records(data, int.from_bytes(data[:4], "little") - 1)
    assert len(found.records) + found.damaged == len(data) // RECORD_BYTES
    records = found.records.copy()
    # The kernel's witness had fewer probes then.
    records["detail"][records["type"] == Type.WITNESS_ON] = PROBES
    return records, ("damaged",) if found.damaged else ()


def live_memory(records: Records) -> Memory:
    """As the owner says: guards live, or released with poison."""
    owned = (records["type"] == Type.ALLOCATE) & (records["witness"] == Witness.LEDGER)
    (made,) = records[owned]
    size, start = int(made["size"]), int(made["physical"])
    last = size + 15
    gpas: dict[int, int | None] = {
        int(made["pointer"]): start,
        int(made["pointer"]) + last: start + last,
    }
    raw = int(made["detail"]).to_bytes(4, "little") + int(made["serial"]).to_bytes(4, "little")
    return Memory(Snapshot([(start, b"\x6b" * size + raw + b"\xcc" * 8)]), gpas)


def test_a_late_release_of_a_real_guest_is_a_leak() -> None:
    records, damaged = ledger("late-release-clean")
    judgement = judge(records, live_memory(records), damaged, asked=Asked(cpus=2))
    assert leak(judgement) == "released only after the end"


@pytest.mark.parametrize("name", ["real-flag-leak", "real-flag-uaf"])
def test_one_bit_in_begin_hides_no_fault_of_a_real_guest(name: str) -> None:
    records, damaged = ledger(name)
    judgement = judge(records, live_memory(records), damaged, asked=Asked(cpus=2))
    assert judgement.verdict is Verdict.INCOMPLETE
    assert "another kind of run" in "; ".join(judgement.reasons)


@pytest.mark.parametrize("name", ["hist-a3a85839", "range-keyerror"])
def test_ledgers_that_made_the_audit_fail_are_judged(name: str) -> None:
    records, damaged = ledger(name)
    assert judge(records, None, damaged).verdict is Verdict.INCOMPLETE
    # And as if each record were taken at its word.
    raw = np.frombuffer((LEDGERS / f"{name}.ledger").read_bytes(), records.dtype)
    assert judge(raw, None).verdict is Verdict.INCOMPLETE


@pytest.mark.parametrize(
    ("failed", "words"),
    [
        (
            {"detail": -7, "physical": 2 << 20},
            "4194304 bytes pool were refused: the largest possible size is 2097152",
        ),
        (
            {"detail": -11},
            "bytes pool were refused: it may sleep, which is not allowed here",
        ),
        ({"detail": -12}, r"bytes pool were refused: -12 \(ENOMEM\)"),
        ({"detail": -12, "flags": int(Flag.INJECTED)}, "bytes pool were refused: made to fail"),
    ],
)
def test_who_gave_up_says_what_was_refused(failed: dict[str, int], words: str) -> None:
    fields = {**failed, "detail": failed["detail"] & 0xFFFF_FFFF}
    history = run().add(Type.ALLOCATE_FAILED, kind=int(Kind.POOL), size=4 << 20, **fields)
    (reason,) = history.end(-12).settle().judged().reasons
    assert re.search(rf"gave up with -12 \(ENOMEM\); .*{words}", reason)


@pytest.mark.parametrize("status", [-12, 5])
def test_a_scenario_that_returns_anything_but_0_gave_up(status: int) -> None:
    history = run()
    for step in ("first", "second", "third"):
        history.text(Type.STEP, step)
    (reason,) = history.end(status).settle().judged().reasons
    assert reason.startswith(f"the scenario gave up with {status} ")
    assert reason.endswith('after "third"')


def test_of_several_refused_allocations_the_last_is_told() -> None:
    history = run()
    for size in (1 << 20, 4096):
        detail = -12 & 0xFFFF_FFFF
        history.add(Type.ALLOCATE_FAILED, kind=int(Kind.POOL), size=size, detail=detail)
    (reason,) = history.end(-12).settle().judged().reasons
    assert "; 4096 bytes pool were refused" in reason


def test_a_second_begin_is_of_another_run() -> None:
    history = run().text(Type.BEGIN, "test/scenario").end().settle()
    assert "the ledger has no begin of this run" in history.judged().reasons


def test_what_was_given_back_before_the_end_is_not_settling() -> None:
    history = run().allocate(1, A).release(1, A).allocate(2, B)
    history.add(Type.RECLAIM, serial=2, pointer=B, kind=int(Kind.POOL)).end().settle()
    # Both are given back after the end as well, as settling says.
    assert not any("settling gave back" in reason for reason in history.judged().reasons)


@pytest.mark.parametrize(
    ("number", "which"), [(0, Type.STEP), (0, Type.END), (7, Type.STEP), (7, Type.RECLAIM)]
)
def test_a_record_of_no_run_or_another_is_no_part_of_this_one(number: int, which: Type) -> None:
    history = run().allocate(1, A).text(Type.STEP, "here").release(1, A).end().settle()
    for row in history.rows:
        if row["type"] == which:
            row["run"] = number
    assert "records of several runs are mixed" in history.judged().reasons

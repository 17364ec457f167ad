"""One guest, asked in every way: the module's files, the ledger, both accounts of it."""

import errno
from collections.abc import Iterator

import pytest

from freeonce.audit.audit import judge
from freeonce.audit.model import Account, Judgement, Rule, Verdict
from freeonce.audit.result import Evidence
from freeonce.errors import CommandFailed
from freeonce.evidence.ledger import Flag, Records, Type, Witness, signed, text_of
from freeonce.guest import CONTROL, Guest
from freeonce.guest.files import GuestFile, send
from freeonce.run.campaign import run_one
from freeonce.run.hear import collect


def evidence_of(guest: Guest, command: str) -> Evidence:
    before = guest.header()
    guest.run(command)
    evidence, fit = collect(guest, before, command)
    assert fit
    return evidence


def judged(evidence: Evidence) -> Judgement:
    return judge(evidence.records, evidence.memory, evidence.doubts, evidence.account)


def of_owner(records: Records, kind: Type) -> Records:
    """The owner's records of a type; the kernel has its own."""
    chosen: Records = records[(records["type"] == kind) & (records["witness"] == Witness.LEDGER)]
    return chosen


def texts(evidence: Evidence, kind: Type) -> Iterator[str]:
    for record in evidence.records[evidence.records["type"] == kind]:
        yield text_of(record)


def test_host_and_guest_read_the_same_records(guest: Guest) -> None:
    evidence = evidence_of(guest, "box/built_then_moved")
    assert evidence.doubts == ()
    assert evidence.account is Account.AGREE
    assert list(texts(evidence, Type.BEGIN)) == ["box/built_then_moved"]
    assert list(texts(evidence, Type.LABEL)) == ["bar", "foo"]
    assert list(texts(evidence, Type.STEP)) == ["end of scope"]


def test_nested_owners_are_released_inside_out(guest: Guest) -> None:
    records = evidence_of(guest, "allocator/nested_mixed").records
    labels = records[records["type"] == Type.LABEL]
    names = {int(label["serial"]): text_of(label) for label in labels}
    releases = of_owner(records, Type.RELEASE)
    assert [names[int(one["serial"])] for one in releases] == ["inner", "middle", "outer"]


def test_each_impossible_placement_is_refused_with_its_reason(guest: Guest) -> None:
    records = evidence_of(guest, "c/placement").records
    refused = {}
    for record in records[records["type"] == Type.ALLOCATE_FAILED]:
        steps = records[records["type"] == Type.STEP]
        step = steps[steps["sequence"] < record["sequence"]][-1]
        refused[text_of(step)] = -signed(int(record["detail"]))
    assert refused == {
        "no bytes": errno.EINVAL,
        "lowest above highest": errno.EINVAL,
        "larger than its range": errno.EINVAL,
        "above all memory": errno.ERANGE,
        "alignment no power of 2": errno.EINVAL,
        "boundary no power of 2": errno.EINVAL,
        "larger than boundary": errno.EINVAL,
        "no such cache type": errno.EINVAL,
        "no such node": errno.ENODEV,
        "larger than memory": errno.ERANGE,
    }


def test_placements_are_what_was_asked_for(guest: Guest) -> None:
    """By the recorded addresses, not by the audit's rule."""
    records = evidence_of(guest, "c/placement").records
    placed = of_owner(records, Type.ALLOCATE)
    gpas = [int(gpa) for gpa in placed["physical"]]
    assert gpas[0] < 16 << 20
    assert 64 << 20 <= gpas[1] < 128 << 20
    assert gpas[2] >= 64 << 20
    assert gpas[3] % (1 << 20) == 0
    assert gpas[4] // 0x4000 == (gpas[4] + 0x2FFF) // 0x4000
    assert gpas[5] // 0x10000 == (gpas[5] + 0xFFFF) // 0x10000
    # PAT types: write-combining, uncached as UC-, and write-back for the others.
    assert [int(detail) & 0xFF for detail in placed["detail"]] == [6, 6, 6, 6, 6, 6, 1, 7, 6]


def test_an_allocation_made_to_fail_is_recorded_as_such(guest: Guest) -> None:
    evidence = evidence_of(guest, "allocator/nested_mixed fail=2")
    records = evidence.records
    (failed,) = records[records["type"] == Type.ALLOCATE_FAILED]
    assert failed["flags"] == Flag.INJECTED
    assert signed(int(failed["detail"])) == -errno.ENOMEM
    judgement = judged(evidence)
    # It gave up, and gave back what it had.
    assert judgement.verdict is Verdict.INCOMPLETE
    assert judgement.findings == ()
    assert (judgement.allocations, judgement.releases) == (1, 1)


def test_a_faulty_scenario_leaves_the_guest_fit(guest: Guest) -> None:
    scenarios = {scenario.name: scenario for scenario in guest.scenarios()}
    for name in ("fault/double-free/contiguous/c", "allocated_memory/first"):
        for wanted in (name, "c/contiguous"):
            result, fit = run_one(guest, scenarios[wanted])
            assert fit
            assert result.as_expected


def test_leaked_memory_goes_back_when_the_run_is_settled(guest: Guest) -> None:
    records = evidence_of(guest, "fault/leak/contiguous/c").records
    (serial,) = of_owner(records, Type.ALLOCATE)["serial"]
    (end,) = records[records["type"] == Type.END]["sequence"]
    (reclaim,) = records[records["type"] == Type.RECLAIM]
    assert (reclaim["serial"], reclaim["sequence"]) == (serial, end + 1)
    assert records[-1]["type"] == Type.SETTLED


def test_a_run_that_nobody_settled_is_settled_by_the_next(guest: Guest) -> None:
    guest.run("fault/leak/pool/c")
    evidence = evidence_of(guest, "c/pool")
    assert judged(evidence).verdict is Verdict.CLEAN
    assert set(evidence.records["run"]) == {int(evidence.records["run"][0])}


def test_the_kernel_sees_each_allocation_and_each_release_once(guest: Guest) -> None:
    evidence = evidence_of(guest, "c/contiguous")
    kernels = evidence.records[evidence.records["witness"] == Witness.KERNEL]
    assert len(kernels) == 1 + 2 * 5  # attached; five allocations and releases


@pytest.mark.parametrize(
    "command", ["no/such", "", "c/pool fail=", "c/pool fail=x", "c/pool what=1", "x" * 300]
)
def test_a_bad_command_is_refused_and_runs_nothing(guest: Guest, command: str) -> None:
    before = guest.header().appended
    with pytest.raises(CommandFailed):
        guest.run(command)
    assert guest.header().appended == before


def test_a_file_that_does_not_fit_is_told(guest: Guest) -> None:
    guest.command("mkdir /small && mount -t tmpfs -o size=64k small /small")
    send(guest, [GuestFile("/small/fits", bytes(8 << 10))])
    with pytest.raises(CommandFailed, match="No space left"):
        send(guest, [GuestFile("/small/last", bytes(200 << 10))])


def test_a_full_ledger_is_never_a_verdict(guest: Guest) -> None:
    """Written over from the guest: the count claims more than fits."""
    header = guest.header()
    claimed = (header.capacity + 5).to_bytes(8, "little")
    escaped = "".join(f"\\x{byte:02x}" for byte in claimed)
    where = guest.config.window.base + 24
    poke = f"printf '{escaped}' | dd of=/dev/mem bs=1 seek={where} conv=notrunc 2>&1"
    try:
        guest.command(poke)
    except CommandFailed as error:
        pytest.fail(f"the guest may not write to its own window: {error}")
    try:
        evidence = evidence_of(guest, "c/pool")
        assert "dropped" in "; ".join(evidence.doubts)
        assert judged(evidence).verdict is Verdict.INCOMPLETE
    finally:
        restore = "".join(f"\\x{byte:02x}" for byte in header.appended.to_bytes(8, "little"))
        guest.command(poke.replace(escaped, restore))


def test_unloading_gives_everything_back_and_loading_begins_anew(guest: Guest) -> None:
    guest.run("fault/leak/pool/c")
    guest.unload_modules()
    assert guest.command(f"ls {CONTROL} 2>/dev/null || echo gone") == b"gone\n"
    guest.load_modules()
    # Only each CPU's state, as the module found it.
    assert guest.header().appended == guest.config.cpus
    result, _ = run_one(guest, next(one for one in guest.scenarios() if one.name == "c/pool"))
    assert result.judgement.verdict is Verdict.CLEAN


def test_the_module_refuses_a_window_in_ordinary_memory(guest: Guest) -> None:
    guest.unload_modules()
    try:
        with pytest.raises(CommandFailed):
            guest.command("insmod /lib/freeonce.ko window_base=0x4000000 window_bytes=0x800000")
        said = guest.command("dmesg | tail -n 1").decode()
        assert "ordinary memory; boot with memmap=0x800000$0x4000000" in said
        with pytest.raises(CommandFailed):
            guest.command("insmod /lib/freeonce.ko")
    finally:
        guest.load_modules()


def test_findings_carry_the_place_of_the_call(guest: Guest) -> None:
    evidence = evidence_of(guest, "fault/double-free/pool/c")
    (finding,) = judged(evidence).findings
    assert finding.rule is Rule.DOUBLE_FREE
    assert finding.site > 0


def test_the_cpu_is_left_as_it_was_found(guest: Guest) -> None:
    """By the registers read before SVM and after it, not by the audit's rule."""
    records = evidence_of(guest, "svm/vmrun_exits").records
    (on,) = records[records["type"] == Type.SVM_ON]
    (off,) = records[records["type"] == Type.SVM_OFF]
    efer_svme = 1 << 12
    assert int(on["pointer"]) & efer_svme == 0
    assert (off["pointer"], off["physical"]) == (on["pointer"], on["physical"])
    # While it was on, VM_HSAVE_PA pointed at an allocation of the run.
    assert on["size"] in of_owner(records, Type.ALLOCATE)["physical"]


def test_the_exits_are_those_of_the_program(guest: Guest) -> None:
    records = evidence_of(guest, "svm/vmrun_exits").records
    exits = [int(code) for code in records[records["type"] == Type.VMEXIT]["detail"]]
    intr = 0x60
    # CPUID, IOIO, VMMCALL, HLT, and VMMCALL when it is done: AMD manual volume 2, appendix C.
    assert [code for code in exits if code != intr] == [0x72, 0x7B, 0x81, 0x78, 0x81]


def test_page_attributes_are_restored_at_the_release(guest: Guest) -> None:
    records = evidence_of(guest, "c/placement").records
    restored = records[records["type"] == Type.RESTORED]
    # One write-combining and one uncached allocation; PAT type 6 is write-back.
    assert [int(detail) for detail in restored["detail"]] == [6, 6]

"""Linux as the guest of a hypervisor of ours: from outside, in real guests."""

from dataclasses import replace

import pytest

from freeonce.audit.cpu_state import at_unload
from freeonce.audit.model import Verdict
from freeonce.evidence.ledger import Records, Structure, Type, parse_records
from freeonce.guest import CONTROL, Guest, boot
from freeonce.project.setting import Setting
from freeonce.run.campaign import run_all, run_one
from freeonce.run.hire import shared_guest
from freeonce.run.task import Options

pytestmark = pytest.mark.xdist_group("hypervisor")

CPUID = 0x72
ROUNDS = 100


def test_ssh_answers_while_linux_is_the_guest(guest: Guest) -> None:
    before = guest.header()
    started = f"echo hypervisor/virtualize_for_a_while >{CONTROL}/run 2>/dev/null & echo $!"
    runner = guest.command(started).decode().strip()
    answers = []
    while guest.command(f"kill -0 {runner} 2>/dev/null && echo runs || echo over") == b"runs\n":
        answers.append(guest.command("uname -s"))
    assert set(answers) == {b"Linux\n"}
    header, data = guest.window(before.count)
    records = parse_records(data, before.count).records
    steps = records["time"][records["type"] == Type.STEP]
    # In guest mode from the second step to the last: a second, and it never stood still.
    assert int(steps[-1]) - int(steps[1]) >= 1_000_000_000
    assert header.dropped == 0


def test_every_cpu_enters_and_exits_by_cpuid(guest: Guest, setting: Setting) -> None:
    before = guest.header()
    guest.run("hypervisor/virtualize")
    _, data = guest.window(before.count)
    records = parse_records(data, before.count).records
    exits = records[(records["type"] == Type.VMEXIT) & (records["detail"] == CPUID)]
    assert set(exits["cpu"]) == set(range(setting.config().cpus))


def test_a_hundred_rounds_on_two_cpus_are_clean(setting: Setting) -> None:
    options = Options(faults=False, repeat=ROUNDS)
    with shared_guest(setting) as crew:
        results = list(run_all(crew, ["hypervisor/virtualize"], options))
    assert len(results) == ROUNDS
    for one in results:
        assert one.judgement.verdict is Verdict.CLEAN, one.judgement
        assert set(one.judgement.witnesses.values()) == {"agree"}


def operands_of(guest: Guest, name: str) -> Records:
    (scenario,) = [one for one in guest.scenarios() if one.name == name]
    records = run_one(guest, scenario)[0].evidence.records
    told: Records = records[records["type"] == Type.OPERAND]
    return told


ALWAYS = {
    *(Structure.VMCB, Structure.HOST_VMCB, Structure.HOST_SAVE_AREA),
    *(Structure.IOPM, Structure.MSRPM),
}
"""What every VMRUN gives to the CPU."""


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("svm/vmrun_exits", {Structure.NESTED_TABLE, Structure.NESTED_PAGE}),
        ("svm/without_nested_paging", {Structure.PAGE_TABLE, Structure.PAGE}),
        (
            "hypervisor/virtualize",
            {
                *(Structure.NESTED_TABLE, Structure.NESTED_PAGE, Structure.VMSAVE),
                *(Structure.HANDLER_STACK, Structure.HANDLER_DATA),
            },
        ),
    ],
)
def test_what_the_cpu_is_given_is_all_told(guest: Guest, name: str, more: set[Structure]) -> None:
    operands = operands_of(guest, name)
    assert {Structure(int(one["detail"]) & 0xFF) for one in operands} == ALWAYS | more


def test_each_structure_is_told_in_its_full_length(guest: Guest) -> None:
    operands = operands_of(guest, "svm/vmrun_exits")
    sizes = {Structure(int(one["detail"]) & 0xFF): int(one["size"]) for one in operands}
    # 15.5.1, 15.10.1, 15.11, 15.25.3
    assert sizes[Structure.VMCB] == sizes[Structure.HOST_SAVE_AREA] == 4096
    assert (sizes[Structure.IOPM], sizes[Structure.MSRPM]) == (12 << 10, 8 << 10)


def test_the_module_leaves_every_cpu_as_it_found_it(setting: Setting) -> None:
    with boot(setting.config(), setting.image) as guest:
        guest.run("hypervisor/virtualize")
        guest.run("fault/not-restored/none/c/efer-elsewhere")
        guest.unload_modules()
        header, data = guest.window(0)
        records = parse_records(data, 0).records
        assert header.dropped == 0
        assert records["type"][-1] == Type.MODULE_EXIT
        assert at_unload(records) == []
        told = records[(records["type"] == Type.CPU_STATE) & (records["run"] == 0)]
        assert sorted(told["serial"]) == [0, 0, 1, 1]


def test_on_one_cpu_what_needs_two_is_unsupported(setting: Setting) -> None:
    names = {
        "hypervisor/teardown_on_one_cpu",
        "hypervisor/virtualize",
        "svm/all_cpus_at_once",
        "fault/misplaced/contiguous/rust/host-save-area-shared",
        "fault/not-restored/none/c/efer-elsewhere",
    }
    with boot(replace(setting.config(), cpus=1), setting.image) as guest:
        scenarios = [one for one in guest.scenarios() if one.name in names]
        assert len(scenarios) == len(names)
        for scenario in scenarios:
            result, fit = run_one(guest, scenario)
            assert result.judgement.verdict is Verdict.UNSUPPORTED
            assert result.judgement.reasons == ("not on this CPU: 2 CPUs",)
            assert result.as_expected
            assert fit

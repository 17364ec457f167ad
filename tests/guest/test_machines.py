"""Guests of other makes: no SVM, four levels of paging, one that dies."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from freeonce.audit.model import Rule, Verdict
from freeonce.audit.result import Result
from freeonce.errors import GuestLost
from freeonce.evidence.scenarios import Scenario
from freeonce.guest import Guest, boot, clone, template_of
from freeonce.machine.argv import MachineConfig
from freeonce.project.machine import Machine
from freeonce.project.setting import Setting
from freeonce.run.campaign import run_all
from freeonce.run.choose import select
from freeonce.run.conclude import exit_status
from freeonce.run.crew import SharedGuest
from freeonce.run.hire import clones
from freeonce.run.task import Boot, Options

QUICK = Options(faults=False)
C_SCENARIOS = ["c/pool", "c/contiguous", "c/placement"]


def in_one_guest(
    make: Boot, patterns: list[str], starting: Callable[[Scenario], None] = lambda _: None
) -> list[Result]:
    with SharedGuest(make) as crew:
        return list(run_all(crew, patterns, QUICK, starting=starting))


def in_clones(setting: Setting, patterns: list[str], options: Options = QUICK) -> list[Result]:
    with clones(setting, 1) as crew:
        return list(run_all(crew, patterns, options))


def tcg(setting: Setting, cpu: str) -> MachineConfig:
    """A machine with a CPU model that only TCG can give on any host."""
    return replace(setting.config(), cpu=cpu, accelerator="tcg")


def test_without_svm_the_module_loads_and_says_what_is_missing(setting: Setting) -> None:
    config = replace(tcg(setting, "max,-svm"), features=frozenset())
    svm, pool = in_one_guest(lambda: boot(config, setting.image), ["svm/vmrun_exits", "c/pool"])
    assert svm.judgement.verdict is Verdict.UNSUPPORTED
    assert svm.judgement.reasons == ("not on this CPU: CPUID Fn8000_0001_ECX[2]",)
    assert svm.judgement.allocations == 0
    assert pool.judgement.verdict is Verdict.CLEAN
    assert exit_status([svm, pool]) == 0


def test_a_guests_qemu_may_not_call_what_it_does_not_need(guest: Guest) -> None:
    """proc(5): Seccomp is 2 where system calls are filtered."""
    status = Path(f"/proc/{guest.process.pid}/status").read_text()
    assert "Seccomp:\t2\n" in status


def test_the_machine_is_as_the_user_chose(setting: Setting) -> None:
    chosen = Machine(320, 3, "freeonce.test=1", ("-device", "virtio-rng-pci"))
    other = replace(setting, machine=chosen)
    with template_of(other) as source, clone(source, setting.image) as guest:
        assert guest.command("nproc") == b"3\n"
        assert b" freeonce.test=1" in guest.command("cat /proc/cmdline")
        total = guest.command("awk '/MemTotal/ { print $2 }' /proc/meminfo")
        assert 256 << 10 < int(total) < 320 << 10
        # PCI ID of a virtio random number generator (virtio 1.2, 4.1.2.1): 0x1005 or 0x1044.
        devices = guest.command("cat /sys/bus/pci/devices/*/device").split()
        assert {b"0x1005", b"0x1044"} & set(devices)


@pytest.mark.parametrize(("kernel", "levels"), [("boot", 4), ("kernel/bzImage", 5)])
def test_the_nested_page_table_follows_the_paging_of_the_host(
    setting: Setting, kernel: str, levels: int
) -> None:
    """Only the bzImage's own loader turns on five levels; by PVH it is never run."""
    file = setting.image.manifest.parent / kernel
    config = replace(tcg(setting, "max,+svm,+npt"), boot=file)
    with boot(config, setting.image) as guest:
        five = b"la57" in guest.command("cat /proc/cpuinfo")
    assert five == (levels == 5)
    (result,) = in_one_guest(lambda: boot(config, setting.image), ["svm/vmrun_exits"])
    assert result.judgement.verdict is Verdict.CLEAN
    # A table for each level: at most five, so there are always as many.
    assert result.judgement.allocations == 13


def test_each_node_is_honoured_on_a_machine_with_two(setting: Setting) -> None:
    config = replace(setting.config(), nodes=2, cpus=2)
    (scenario,) = in_one_guest(lambda: boot(config, setting.image), ["c/placement"])
    assert scenario.judgement.verdict is Verdict.CLEAN
    # Eight constraints of other kinds, and one allocation on each node.
    assert scenario.judgement.allocations == 8 + 2


def test_a_guest_that_dies_is_incomplete_and_the_next_scenario_gets_a_new_one(
    setting: Setting,
) -> None:
    guests: list[int] = []

    @contextmanager
    def counted() -> Iterator[Guest]:
        with boot(setting.config(), setting.image) as guest:
            guests.append(guest.process.pid)
            yield guest

    def kill_before_second(scenario: Scenario) -> None:
        if scenario.name == "c/contiguous":
            os.kill(guests[0], signal.SIGKILL)

    results = in_one_guest(counted, C_SCENARIOS, kill_before_second)
    verdicts = [result.judgement.verdict for result in results]
    assert verdicts == [Verdict.CLEAN, Verdict.INCOMPLETE, Verdict.CLEAN]
    assert "QEMU" in results[1].judgement.reasons[0] or "QMP" in results[1].judgement.reasons[0]
    assert len(guests) == 2
    assert exit_status(results) == 4


def test_a_guest_that_dies_in_a_scenario_is_lost_with_it(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the harness waits for the command, not between two of them."""
    real = Guest.run

    def dying(guest: Guest, name: str, seconds: float) -> None:
        if name == "c/contiguous":
            pid = guest.process.pid
            threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
            guest.command("sleep 30")
        real(guest, name, seconds)

    monkeypatch.setattr(Guest, "run", dying)
    results = in_clones(setting, C_SCENARIOS)
    verdicts = [result.judgement.verdict for result in results]
    assert verdicts == [Verdict.CLEAN, Verdict.INCOMPLETE, Verdict.CLEAN]
    assert "lost" in results[1].judgement.reasons[0]


def test_without_a_new_guest_what_was_won_is_kept(setting: Setting) -> None:
    pids: list[int] = []

    @contextmanager
    def once() -> Iterator[Guest]:
        if pids:
            raise GuestLost("no memory left on this host")
        with boot(setting.config(), setting.image) as guest:
            pids.append(guest.process.pid)
            yield guest

    def kill(scenario: Scenario) -> None:
        if scenario.name == "c/contiguous":
            os.kill(pids[0], signal.SIGKILL)

    results = in_one_guest(once, C_SCENARIOS, kill)
    assert [one.judgement.verdict for one in results] == [
        Verdict.CLEAN,
        Verdict.INCOMPLETE,
        Verdict.INCOMPLETE,
    ]
    assert "no memory left on this host" in results[2].judgement.reasons[0]


def test_a_kernel_that_panics_says_so_with_its_console(guest: Guest) -> None:
    with pytest.raises(GuestLost) as lost:
        guest.command("echo c >/proc/sysrq-trigger")
    assert "Kernel panic - not syncing: sysrq triggered crash" in lost.value.console
    # Its memory is still there to read.
    assert guest.header().capacity > 0


def test_a_scenario_that_hangs_ends_at_its_deadline(guest: Guest) -> None:
    with pytest.raises(GuestLost, match="took more than 1 s"):
        guest.command("sleep 100", seconds=1)


# How each scenario loses its guest, by what its source does.
LOST = {
    "postmortem/panic": ("panic", "planted panic"),
    "postmortem/oops": ("oops", "NULL pointer dereference"),
    "postmortem/triple-fault": ("reset", "shutdown"),
    "postmortem/window-overwritten": ("ledger", "no ledger in the window"),
    "postmortem/hang": ("hang", "took more than"),
    "postmortem/double-free-real": ("oops", "kernel BUG at mm/slub.c"),
    "alloc_error/new_in_fails": ("rust-panic", "memory allocation of 64 bytes failed"),
}


@pytest.mark.parametrize("name", LOST)
def test_a_lost_guest_is_told_how_and_the_next_scenario_runs(setting: Setting, name: str) -> None:
    loss, words = LOST[name]
    command = "act=real" if name.endswith("-real") else ""
    options = Options(command, 3 if loss == "hang" else 30, faults=False)
    lost, clean = sorted(
        in_clones(setting, [name, "c/pool"], options), key=lambda one: one.loss is None
    )
    assert lost.scenario.name == name
    assert lost.judgement.verdict is Verdict.INCOMPLETE
    assert lost.loss == loss
    assert lost.as_expected
    assert words in "\n".join(lost.judgement.reasons)
    assert clean.judgement.verdict is Verdict.CLEAN or options.command


def test_with_act_real_the_kernel_has_what_the_cpu_held_once(setting: Setting) -> None:
    name = "fault/hardware-use-after-free/pool/c/nested-page"
    (result,) = in_clones(setting, [name], Options("act=real", 30, faults=False))
    # Not lost: settling does not give it back once more, which SLUB would not survive.
    assert (result.loss, result.judgement.reasons) == (None, ())
    assert [one.rule for one in result.judgement.findings] == [Rule.HARDWARE_USE_AFTER_FREE]


def test_what_was_proven_before_the_loss_is_reported(setting: Setting) -> None:
    (lost,) = in_clones(setting, ["postmortem/triple-fault"])
    assert [one.rule for one in lost.judgement.findings] == [Rule.NULL_FREE]


def test_a_guest_whose_ssh_dies_is_lost(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Guest.run

    def killing(guest: Guest, name: str, seconds: float) -> None:
        if name == "c/pool":
            guest.command("killall -9 dropbear", seconds)
        real(guest, name, seconds)

    monkeypatch.setattr(Guest, "run", killing)
    lost, clean = in_clones(setting, ["c/pool", "c/contiguous"])
    assert (lost.loss, lost.judgement.verdict) == ("ssh", Verdict.INCOMPLETE)
    assert clean.judgement.verdict is Verdict.CLEAN


def test_scenarios_that_lose_the_guest_only_run_when_named(guest: Guest) -> None:
    scenarios = guest.scenarios()
    assert {one.name for one in scenarios if one.ends} == LOST.keys()
    assert not {one.name for one in select(scenarios, [])} & LOST.keys()

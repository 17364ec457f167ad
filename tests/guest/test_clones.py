"""Clones: each pristine, none seen by another, and nothing of them or their template left."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freeonce.audit.model import Verdict
from freeonce.audit.result import Result
from freeonce.deadline import Deadline
from freeonce.errors import CommandFailed, GuestLost, Loss
from freeonce.evidence.ledger import Records, Type, Witness, parse_records
from freeonce.guest import Guest, clone, take_template
from freeonce.machine.template import Template, origin, ram_files, template
from freeonce.project.setting import Setting
from freeonce.run.campaign import run_all, run_one
from freeonce.run.hire import clones
from freeonce.run.task import Options

GRACE_SECONDS = 30.0
MANY = 50
QUICK = Options(faults=False)


@contextmanager
def several(
    setting: Setting, source: Template, count: int, at_once: int = 2
) -> Iterator[list[Guest]]:
    """So many that run at the same time; started by a few threads."""
    with ExitStack() as stack, ThreadPoolExecutor(at_once) as pool:
        makers = [clone(source, setting.image) for _ in range(count)]
        for maker in makers:
            stack.push(maker)
        yield list(pool.map(lambda maker: maker.__enter__(), makers))


def digest(source: Template) -> str:
    found = hashlib.sha256()
    for ram in source.rams:
        with open(ram, "rb", closefd=False) as file:
            file.seek(0)
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def scenario_run(guest: Guest, name: str) -> Result:
    (scenario,) = [one for one in guest.scenarios() if one.name == name]
    return run_one(guest, scenario)[0]


def untouched(guest: Guest) -> int:
    """How many records stand in a ledger in which nothing was run: only those of the loading."""
    header, data = guest.window(0)
    parsed = parse_records(data, 0)
    assert (parsed.torn, parsed.damaged) == (0, 0)
    assert set(parsed.records["run"]) <= {0}
    return header.appended


def told(records: Records) -> list[tuple[int, int, int]]:
    """The owner's story without its addresses and times."""
    story = Type.BEGIN, Type.ALLOCATE, Type.LABEL, Type.RELEASE, Type.RECLAIM, Type.END
    told = records[(records["witness"] == Witness.LEDGER) & np.isin(records["type"], story)]
    return [(int(one["type"]), int(one["serial"]), int(one["run"])) for one in told]


def test_nothing_written_in_one_clone_is_seen_in_another_or_in_the_template(
    setting: Setting, template: Template
) -> None:
    before = digest(template)
    with several(setting, template, 2) as (one, other):
        one.command("echo mine >/root/mine; echo 1 >/proc/sys/vm/overcommit_memory")
        assert scenario_run(one, "fault/leak/contiguous/c").as_expected
        assert one.header().appended > untouched(other)
        assert other.command("ls /root; cat /proc/sys/vm/overcommit_memory") == b"0\n"
        with clone(template, setting.image) as later:
            assert untouched(later) == untouched(other)
            assert later.command("ls /root; cat /proc/sys/vm/overcommit_memory") == b"0\n"
    assert digest(template) == before


def test_runs_and_serials_begin_at_the_same_numbers_in_each(
    setting: Setting, template: Template
) -> None:
    with several(setting, template, 2) as (one, other):
        first, second = (scenario_run(guest, "allocator/nested_mixed") for guest in (one, other))
    assert told(first.evidence.records) == told(second.evidence.records)
    assert set(first.evidence.records["run"]) == {1}
    made = first.evidence.records[first.evidence.records["type"] == Type.LABEL]
    assert sorted(made["serial"]) == [1, 2, 3]


RANDOM = (
    "head -c 32 /dev/urandom | xxd -p -c 64; "
    "head -c 32 /dev/random | xxd -p -c 64; cat /proc/sys/kernel/random/uuid"
)


def test_each_clone_draws_its_own_random_numbers(setting: Setting, template: Template) -> None:
    with several(setting, template, 3) as guests:
        drawn = [line for guest in guests for line in guest.command(RANDOM).split()]
    assert len(drawn) == 9
    assert len(set(drawn)) == 9


def test_the_first_that_a_clone_is_told_is_new_entropy(
    setting: Setting, template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it chance decides whether two draw the same: interrupts stir the state, too."""
    asked: list[str] = []
    real = Guest.ask_by

    def ask(guest: Guest, request: str, deadline: Deadline) -> None:
        asked.append(request)
        real(guest, request, deadline)

    monkeypatch.setattr(Guest, "ask_by", ask)
    with several(setting, template, 2, at_once=1):
        verbs = [request.split()[0] for request in asked]
        seeds = {bytes.fromhex(request.split()[1]) for request in asked[::2]}
    assert verbs == ["reseed", "clock"] * 2
    assert [len(seed) for seed in seeds] == [32, 32]


def test_the_clock_of_a_clone_is_set_to_now(setting: Setting, template: Template) -> None:
    begun = int(time.time())
    with clone(template, setting.image) as guest:
        said = int(guest.command("date +%s"))
    assert begun <= said <= time.time() + 1


def test_every_clone_has_the_host_key_of_its_image(setting: Setting, template: Template) -> None:
    """The connection itself refuses another; here a key that it must refuse."""
    with several(setting, template, 2) as guests:
        assert [guest.command("echo here") for guest in guests] == [b"here\n"] * 2
    stranger = replace(setting.image, host_key=setting.image.client_key.with_suffix(".pub"))
    with clone(template, stranger) as guest, pytest.raises(GuestLost, match="key"):
        guest.command("echo here")


def test_the_network_of_a_clone_is_up_and_its_port_its_own(
    setting: Setting, template: Template
) -> None:
    with several(setting, template, 3) as guests:
        ports = {guest.monitor.forwarded_port() for guest in guests}
        links = {guest.command("cat /sys/class/net/eth0/operstate") for guest in guests}
    assert len(ports) == 3
    assert links == {b"up\n"}


@pytest.mark.xdist_group("many")
def test_many_at_once_do_not_disturb_each_other(setting: Setting, template: Template) -> None:
    """All run at the same time; a few are started or asked at a time."""
    names = ["c/pool", "fault/leak/pool/rust", "allocator/nested_mixed", "svm/vmrun_exits"]
    with several(setting, template, MANY) as guests, ThreadPoolExecutor(2) as pool:
        for number, guest in enumerate(guests):
            guest.ask(f"run {names[number % 4]} fail=9999")
            guest.command(f"echo {number} >/root/mine")
        said = list(pool.map(lambda guest: guest.command("cat /root/mine"), guests))
        results = list(
            pool.map(lambda item: scenario_run(item[1], names[item[0] % 4]), enumerate(guests))
        )
        assert len({guest.process.pid for guest in guests}) == MANY
    assert said == [f"{number}\n".encode() for number in range(MANY)]
    assert [one.judgement.reasons for one in results] == [()] * MANY
    assert all(one.as_expected for one in results)
    assert {int(one.evidence.records["run"][0]) for one in results} == {2}


@pytest.mark.parametrize("cpus", [2])
def test_a_template_of_more_cpus_serves_as_well(setting: Setting, cpus: int) -> None:
    config = replace(setting.config(), cpus=cpus)
    about = origin(config, setting.image.manifest, setting.qemu)
    with template(config, about, lambda folder: take_template(config, setting.image, folder)) as of:
        for _ in range(2):
            with clone(of, setting.image) as guest:
                assert guest.command("grep -c ^processor /proc/cpuinfo") == f"{cpus}\n".encode()
                result = scenario_run(guest, "svm/vmrun_exits")
                assert result.judgement.verdict is Verdict.CLEAN
                assert result.judgement.reasons == ()


def test_a_machine_with_two_nodes_has_templates_too(setting: Setting) -> None:
    config = replace(setting.config(), nodes=2, cpus=2)
    about = origin(config, setting.image.manifest, setting.qemu)
    with template(config, about, lambda folder: take_template(config, setting.image, folder)) as of:
        assert len(of.rams) == len(ram_files(config, Path())) == 2
        with clone(of, setting.image) as guest:
            assert scenario_run(guest, "c/placement").judgement.allocations == 8 + 2


def test_a_lost_clone_costs_only_its_own_scenario(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Guest.run

    def dying(guest: Guest, name: str, seconds: float) -> None:
        if name == "c/contiguous":
            os.kill(guest.process.pid, signal.SIGKILL)
        real(guest, name, seconds)

    monkeypatch.setattr(Guest, "run", dying)
    with clones(setting, 2) as crew:
        results = list(run_all(crew, ["c/*"], QUICK))
    assert len(results) >= 3
    for one in results:
        lost = one.scenario.name == "c/contiguous"
        assert one.judgement.verdict is (Verdict.INCOMPLETE if lost else Verdict.CLEAN)


@pytest.mark.parametrize(
    "request_",
    ["", "fly", "reseed", "reseed zz", "clock", "clock -1", "clock 5x", "run", "run no/such"],
)
def test_what_the_control_line_cannot_do_it_says_and_goes_on(guest: Guest, request_: str) -> None:
    with pytest.raises(CommandFailed):
        guest.ask(request_)
    guest.ask("ping")
    untouched(guest)


def test_a_line_that_is_too_long_for_the_guest_is_refused_as_a_whole(guest: Guest) -> None:
    """Sent past our own check. Its end is not taken for a request."""
    line = guest._control._line
    line.sendall(b"1 " + b"x" * 600 + b" run c/pool\n")
    # Its number went with its head, so that this is no answer to anything.
    with pytest.raises(GuestLost) as lost:
        guest.ask("ping")
    assert lost.value.loss is Loss.CONTROL
    untouched(guest)


@pytest.mark.parametrize("request_", ["", "x", "-1", "1 2", "9" * 40, "64x"])
def test_the_account_is_told_only_to_who_asks_for_it(guest: Guest, request_: str) -> None:
    """And the next who asks is told, after one who hung up in the middle, too."""
    asked = f"(printf '%s' '{request_}'; printf '\\n') | nc 127.0.0.1 7"
    assert guest.command(f"{asked} | head -c 99") == b"74 0\n"
    guest.command("printf 6 | nc 127.0.0.1 7 >/dev/null; true")
    assert guest.tell(0) == guest.window(0)[1]


def test_who_hangs_up_in_an_account_does_not_end_it(guest: Guest) -> None:
    for _ in range(40):
        guest.run("svm/all_cpus_at_once")
        guest.settle()
    told = guest.window(0)[1]
    # More than waits in the sockets between us: it still sends when nobody is there.
    assert len(told) > 500_000
    for _ in range(3):
        guest.command("echo 0 | nc 127.0.0.1 7 | head -c 1")
    assert guest.tell(0) == told


def test_a_dead_control_line_is_a_lost_guest(guest: Guest) -> None:
    guest.command("killall -9 control")
    with pytest.raises(GuestLost, match=r"took more than \d+ s"):
        guest.ask("ping", seconds=1)


def test_the_module_has_the_line_while_others_write_the_files(guest: Guest) -> None:
    """People use the control files by SSH; the line goes on."""
    guest.command("echo c/pool >/sys/kernel/debug/freeonce/run")
    guest.run("c/pool")
    guest.settle()
    assert set(guest.window(0)[1]) != {0}
    guest.rewind()
    assert guest.header().appended == 0


def building(place: Path) -> "tuple[subprocess.Popen[bytes], int]":
    """A run that builds its first template, and its QEMU's pid."""
    run = subprocess.Popen(
        [sys.executable, "-m", "freeonce", "run", "--no-faults", "c/pool"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"FREEONCE_TEMPLATES": str(place)},
    )
    end = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < end:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_text()
            except OSError:
                continue
            if re.search(rf"mem-path={re.escape(str(place))}/", command):
                return run, int(process.name)
        time.sleep(0.01)
    raise AssertionError("no QEMU was started")


def templates(place: Path) -> list[str]:
    """What lies there, whole or not; what was found out about KVM may lie there, too."""
    return [one.name for one in place.iterdir() if not one.name.startswith("probe-")]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_killed_while_it_builds_a_template_leaves_nothing(
    number: signal.Signals, tmp_path: Path
) -> None:
    run, qemu = building(tmp_path)
    os.kill(run.pid, number)
    run.wait(GRACE_SECONDS)
    end = time.monotonic() + GRACE_SECONDS
    while (alive(qemu) or templates(tmp_path)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(qemu)
    assert templates(tmp_path) == []


def test_two_runs_at_once_build_one_template(tmp_path: Path) -> None:
    first, _ = building(tmp_path)
    second = subprocess.run(
        [sys.executable, "-m", "freeonce", "run", "--no-faults", "c/pool"],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"FREEONCE_TEMPLATES": str(tmp_path)},
        timeout=300,
        check=False,
    )
    assert (first.wait(300), second.returncode) == (0, 0)
    assert len(templates(tmp_path)) == 1

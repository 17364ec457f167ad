"""What guests cost: boots, clones, round trips, memory, whole runs."""

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from freeonce.audit.model import Account, Verdict
from freeonce.audit.result import Result
from freeonce.bench.figure import Figure
from freeonce.evidence.scenarios import Scenario, parse_scenarios
from freeonce.evidence.text import printable
from freeonce.guest import CONTROL, Guest, boot, clone
from freeonce.machine.template import Template
from freeonce.project.setting import Setting
from freeonce.run.campaign import run_all, run_one
from freeonce.run.conclude import conclude
from freeonce.run.hear import look, whole
from freeonce.run.hire import clones
from freeonce.run.task import Options

SCENARIO = "allocator/nested_mixed"
TOGETHER = 20
PINGS = 20
REPEAT = 40


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def boots(setting: Setting, rounds: int) -> Figure:
    """From nothing to the answer of a first SSH command."""

    def once() -> float:
        start = time.perf_counter()
        with boot(setting.config(), setting.image, load=False) as guest:
            guest.command("true")
            return time.perf_counter() - start

    return Figure("boot to first command", "s", tuple(once() for _ in range(rounds)))


def _scenario(source: Template) -> Scenario:
    (found,) = [one for one in parse_scenarios(source.table) if one.name == SCENARIO]
    return found


def _by_control_line(guest: Guest, scenario: Scenario) -> Result:
    """All three witnesses, without the guest's own account of its ledger."""
    before = guest.header()
    guest.run(scenario.name)
    early = look(guest, before)
    guest.settle()
    header, data = guest.window(before.count)
    evidence = whole(early, data, before.count, header.dropped - before.dropped)
    # As if it agreed: what is timed here ends at a verdict, not at "account missing".
    return conclude(scenario, replace(evidence, account=Account.AGREE), 0.0)


def _with_account(guest: Guest, scenario: Scenario) -> Result:
    return run_one(guest, scenario)[0]


def verdicts(setting: Setting, source: Template, rounds: int) -> list[Figure]:
    """From nothing to a verdict in a clone, with the guest's account and without."""
    scenario = _scenario(source)

    def once(connect: bool, judge: Callable[[Guest, Scenario], Result]) -> float:
        start = time.perf_counter()
        with clone(source, setting.image, connect=connect) as guest:
            result = judge(guest, scenario)
            seconds = time.perf_counter() - start
        if result.judgement.verdict is not Verdict.CLEAN:
            raise AssertionError(f"{SCENARIO} is not clean: {result.judgement.reasons}")
        return seconds

    control = tuple(once(False, _by_control_line) for _ in range(rounds))
    account = tuple(once(True, _with_account) for _ in range(rounds))
    return [
        Figure("clone to verdict, control line", "s", control, goal=0.15),
        Figure("clone to verdict, with SSH account", "s", account, goal=0.4),
    ]


def throughput(setting: Setting, rounds: int) -> Figure:
    """Verdicts a minute, as many clones at a time as by default."""

    def once() -> float:
        with clones(setting) as crew:
            options = Options(repeat=REPEAT, faults=False)
            return 60 * REPEAT / _timed(lambda: list(run_all(crew, [SCENARIO], options)))

    found = tuple(once() for _ in range(rounds))
    return Figure("verdicts a minute, -j by default", "", found, goal=300, at_least=True)


def _private_mib(guest: Guest) -> float:
    """What goes when this one goes: Private_Clean and Private_Dirty of smaps_rollup (proc(5))."""
    said = Path(f"/proc/{guest.process.pid}/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", said, re.M))) / 1024


def memory(setting: Setting, source: Template) -> list[Figure]:
    """Of clones that all run, each after a verdict; what they share is counted to none."""
    scenario = _scenario(source)
    with ExitStack() as stack:
        guests = [stack.enter_context(clone(source, setting.image)) for _ in range(TOGETHER)]
        for guest in guests:
            _with_account(guest, scenario)
        private = tuple(_private_mib(guest) for guest in guests)
    return [
        Figure("private memory of a clone", "MiB", private, goal=48),
        Figure(f"private memory of {TOGETHER} clones", "MiB", (sum(private),)),
    ]


def round_trips(setting: Setting, source: Template) -> list[Figure]:
    """Of a request that does nothing; the first ones, which the guest still translates, not."""
    with clone(source, setting.image) as guest:
        lines = {
            "control": lambda: guest.ask("ping"),
            "SSH": lambda: guest.command("true"),
        }
        found = []
        for name, work in lines.items():
            samples = [1000 * _timed(work) for _ in range(2 * PINGS)][PINGS:]
            found.append(Figure(f"{name} round trip", "ms", tuple(samples)))
    return found


RUN = [sys.executable, "-m", "freeonce", "run"]
OWN_GUESTS = ("--pristine", "--cpus", "2")
FIRST_VERDICT = re.compile(r"\d+ of \d+ after \d+ s: \d+ ")


def _first_verdict() -> float:
    """Seconds to it, of a run of all scenarios that is then broken off."""
    # With these a pipe may pass for a terminal, which has a bar instead of lines.
    plain = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    said = []
    start = time.perf_counter()
    with subprocess.Popen(
        RUN, env=plain, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as program:
        for line in program.stderr or ():
            seconds = time.perf_counter() - start
            if FIRST_VERDICT.match(line):
                program.terminate()
                return seconds
            said.append(line)
    raise AssertionError(f"`freeonce run` ended without a verdict: {''.join(said[-5:])}")


def runs(rounds: int) -> list[Figure]:
    """`freeonce run` as a program: all scenarios, to the first of them, and a single one."""

    def program(*arguments: str) -> None:
        subprocess.run([*RUN, *arguments], check=True, capture_output=True)

    def work(*arguments: str) -> tuple[float, float]:
        """Seconds, and CPU seconds of the program and all its guests."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = _timed(lambda: program(*arguments))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return seconds, sum(after[:2]) - sum(before[:2])

    first = tuple(_first_verdict() for _ in range(rounds))
    # In turns, on a machine that may be busier later.
    both = [(work(), work(*OWN_GUESTS)) for _ in range(rounds)]
    times, cpu = (tuple(one[at] / own[at] for one, own in both) for at in (0, 1))
    single = tuple(_timed(lambda: program("--no-faults", SCENARIO)) for _ in range(rounds))
    return [
        Figure("first verdict of `freeonce run`", "s", first, goal=1),
        Figure("whole `freeonce run`", "s", tuple(one[0] for one, _ in both), goal=20),
        Figure("the same, x each in a guest with 2 CPUs", "", times, goal=0.5),
        Figure("its CPU time, x each in a guest with 2 CPUs", "", cpu, goal=0.5),
        Figure("`freeonce run` of one scenario", "s", single, goal=1),
    ]


def _measured(setting: Setting, file: str, rounds: int) -> dict[str, tuple[float, ...]]:
    """What a benchmark in the guest measured, in nanoseconds, by what watched."""
    found: dict[str, list[float]] = {}
    with boot(setting.config(), setting.image) as guest:
        for _ in range(rounds):
            for line in printable(guest.command(f"cat {CONTROL}/{file}")).splitlines():
                name, value = line.split()
                found.setdefault(name, []).append(float(value))
    return {name: tuple(values) for name, values in found.items()}


def _beside_bare(
    found: dict[str, tuple[float, ...]], names: dict[str, str], goals: dict[str, float]
) -> list[Figure]:
    """A figure for each, and for all but the bare one its ratio to that of the same round."""
    figures = []
    for name, values in found.items():
        figures.append(Figure(names.get(name, name), "ns", values))
        if name != "bare":
            ratios = tuple(one / bare for one, bare in zip(values, found["bare"], strict=True))
            figures.append(Figure(f"{names.get(name, name)}, x bare", "", ratios, goals.get(name)))
    return figures


PAIR = {
    "bare": "allocate/release, bare",
    "ledger": "allocate/release, with ledger",
    "witness": "allocate/release, with kernel witness",
}
VMRUN = {
    "bare": "VMRUN and #VMEXIT, bare",
    "operands": "VMRUN with operand check",
    "records": "VMRUN with its two records",
    "unchecked": "VMRUN with both",
    "checked": "VMRUN with the host's registers compared",
}
"""What each measurement of `bench` and `bench_vmrun` is (guest/LEDGER.md)."""


def pairs(setting: Setting, rounds: int) -> list[Figure]:
    """One allocate/release pair in a guest, by what watches it."""
    return _beside_bare(_measured(setting, "bench", rounds), PAIR, {})


def vmruns(setting: Setting, rounds: int) -> list[Figure]:
    """One round trip of an L2 whose VMCB does not change, by what watches it."""
    found = _measured(setting, "bench_vmrun", 4 * rounds)
    return _beside_bare(found, VMRUN, {"operands": 1.1})

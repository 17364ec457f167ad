"""Who runs what, and when: without any guest. Nothing here is judged by a clock."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from freeonce.audit.model import Judgement, Verdict
from freeonce.audit.result import Result
from freeonce.errors import GuestLost, HostError
from freeonce.evidence.scenarios import Scenario
from freeonce.guest import Guest
from freeonce.machine.process import Process, announce
from freeonce.run import crew as module
from freeonce.run.campaign import run_all
from freeonce.run.crew import AHEAD, Pristine, SharedGuest, default_jobs
from freeonce.run.task import Options, Task

SCENARIOS = tuple(Scenario(index, f"a/{index}", "S", "C", None, "L.", ()) for index in range(6))
TASKS = tuple(Task(scenario, Options()) for scenario in SCENARIOS)
SECONDS = 30.0
"""Until something that should happen is given up. Never waited for when all is well."""


def result(scenario: Scenario) -> Result:
    return Result(scenario, Judgement(Verdict.CLEAN, (), (), 0, 0, 0, 0, {}), True, {}, 0.1)


class FakeProcess:
    def __init__(self, kill: Callable[[], None]) -> None:
        self.kill = kill


class Guests:
    """Counts guests made, running at a time, and killed."""

    def __init__(self) -> None:
        self.made = self.now = self.most = 0
        self.killed = threading.Event()
        self.lock = threading.Lock()

    @contextmanager
    def __call__(self) -> Iterator[Guest]:
        with self.lock:
            self.made += 1
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            process = FakeProcess(self.killed.set)
            announce(cast(Process, process))
            yield cast(Guest, SimpleNamespace(process=process, scenarios=lambda: SCENARIOS))
        finally:
            with self.lock:
                self.now -= 1


def running(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[Scenario], bool] = lambda _: True
) -> None:
    """A scenario does this; whether its guest is fit for another."""

    def one(_guest: Guest, scenario: Scenario, _options: Options) -> tuple[Result, bool]:
        fit = work(scenario)
        return result(scenario), fit

    monkeypatch.setattr(module, "run_one", one)


@pytest.fixture(autouse=True)
def little_head_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the first often waits for others."""
    monkeypatch.setattr(module, "HEAD_START_SECONDS", 0.01)
    monkeypatch.setattr(module, "ROOM_SECONDS", 0.001)


def pristine(guests: Any, jobs: int, **more: Any) -> Pristine:
    return Pristine(lambda _: guests(), lambda: SCENARIOS, jobs, **more)


def names(results: Iterator[Result]) -> list[str]:
    return [one.scenario.name for one in results]


ORDER = [scenario.name for scenario in SCENARIOS]


def test_results_come_in_order_whichever_is_done_first(monkeypatch: pytest.MonkeyPatch) -> None:
    last, waited = threading.Event(), []

    def work(scenario: Scenario) -> bool:
        if scenario.index == 5:
            last.set()
        elif scenario.index == 0:
            # The first one ends after the last.
            waited.append(last.wait(SECONDS))
        return True

    running(monkeypatch, work)
    with pristine(Guests(), 2) as crew:
        assert names(crew.run(TASKS, lambda _: None)) == ORDER
    assert waited == [True]


def test_each_scenario_gets_a_guest_of_its_own_and_no_more_than_jobs_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guests, together = Guests(), threading.Barrier(3)

    def work(_: Scenario) -> bool:
        # Three must meet here: fewer at a time would never get on.
        together.wait(SECONDS)
        return True

    running(monkeypatch, work)
    with pristine(guests, 3) as crew:
        assert names(crew.run(TASKS, lambda _: None)) == ORDER
    assert (guests.made, guests.most, guests.now) == (6, 3, 0)


def test_the_first_has_the_machine_to_itself_until_its_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guests, together, late = Guests(), threading.Barrier(2), threading.Event()
    # Time stands still: nobody may come because the head start is over by the clock.
    clock = SimpleNamespace(monotonic=lambda: 1.0 if late.is_set() else 0.0)
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "HEAD_START_SECONDS", 1.0)
    beside: list[int] = []

    def work(scenario: Scenario) -> bool:
        if scenario.index == 0:
            # Whoever would run beside it has time to begin.
            time.sleep(0.1)
            beside.append(guests.now)
        elif scenario.index in (1, 2):
            together.wait(SECONDS)
        return True

    running(monkeypatch, work)
    watchdog = threading.Timer(SECONDS, late.set)
    watchdog.start()
    with pristine(guests, 2) as crew:
        assert names(crew.run(TASKS, lambda _: None)) == ORDER
    watchdog.cancel()
    assert beside == [1]
    assert guests.most == 2
    assert not late.is_set()


def test_who_waits_for_the_first_begins_nothing_when_all_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guests, begun = Guests(), threading.Event()
    monkeypatch.setattr(module, "HEAD_START_SECONDS", SECONDS)

    def work(_: Scenario) -> bool:
        begun.set()
        return guests.killed.wait(SECONDS)

    def tasks() -> Iterator[Task]:
        yield from TASKS[:3]
        # All three are with the crew, and the first one runs.
        assert begun.wait(SECONDS)
        raise SystemExit(143)

    running(monkeypatch, work)
    with pytest.raises(SystemExit), pristine(guests, 3) as crew:
        list(crew.run(tasks(), lambda _: None))
    assert guests.made == 1


def test_a_slow_first_one_holds_the_others_back_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    others, met = threading.Event(), []

    def work(scenario: Scenario) -> bool:
        if scenario.index:
            others.set()
        else:
            # Held back for longer, they would come only when this one gave up.
            met.append(others.wait(SECONDS))
        return True

    running(monkeypatch, work)
    with pristine(Guests(), 2) as crew:
        assert names(crew.run(TASKS, lambda _: None)) == ORDER
    assert met == [True]


def test_without_free_memory_one_runs_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather slow than swapping, and rather slow than not at all."""
    guests = Guests()
    running(monkeypatch)
    with pristine(guests, 4, room=2, free=lambda: 1) as crew:
        assert names(crew.run(TASKS, lambda _: None)) == ORDER
    assert guests.most == 1


def test_a_guest_that_cannot_be_had_costs_only_its_scenario(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = iter(range(6))

    def sometimes() -> Any:
        if next(turns) % 2:
            raise HostError("qemu-refused", "no memory left on this host")
        return Guests()()

    running(monkeypatch)
    with pristine(sometimes, 1) as crew:
        results = list(crew.run(TASKS, lambda _: None))
    verdicts = [one.judgement.verdict for one in results]
    assert verdicts == [Verdict.CLEAN, Verdict.INCOMPLETE] * 3
    assert "no memory left on this host" in results[1].judgement.reasons[0]


def test_who_stops_listening_ends_the_guests_that_still_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a signal does: without waiting for what they do."""
    guests = Guests()
    begun = threading.Event()

    def work(scenario: Scenario) -> bool:
        if scenario.index == 0:
            return begun.wait(SECONDS)
        begun.set()
        return guests.killed.wait(SECONDS)

    running(monkeypatch, work)
    with pytest.raises(SystemExit), pristine(guests, 2) as crew:  # noqa: PT012
        for _ in crew.run(TASKS, lambda _: None):
            raise SystemExit(143)
    assert guests.killed.is_set()
    assert guests.now == 0
    assert guests.made < len(TASKS)


def test_who_stops_listening_ends_the_guests_that_are_still_being_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Ctrl-C does: a clone may take a minute before it is there, or never be."""
    making, ended = threading.Barrier(2), []

    @contextmanager
    def never_there() -> Iterator[Guest]:
        killed = threading.Event()
        announce(cast(Process, FakeProcess(killed.set)))
        making.wait(SECONDS)
        ended.append(killed.wait(SECONDS))
        raise GuestLost("QEMU was ended by signal SIGKILL")
        yield

    running(monkeypatch)
    with pristine(never_there, 1) as crew:
        stream = crew.run(TASKS, lambda _: None)
        waiting = threading.Thread(target=lambda: making.wait(SECONDS))
        waiting.start()
        # The first is begun by being asked for, and never comes.
        asked = threading.Thread(target=lambda: next(stream), daemon=True)
        asked.start()
        waiting.join(SECONDS)
    assert ended == [True]


def test_a_slow_scenario_does_not_let_the_others_run_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is done and not yet reported is held in memory."""
    slow, begun = threading.Event(), threading.Semaphore(0)
    many = [Task(SCENARIOS[0], Options()), *[TASKS[1]] * (AHEAD * 2 * 3)]

    def work(scenario: Scenario) -> bool:
        begun.release()
        return scenario.index != 0 or slow.wait(SECONDS)

    taken: list[Task] = []

    def tasks() -> Iterator[Task]:
        for task in many:
            taken.append(task)
            # One more than may be ahead: the crew waits for the slow one before it asks on.
            if len(taken) == AHEAD * 2 + 2:
                assert slow.is_set()
            elif len(taken) == AHEAD * 2 + 1:
                threading.Timer(0.05, slow.set).start()
            yield task

    running(monkeypatch, work)
    with pristine(Guests(), 2) as crew:
        assert len(list(crew.run(tasks(), lambda _: None))) == len(many)


def test_a_shared_guest_is_replaced_only_when_it_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    guests = Guests()
    running(monkeypatch, lambda scenario: scenario.index != 2)
    with SharedGuest(guests) as crew:
        assert names(run_all(crew, [])) == ORDER
        assert guests.now == 1
    assert (guests.made, guests.now) == (2, 0)


def test_each_repetition_is_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    guests = Guests()
    running(monkeypatch)
    with pristine(guests, 2) as crew:
        assert names(run_all(crew, ["a/1", "a/2"], Options(repeat=2))) == [
            *["a/1"] * 2,
            *["a/2"] * 2,
        ]
    assert guests.made == 4


@pytest.mark.parametrize(
    ("cores", "free", "jobs"),
    [(2, 10_000, 2), (8, 10_000, 8), (8, 1000, 3), (8, 0, 1)],
)
def test_jobs_are_by_cores_and_by_memory(
    cores: int, free: int, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "cores", lambda: cores)
    monkeypatch.setattr(module, "free_memory", lambda: free << 20)
    # Each may come to need its whole memory and QEMU's own.
    assert default_jobs(256 << 20) == jobs


def test_a_guest_is_not_begun_when_all_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    running(monkeypatch)
    with pristine(lambda: nullcontext(SimpleNamespace(process=None)), 1) as crew:
        pass
    with pytest.raises(RuntimeError, match="shutdown"):
        list(crew.run(TASKS, lambda _: None))

"""Tasks on this machine's own workers: each answered once, whatever becomes of the workers."""

import json
import os
import secrets
import signal
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from freeonce.campaign import identity
from freeonce.campaign import local as module
from freeonce.campaign.local import local
from freeonce.campaign.local_worker import BEAT_SECONDS
from freeonce.campaign.outcome import Outcome, killed, to_text
from freeonce.campaign.task import Body, Task
from freeonce.campaign.trust import DEATHS, TIMES, TRIES
from freeonce.deadline import patience
from freeonce.errors import HostError
from tests.death.life import MARK
from tests.guest.campaigning import LEFT_SECONDS, begun, marked, until
from tests.guest.errands import Counted, slow, tasks, work

SLOTS = 2
LARGE = 100_000_000
"""Characters, which no machine packs and sends in a twentieth of a second."""
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _found_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take no module from where they stand."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def knowing(_: str) -> str:
    """What a worker knows of trees, and where its lines lead."""
    document: Body = {"known": identity.KNOWN, "stdin": os.readlink("/proc/self/fd/0")}
    print("said by a task")
    return to_text(Outcome("clean", True, 0.0, str(os.getpid()), document))


def failing(_: str) -> str:
    raise ZeroDivisionError("on purpose")


def dying(_: str) -> str:
    """Named, and not there for workers: see the test."""
    return ""


def patient(text: str) -> str:
    """Longer than anybody may be silent in the test of it."""
    time.sleep(2 * BEAT_SECONDS)
    return work(text)


def stopping(text: str) -> str:
    """Answers, and stops before it takes a large task."""
    if len(text) < LARGE:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGSTOP)).start()
    return work(text)


def cut_off(_: str) -> str:
    """Says that an answer comes, and stops."""
    os.write(int(sys.argv[1]), struct.pack("!i", 1000) + b"{")
    os.kill(os.getpid(), signal.SIGSTOP)
    return ""


def lasting(text: str) -> str:
    """Until it is ended."""
    folder = Path(str(json.loads(text)["folder"]))
    try:
        (folder / f"began-{os.getpid()}").touch()
        time.sleep(600)
    finally:
        (folder / "unwound").touch()
    return ""


def ran(slots: int, given: list[Task] | Iterator[Task]) -> tuple[dict[str, Outcome], list[str]]:
    """By name what tasks came to, each once; and what was told."""
    said: list[str] = []
    with local(slots, work) as running:
        found = list(running(given, said.append))
    assert set(Counter(task.key for task, _ in found).values()) <= {1}
    return {task.name: outcome for task, outcome in found}, said


def test_each_task_is_answered_once_by_as_many_workers_as_slots() -> None:
    found, said = ran(SLOTS, tasks(40))
    assert len(found) == 40
    assert all(name == f"task {one.document['number']}" for name, one in found.items())
    assert len({one.worker for one in found.values()}) == SLOTS
    assert said == []


def test_a_task_that_kills_its_workers_is_incomplete_and_stops_nobody() -> None:
    found, said = ran(1, tasks(6, poisonous=2))
    poisoned = found.pop("task 2")
    assert (poisoned.verdict, poisoned.as_expected) == ("incomplete", False)
    assert poisoned.document["reasons"] == ["workers died while they ran it and nothing else"]
    assert {one.verdict for one in found.values()} == {"clean"}
    assert len(found) == 5
    assert said == [
        f"task 2: its worker died, {count} of {DEATHS} times" for count in range(1, DEATHS + 1)
    ]


@pytest.mark.parametrize("times", [1, 99])
def test_a_guest_that_was_lost_is_tried_again_and_then_it_is_so(tmp_path: Path, times: int) -> None:
    (one,) = tasks(1)
    found, _ = ran(1, [replace(one, body=one.body | {"lost": str(tmp_path), "times": times})])
    assert found["task 0"].verdict == ("clean" if times == 1 else "incomplete")
    assert len(list(tmp_path.iterdir())) == (2 if times == 1 else TRIES)


def test_what_this_machine_lacks_once_is_tried_again_after_all_else(tmp_path: Path) -> None:
    odd, *others = tasks(4)
    given = [replace(odd, body=odd.body | {"odd": str(tmp_path / "first")}), *others]
    with local(1, work) as running:
        coming = running(given, lambda _: None)
        # Its first worker answers each time what nobody can read.
        assert [task.name for task, _ in coming][:3] == ["task 1", "task 2", "task 3"]


def test_what_is_refused_again_and_again_is_told_and_stops_nobody() -> None:
    found, _ = ran(1, tasks(6, full=0))
    assert "No space left" in found.pop("task 0").refused
    assert {one.verdict for one in found.values()} == {"clean"}


def test_when_this_machine_refuses_everything_the_campaign_ends(tmp_path: Path) -> None:
    given = [replace(one, body=one.body | {"full": True}) for one in tasks(20)]
    with pytest.raises(HostError, match=rf"refused {TIMES} tasks in a row: system") as caught:
        ran(SLOTS, given)
    assert caught.value.reason == "workers"


def test_an_error_of_ours_is_told_and_is_no_result() -> None:
    with local(1, failing) as running:
        ((_, outcome),) = running(tasks(1), lambda _: None)
    assert outcome.refused == "an error of freeonce: ZeroDivisionError('on purpose')"
    assert not outcome.verdict


def test_no_worker_that_begins_ends_the_campaign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dying, "__qualname__", "nobody")
    with pytest.raises(HostError, match="no worker starts") as caught, local(1, dying) as running:
        list(running(tasks(3), lambda _: None))
    assert caught.value.reason == "workers"


def test_a_worker_is_told_what_was_hashed_and_has_lines_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(identity.KNOWN, "/a/tree", "digest")
    with local(1, knowing) as running:
        ((_, outcome),) = running(tasks(1), lambda _: None)
    known = outcome.document["known"]
    assert isinstance(known, dict)
    assert known["/a/tree"] == "digest"
    assert outcome.document["stdin"] == os.devnull
    # What a worker prints is no report.
    assert capfd.readouterr().out == ""


def test_no_more_is_taken_from_a_campaign_than_its_slots_need() -> None:
    given = Counted(100_000)
    with local(SLOTS, work) as running:
        coming = running(given, lambda _: None)
        for answered in range(1, 30):
            next(coming)
            assert given.taken <= answered + SLOTS


LED = """
import signal, sys
from freeonce.campaign.local import local
from freeonce.campaign.task import Task
from tests.guest.test_local import lasting

# Whoever begins tests in the background has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
with local(2, lasting) as running:
    list(running([Task(n, n, {"folder": sys.argv[1]}) for n in "ab"], print))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_who_leads_them_and_what_they_hold_is_ended_in_order(
    tmp_path: Path, number: signal.Signals
) -> None:
    mark = "of-local-workers"
    words = (sys.executable, "-c", LED, str(tmp_path))
    with begun(*words, settings={MARK: mark}) as leader:
        until(lambda: len(list(tmp_path.glob("began-*"))) == 2, 60, "no worker began")
        leader.send_signal(number)
        leader.wait(LEFT_SECONDS)
    until(lambda: not marked(mark), LEFT_SECONDS, f"left: {marked(mark)}")
    assert (tmp_path / "unwound").exists()


def test_a_worker_that_is_stopped_ends_with_who_leads_it(tmp_path: Path) -> None:
    mark = secrets.token_hex(8)
    words = (sys.executable, "-c", LED, str(tmp_path))
    with begun(*words, settings={MARK: mark}) as leader:
        until(lambda: len(list(tmp_path.glob("began-*"))) == 2, 60, "no worker began")
        for worker in marked(mark):
            if worker != leader.pid:
                os.kill(worker, signal.SIGSTOP)
        leader.kill()
    until(lambda: not marked(mark), LEFT_SECONDS, f"left: {marked(mark)}")


@pytest.mark.long
def test_a_task_whose_workers_are_stopped_each_time_is_incomplete_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 2 * BEAT_SECONDS)
    first, *others = tasks(4)
    stopped = replace(first, body=first.body | {"stopped": True})
    found, said = ran(1, [stopped, *others])
    how = f"was killed after it was silent for {2 * BEAT_SECONDS * patience():g} s"
    died = "workers died while they ran it and nothing else"
    assert found.pop("task 0").document["reasons"] == [f"{died}; the last {how}"]
    assert {one.verdict for one in found.values()} == {"clean"}
    assert said == [
        f"task 0: its worker {how}, {count} of {DEATHS} times" for count in range(1, DEATHS + 1)
    ]


def test_who_leads_may_be_stopped_itself_and_kills_nobody_for_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    with local(1, slow) as running:
        coming = running(tasks(6), said.append)
        next(coming)
        # From now on: to begin may take longer.
        monkeypatch.setattr(module, "SILENT_SECONDS", 2 * BEAT_SECONDS / patience())
        next(coming)
        time.sleep(2.5 * BEAT_SECONDS)
        assert len(list(coming)) == 4
    assert said == []


@pytest.mark.parametrize(
    ("number", "how"),
    [(signal.SIGKILL, "died"), (signal.SIGSTOP, "killed after it was silent for {:g} s")],
)
def test_a_worker_that_is_struck_takes_no_task_with_it(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, how: str
) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 3.0)
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.5)
    found: list[str] = []
    said: list[str] = []
    with local(SLOTS, slow) as running:
        for task, outcome in running(tasks(30), said.append):
            found.append(task.name)
            if len(found) == 3:
                os.kill(int(outcome.worker), number)
    assert sorted(found) == sorted(f"task {n}" for n in range(30))
    assert len(said) == 1
    assert said[0].endswith(f"{how.format(3 * patience())}, 1 of {DEATHS} times")


def test_a_worker_that_is_long_at_a_task_says_that_it_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 1.5 * BEAT_SECONDS)
    with local(1, patient) as running:
        ((_, outcome),) = running(tasks(1), pytest.fail)
    assert outcome.verdict == "clean"


def test_a_worker_that_is_stopped_in_the_middle_of_its_answer_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 1.0)
    with local(1, cut_off) as running:
        ((_, outcome),) = running(tasks(1), lambda _: None)
    assert outcome == killed(f"was killed after it was silent for {1 * patience():g} s")


def test_a_worker_that_is_stopped_before_it_takes_a_large_task_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More than waits in the line between us."""
    monkeypatch.setattr(module, "SILENT_SECONDS", 6.0)
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.5)
    first, second = tasks(2)
    large = replace(second, body=second.body | {"text": "x" * LARGE})
    said: list[str] = []
    with local(1, stopping) as running:
        came = list(running([first, large], said.append))
    found = [(task.name, outcome.verdict) for task, outcome in came]
    assert found == [("task 0", "clean"), ("task 1", "clean")]
    assert len(said) == 1

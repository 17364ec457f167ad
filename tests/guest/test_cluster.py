"""Tasks on workers: all of them answered once, whatever becomes of the workers."""

import asyncio
import errno
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import pytest

from freeonce.campaign.cluster import AHEAD, local, remote, run
from freeonce.campaign.outcome import Outcome, from_text, lacking, to_text
from freeonce.campaign.serving import serve
from freeonce.campaign.task import Body, Task
from freeonce.errors import EvidenceError, HostError

SLOTS = 2


def work(text: str) -> str:
    """What a worker of these tests does with a body."""
    body: Body = json.loads(text)
    if body["poisonous"]:
        os._exit(9)
    if body["full"]:
        return to_text(lacking(f"full:{os.getpid()}", "system", os.strerror(errno.ENOSPC)))
    if "odd" in body and is_first(Path(str(body["odd"]))):
        return '{"verdict": "clean", "another": "version"}'
    if "lacking" in body and is_first(Path(str(body["lacking"]))):
        return to_text(lacking("bad:1", "differs", f"it, {body['number']}"))
    return to_text(Outcome("clean", True, 0.0, str(os.getpid()), {"number": body["number"]}))


def is_first(file: Path) -> bool:
    """Whether this process was here first, now or before."""
    with suppress(FileExistsError), file.open("x") as made:
        made.write(str(os.getpid()))
    return file.read_text() == str(os.getpid())


def tasks(count: int, poisonous: int | None = None, full: int | None = None) -> Iterator[Task]:
    for number in range(count):
        body: Body = {
            "number": number,
            "poisonous": number == poisonous,
            "full": number == full,
        }
        yield Task(f"key-{number}", f"task {number}", body)


@pytest.mark.xdist_group("cluster")
class TestLocal:
    def test_each_task_is_answered_once(self, tmp_path: Path) -> None:
        with local(SLOTS, tmp_path) as client:
            found = list(run(client, tasks(40), work))
        assert Counter(task.key for task, _ in found) == {f"key-{n}": 1 for n in range(40)}
        assert all(outcome.document["number"] == task.body["number"] for task, outcome in found)
        assert len({outcome.worker for _, outcome in found}) == SLOTS

    @pytest.mark.long
    def test_a_task_that_kills_its_workers_is_incomplete_and_stops_nobody(
        self, tmp_path: Path
    ) -> None:
        with local(SLOTS, tmp_path) as client:
            found = {task.name: outcome for task, outcome in run(client, tasks(12, 3), work)}
        poisoned = found.pop("task 3")
        assert (poisoned.verdict, poisoned.as_expected) == ("incomplete", False)
        why = "workers died while they ran it and nothing else"
        assert poisoned.document["reasons"] == [why]
        assert len(found) == 11
        assert {outcome.verdict for outcome in found.values()} == {"clean"}

    @pytest.mark.long
    def test_what_every_worker_refuses_once_is_refused_and_stops_nobody(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # What others ask for on a network is nothing to us here.
        monkeypatch.setenv("DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION", "true")
        with (
            dask.config.set({"distributed.comm.require-encryption": True}),
            local(SLOTS, tmp_path) as client,
        ):
            found = {task.name: outcome for task, outcome in run(client, tasks(12, full=3), work)}
        assert "No space left" in found.pop("task 3").refused
        assert {outcome.verdict for outcome in found.values()} == {"clean"}
        assert len(found) == 11

    @pytest.mark.long
    @pytest.mark.parametrize("how", ["lacking", "odd"])
    def test_what_a_worker_refuses_goes_to_another(self, tmp_path: Path, how: str) -> None:
        (one,) = tasks(1)
        given = replace(one, body=one.body | {how: str(tmp_path / "first")})
        with local(SLOTS, tmp_path / "scratch") as client:
            ((_, outcome),) = run(client, [given], work)
        first = (tmp_path / "first").read_text()
        assert (outcome.verdict, outcome.worker == first) == ("clean", False)

    def test_a_worker_that_refuses_again_and_again_is_taken_out(self, tmp_path: Path) -> None:
        lacking = {"lacking": str(tmp_path / "first")}
        given = [replace(task, body=task.body | lacking) for task in tasks(20)]
        said: list[str] = []
        with local(SLOTS, tmp_path / "scratch") as client:
            found = list(run(client, given, work, said.append))
        assert {outcome.verdict for _, outcome in found} == {"clean"}
        assert Counter(task.key for task, _ in found) == {f"key-{n}": 1 for n in range(20)}
        (word,) = said
        assert word.startswith(
            "worker bad:1 was taken out: it refused 3 tasks in a row: differs: it"
        )

    @pytest.mark.long
    def test_when_no_worker_is_left_the_campaign_ends(self, tmp_path: Path) -> None:
        lacking = {"lacking": str(tmp_path / "first")}
        given = [replace(task, body=task.body | lacking) for task in tasks(20)]
        with (
            local(1, tmp_path / "scratch") as client,
            pytest.raises(
                HostError, match="no worker is left; the last, bad:1: it refused 3"
            ) as caught,
        ):
            list(run(client, given, work))
        assert caught.value.reason == "workers"

    @pytest.mark.long
    def test_no_more_is_taken_from_a_campaign_than_its_slots_need(self, tmp_path: Path) -> None:
        taken = 0

        def counted() -> Iterator[Task]:
            nonlocal taken
            for task in tasks(100_000):
                taken += 1
                yield task

        with local(SLOTS, tmp_path) as client:
            coming = run(client, counted(), work)
            for answered in range(1, 30):
                next(coming)
                assert taken <= answered + AHEAD * SLOTS
            del coming


def test_an_address_that_is_not_encrypted_and_should_be_is_told() -> None:
    with (
        dask.config.set({"distributed.comm.require-encryption": True}),
        pytest.raises(HostError, match="encryption") as caught,
        remote("tcp://127.0.0.1:1"),
    ):
        pass
    assert caught.value.reason == "scheduler"


@pytest.mark.parametrize(
    ("scheduler", "said"), [("nonsense://x:1", "nonsense"), ("tls://127.0.0.1:1", "CA_FILE")]
)
def test_a_worker_without_a_scheduler_says_what_it_lacks(scheduler: str, said: str) -> None:
    accelerator = SimpleNamespace(name="tcg", svm=False)
    setting: Any = SimpleNamespace(accelerator=accelerator, image=SimpleNamespace(release="6.1"))
    with pytest.raises(HostError, match=said) as caught:
        asyncio.run(serve(scheduler, 1, setting))
    assert caught.value.reason == "scheduler"


def test_no_scheduler_is_told_with_its_address() -> None:
    start = time.monotonic()
    with (
        pytest.raises(HostError, match=r"tcp://127\.0\.0\.1:1") as caught,
        remote("tcp://127.0.0.1:1"),
    ):
        pass
    assert caught.value.reason == "scheduler"
    assert time.monotonic() - start < 60


SOUND = '{"verdict": "clean", "as_expected": true, "worker": "w", "seconds": '


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 100_000,
        SOUND + "NaN}",
        SOUND + "Infinity}",
        SOUND + '1, "more": 1}',
        "[]",
        "{}",
        '{"verdict": 1, "as_expected": true, "seconds": 0, "worker": "w"}',
    ],
)
def test_what_is_no_answer_is_refused(text: str) -> None:
    with pytest.raises(EvidenceError, match="a worker's answer"):
        from_text(text)

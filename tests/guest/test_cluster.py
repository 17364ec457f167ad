"""Tasks on workers: all of them answered once, whatever becomes of the workers."""

import asyncio
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster

from freeonce.campaign import cluster, images
from freeonce.campaign.cluster import AHEAD, needs, remote, retire, run
from freeonce.campaign.identity import file_digest, kernel_digest
from freeonce.campaign.outcome import from_text
from freeonce.campaign.serving import serve
from freeonce.campaign.task import Body
from freeonce.campaign.trust import TRIES
from freeonce.deadline import patience
from freeonce.errors import EvidenceError, HostError
from freeonce.project.image import load_image
from tests.guest.campaigning import begun, scheduler
from tests.guest.clusters import EVERYTHING, local_cluster
from tests.guest.errands import Counted, slow, tasks, work
from tests.unit.test_campaign_images import image

SLOTS = 2
WORKER = f"""
import asyncio, sys
from freeonce.campaign.serving import serve
asyncio.run(serve(sys.argv[1], 1, dict.fromkeys({EVERYTHING}, 1)))
"""


@pytest.mark.xdist_group("cluster")
class TestLocal:
    def test_each_task_is_answered_once(self, tmp_path: Path) -> None:
        with local_cluster(SLOTS, tmp_path) as client:
            found = list(run(client, tasks(40), work))
        assert Counter(task.key for task, _ in found) == {f"key-{n}": 1 for n in range(40)}
        assert all(outcome.document["number"] == task.body["number"] for task, outcome in found)
        assert len({outcome.worker for _, outcome in found}) == SLOTS

    @pytest.mark.long
    def test_a_task_that_kills_its_workers_is_incomplete_and_stops_nobody(
        self, tmp_path: Path
    ) -> None:
        with local_cluster(SLOTS, tmp_path) as client:
            found = {task.name: outcome for task, outcome in run(client, tasks(12, 3), work)}
        poisoned = found.pop("task 3")
        assert (poisoned.verdict, poisoned.as_expected) == ("incomplete", False)
        why = "workers died while they ran it and nothing else"
        assert poisoned.document["reasons"] == [why]
        assert len(found) == 11
        assert {outcome.verdict for outcome in found.values()} == {"clean"}

    @pytest.mark.long
    def test_what_every_worker_refuses_once_is_refused_and_stops_nobody(
        self, tmp_path: Path
    ) -> None:
        with local_cluster(SLOTS, tmp_path) as client:
            found = {task.name: outcome for task, outcome in run(client, tasks(12, full=3), work)}
        assert "No space left" in found.pop("task 3").refused
        assert {outcome.verdict for outcome in found.values()} == {"clean"}
        assert len(found) == 11

    @pytest.mark.long
    @pytest.mark.parametrize("how", ["lacking", "odd"])
    def test_what_a_worker_refuses_goes_to_another(self, tmp_path: Path, how: str) -> None:
        (one,) = tasks(1)
        given = replace(one, body=one.body | {how: str(tmp_path / "first")})
        with local_cluster(SLOTS, tmp_path / "scratch") as client:
            ((_, outcome),) = run(client, [given], work)
        first = (tmp_path / "first").read_text()
        assert (outcome.verdict, outcome.worker == first) == ("clean", False)

    def test_a_worker_that_refuses_again_and_again_is_taken_out(self, tmp_path: Path) -> None:
        lacking = {"lacking": str(tmp_path / "first")}
        given = [replace(task, body=task.body | lacking) for task in tasks(20)]
        said: list[str] = []
        with local_cluster(SLOTS, tmp_path / "scratch") as client:
            found = list(run(client, given, work, said.append))
        assert {outcome.verdict for _, outcome in found} == {"clean"}
        assert Counter(task.key for task, _ in found) == {f"key-{n}": 1 for n in range(20)}
        (word,) = said
        assert word.startswith(
            "worker bad:1 was taken out: it refused 3 tasks in a row: no-kvm: it"
        )

    @pytest.mark.long
    @pytest.mark.parametrize("slots", [1, SLOTS])
    @pytest.mark.parametrize("times", [1, 99])
    def test_a_guest_that_was_lost_is_tried_again_and_then_it_is_so(
        self, tmp_path: Path, slots: int, times: int
    ) -> None:
        (one,) = tasks(1)
        (tmp_path / "lost").mkdir()
        given = replace(one, body=one.body | {"lost": str(tmp_path / "lost"), "times": times})
        with local_cluster(slots, tmp_path / "scratch") as client:
            ((_, outcome),) = run(client, [given], work)
        assert outcome.verdict == ("clean" if times == 1 else "incomplete")
        assert not outcome.refused
        tried = len(list((tmp_path / "lost").iterdir()))
        assert tried == (2 if times == 1 else TRIES)

    @pytest.mark.long
    def test_workers_without_the_image_are_sent_it_once_a_host(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        manifest = image(tmp_path / "shared/one")
        digest = file_digest(manifest)
        meant: Body = {"image": digest, "package": kernel_digest(load_image(manifest))}
        given = [replace(task, body=task.body | meant) for task in tasks(12)]
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "host"))
        said: list[str] = []
        with local_cluster(SLOTS, tmp_path / "scratch") as client:
            # The workers have begun, and know nothing of it.
            monkeypatch.setenv(images.SHARED, str(tmp_path / "shared"))
            found = list(run(client, given, work, said.append))
        assert {outcome.verdict for _, outcome in found} == {"clean"}
        assert Counter(task.key for task, _ in found) == {f"key-{n}": 1 for n in range(12)}
        assert len([word for word in said if "was sent the image" in word]) == 1
        assert [one.name for one in images.received().iterdir()] == [digest]

    @pytest.mark.long
    def test_two_campaigns_on_one_scheduler_take_turns(self, tmp_path: Path) -> None:
        ended: list[str] = []

        def lead(client: Client, name: str) -> None:
            named = (replace(task, name=name, key=f"{name}-{task.key}") for task in tasks(60))
            for task, _ in run(client, named, slow):
                ended.append(task.name)

        with (
            local_cluster(1, tmp_path) as client,
            Client(client.scheduler.address) as other,
            ThreadPoolExecutor(2) as pool,
        ):
            for one in [pool.submit(lead, client, "a"), pool.submit(lead, other, "b")]:
                one.result()
        assert Counter(ended) == {"a": 60, "b": 60}
        middle = Counter(ended[20:80])
        assert min(middle.values()) >= 20

    @pytest.mark.long
    def test_what_nobody_can_run_is_told_and_stops_nobody(self, tmp_path: Path) -> None:
        able, unable = tasks(2)
        unable = replace(unable, body=unable.body | {"accel": "xen", "kind": "scenario"})
        with local_cluster(1, tmp_path) as client:
            found = {task.name: outcome for task, outcome in run(client, [unable, able], work)}
        assert found["task 1"].refused.startswith("no worker has qemu:any and svm_xen; they have")
        assert found["task 0"].verdict == "clean"

    @pytest.mark.long
    def test_when_no_worker_is_left_the_campaign_ends(self, tmp_path: Path) -> None:
        lacking = {"lacking": str(tmp_path / "first")}
        given = [replace(task, body=task.body | lacking) for task in tasks(20)]
        with (
            local_cluster(1, tmp_path / "scratch") as client,
            pytest.raises(
                HostError, match="no worker is left; the last, bad:1: it refused 3"
            ) as caught,
        ):
            list(run(client, given, work))
        assert caught.value.reason == "workers"

    @pytest.mark.long
    def test_no_more_is_taken_from_a_campaign_than_its_slots_need(self, tmp_path: Path) -> None:
        given = Counted(100_000)
        with local_cluster(SLOTS, tmp_path) as client:
            coming = run(client, given, work)
            for answered in range(1, 30):
                next(coming)
                assert given.taken <= answered + AHEAD * SLOTS
            del coming


@pytest.mark.xdist_group("cluster")
def test_a_scheduler_that_is_stopped_ends_a_campaign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 3.0)
    with scheduler() as (address, master), begun(sys.executable, "-c", WORKER, address):
        begin = time.monotonic()

        def lead() -> None:
            with remote(address) as client:
                client.wait_for_workers(1)
                for number, _ in enumerate(run(client, tasks(100_000), slow)):
                    if number == 3:
                        master.send_signal(signal.SIGSTOP)

        with pytest.raises(
            HostError, match=r"did not answer .* the same command continues"
        ) as caught:
            lead()
        assert caught.value.reason == "scheduler"
        # Dask tries to say goodbye.
        assert time.monotonic() - begin < 120 * patience()
        master.send_signal(signal.SIGCONT)


@pytest.mark.xdist_group("cluster")
def test_a_worker_that_was_taken_out_ends(tmp_path: Path) -> None:
    async def come_and_go(cluster: LocalCluster, client: Client) -> int:
        work = asyncio.ensure_future(serve(cluster.scheduler_address, 1, {}))
        try:
            await client.wait_for_workers(1)
            (address,) = cluster.scheduler.workers
            await retire(client, address)
            # Where it came back it would do so within seconds, and never end.
            await asyncio.wait_for(work, 20 * patience())
            return len(cluster.scheduler.workers)
        finally:
            work.cancel()

    async def lead() -> int:
        async with (
            LocalCluster(n_workers=0, asynchronous=True, dashboard_address=None) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            return await come_and_go(cluster, client)

    assert asyncio.run(lead()) == 0


@pytest.mark.parametrize(
    ("body", "resources"),
    [
        ({"kind": "scenario", "accel": "kvm"}, {"guest", "svm_kvm"}),
        ({"kind": "audit", "accel": "kvm"}, {"guest", "kvm"}),
        ({"kind": "census", "accel": "tcg"}, {"guest", "tcg"}),
    ],
)
def test_a_task_takes_a_slot_of_who_can_run_it(body: Body, resources: set[str]) -> None:
    assert needs(body | {"qemu": "7.2.22"}) == dict.fromkeys({*resources, "qemu:7.2.22"}, 1)


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
    with pytest.raises(HostError, match=said) as caught:
        asyncio.run(serve(scheduler, 1, {}))
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

"""What becomes of tasks that are given again, on a cluster that is not there."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from distributed.scheduler import KilledWorker

from freeonce.campaign import cluster, serving
from freeonce.campaign.cluster import SLOT, _Crowd, _Given, needs
from freeonce.campaign.outcome import Outcome, lacking
from freeonce.campaign.task import Body, Task
from freeonce.errors import HostError

BODY: Body = {"kind": "scenario", "accel": "tcg", "qemu": "7.2.22"}
TASK = Task("key", "c/pool", BODY)
HAS = {SLOT: 1.0, "tcg": 1.0, "svm_tcg": 1.0, "qemu:7.2.22": 1.0}
"""What it needs, and more."""
LOST = Outcome("incomplete", False, 0.0, "w", {"reasons": ["QEMU"]}, by_host=True)


def crowd(workers: Iterable[str], *others: dict[str, Any]) -> _Crowd:
    """`others`: by address what further workers have."""
    has = dict.fromkeys(workers, HAS)
    for one in others:
        has |= one
    found = {"workers": {one: {"resources": resources} for one, resources in has.items()}}

    async def retire_workers(addresses: list[str], **_: Any) -> None:
        client.retired.extend(addresses)

    async def identity(**_: Any) -> Any:
        return found

    client: Any = SimpleNamespace(
        scheduler=SimpleNamespace(identity=identity),
        sync=lambda asking, **_: asyncio.run(asking()),
        retired=[],
        retire_workers=retire_workers,
        submit=lambda *_, **words: SimpleNamespace(**words),
    )

    return _Crowd(client, str, lambda _: None)


@pytest.mark.parametrize("before", [LOST, lacking("w", "system", "full")])
@pytest.mark.parametrize("stale", [set(), {"gone"}])
def test_without_any_worker_a_task_that_is_tried_again_waits(
    before: Outcome, stale: set[str]
) -> None:
    some = crowd([])
    some._trust.again("key", "gone")
    some._again.append(_Given(TASK, before, stale))
    given = some._next_given(iter(()))
    assert given is not None
    assert (given.task, given.workers) == (TASK, set())
    assert not some._nobodys


def test_a_lost_guest_goes_to_who_had_it_when_nobody_else_is_there() -> None:
    some = crowd(["w"])
    some._trust.again("key", "w")
    some._again.append(_Given(TASK, LOST))
    given = some._next_given(iter(()))
    assert given is not None
    assert given.workers == {"w"}


def test_what_everybody_refused_is_told() -> None:
    some = crowd(["w"])
    some._trust.again("key", "w")
    refused = lacking("w", "system", "full")
    some._again.append(_Given(TASK, refused))
    assert some._next_given(iter(())) is None
    assert list(some._nobodys) == [(TASK, refused)]


def test_a_worker_that_was_taken_out_and_has_not_ended_is_none_that_is_left() -> None:
    some = crowd(["one", "two"])
    refused = lacking("w", "harness", "another")
    some._take_out("one", refused)
    assert set(some._workers.resources(anew=True)) == {"two"}
    with pytest.raises(HostError, match="no worker is left"):
        some._take_out("two", refused)


@pytest.mark.parametrize(
    ("gone", "asked"), [((0, 0), [2, 2, 2]), ((1, 1), [2, 1]), ((1, 0), [2, 1, 1]), ((2,), [2])]
)
def test_workers_that_were_taken_out_do_not_come_back(
    monkeypatch: pytest.MonkeyPatch, gone: tuple[int, ...], asked: list[int]
) -> None:
    lines, slots_asked = iter(gone), []

    async def serve_once(_: str, slots: int, __: object) -> int:
        slots_asked.append(slots)
        for taken_out in lines:
            return taken_out
        raise HostError("scheduler", "gone")

    monkeypatch.setattr(serving, "_serve", serve_once)
    asyncio.run(serving.serve("tcp://127.0.0.1:1", 2, {}))
    assert slots_asked == asked


@pytest.mark.parametrize("other", [HAS, {}])
def test_what_the_only_fit_worker_refused_is_told(other: dict[str, float]) -> None:
    """Who has not what the task needs, or is none of ours, is nobody else."""
    task = Task("key", "c/pool", BODY | {"accel": "kvm"})
    some = crowd([], {"fit": HAS | {"kvm": 1, "svm_kvm": 1}}, {"other": other})
    some._trust.again("key", "fit")
    refused = lacking("fit", "system", "full")
    some._again.append(_Given(task, refused))
    assert some._next_given(iter(())) is None
    assert list(some._nobodys) == [(task, refused)]


@pytest.mark.parametrize(
    ("reason", "ends"), [("harness", []), ("package", []), ("qemu", []), ("system", ["one"])]
)
def test_a_difference_takes_a_worker_from_this_campaign_alone(reason: str, ends: list[str]) -> None:
    some = crowd(["one", "two"])
    some._take_out("one", lacking("one", reason, "another"))
    assert some._client.retired == ends
    given: Any = some._give(_Given(TASK))
    assert given.workers == ["two"]


def test_a_campaign_without_workers_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(cluster, "WAIT_SECONDS", 0.0)
    some, said = crowd([]), list[str]()
    monkeypatch.setattr(some, "_say", said.append)
    ready = iter([False] * 5 + [True])
    coming: Any = SimpleNamespace(
        is_empty=lambda: False, has_ready=lambda: next(ready), next=lambda: "done"
    )
    assert some._next(coming) == "done"
    (word,) = said
    assert word.startswith("there is no worker")


def test_workers_of_others_are_none_that_are_left() -> None:
    some = crowd(["one"], {"theirs": {}})
    with pytest.raises(HostError, match="no worker is left"):
        some._take_out("one", lacking("one", "harness", "another"))


def test_a_task_of_who_is_gone_is_given_to_others() -> None:
    some = crowd(["one", "two"])
    some._take_out("one", lacking("one", "harness", "another"))
    future: Any = some._give(_Given(TASK))
    future.status = "cancelled"
    assert list(some._came(future)) == []
    again = some._next_given(iter(()))
    assert again is not None
    assert (again.task, again.workers) == (TASK, set())


def test_a_new_worker_with_the_address_of_one_that_was_taken_out_is_another() -> None:
    some = crowd(["one", "two"])
    found = asyncio.run(some._client.scheduler.identity())["workers"]
    some._take_out("one", lacking("one", "system", "full"))
    gone = found.pop("one")
    assert set(some._workers.resources(anew=True)) == {"two"}
    found["one"] = gone
    assert set(some._workers.resources(anew=True)) == {"one", "two"}


@pytest.mark.parametrize(
    ("other", "scenarios", "lives"),
    [({}, "tcg", "tcg"), ({"kvm": 1}, "tcg", "kvm"), ({"kvm": 1, "svm_kvm": 1}, "kvm", "kvm")],
)
def test_kvm_runs_what_some_worker_runs_under_it(
    other: dict[str, float], scenarios: str, lives: str
) -> None:
    some = crowd(["one"], {"two": HAS | other})
    chosen = cluster.accelerators(some._client, lambda _: None)
    assert (chosen(True), chosen(False)) == (scenarios, lives)


@pytest.mark.parametrize(
    ("body", "lacks"),
    [
        ({"qemu": "10.0.2"}, "qemu:10.0.2 and svm_tcg"),
        ({"accel": "kvm"}, "qemu:7.2.22 and svm_kvm"),
    ],
)
def test_what_no_worker_has_is_told_with_what_they_have(body: Body, lacks: str) -> None:
    some = crowd(["one"])
    assert some._workers.lacking(needs(TASK.body)) == ""
    said = some._workers.lacking(needs(TASK.body | body))
    assert said == f"no worker has {lacks}; they have qemu:7.2.22, svm_tcg, tcg"


def test_a_result_whose_workers_die_before_it_is_fetched_is_given_up() -> None:
    def result(**_: Any) -> Any:
        raise KilledWorker("key", SimpleNamespace(address="w"), 3)

    some = crowd(["one"])
    future: Any = some._give(_Given(TASK))
    future.status, future.result = "finished", result
    assert list(some._came(future)) == [(TASK, None)]


def many(accel: str, count: int) -> list[Task]:
    return [Task(f"{accel}-{n}", "c/pool", BODY | {"accel": accel}) for n in range(count)]


def test_what_nobody_can_run_is_told_one_by_one() -> None:
    """A plan of 10^5 of these is not in memory."""
    some, waiting = crowd(["one"]), iter(many("kvm", 100))
    assert some._more(waiting) == []
    assert len(some._nobodys) == 1
    assert len(list(waiting)) == 99


def test_who_dies_and_is_begun_anew_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.0)
    has = HAS | {"kvm": 1, "svm_kvm": 1}
    some, said = crowd(["one"], {"two": has}), list[str]()
    monkeypatch.setattr(some, "_say", said.append)
    found = asyncio.run(some._client.scheduler.identity())["workers"]
    assert some._workers.lacking(needs(many("kvm", 1)[0].body)) == ""
    gone = found.pop("two")
    waiting = iter(many("kvm", 3))
    for _ in range(3):
        assert some._more(waiting) == []
        assert not some._nobodys
    (word,) = said
    assert word.startswith("no worker has qemu:7.2.22 and svm_kvm; they have")
    found["two"] = gone
    assert len(some._more(waiting)) == 3
    assert not some._missed
    # One that never comes back is waited for a while.
    found.pop("two")
    monkeypatch.setattr(cluster, "MISSED_SECONDS", -1.0)
    some._had.clear()
    assert some._more(iter(many("kvm", 1))) == []
    assert len(some._nobodys) == 1


def test_what_ran_before_runs_what_is_left() -> None:
    some = crowd(["one"], {"two": HAS | {"kvm": 1, "svm_kvm": 1}})
    chosen = cluster.accelerators(some._client, lambda _: None, {True: "tcg"})
    assert (chosen(True), chosen(False)) == ("tcg", "kvm")


def test_a_line_that_dask_gave_up_is_a_scheduler_that_is_lost() -> None:
    def sync(asking: Any, **_: Any) -> Any:
        asking().close()
        raise RuntimeError("ConnectionPool is closed")

    client: Any = SimpleNamespace(sync=sync, scheduler=SimpleNamespace(identity=None))
    with pytest.raises(HostError, match="the same command continues") as caught:
        cluster.dashboard(client)
    assert caught.value.reason == "scheduler"

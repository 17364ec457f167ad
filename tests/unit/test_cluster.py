"""What becomes of tasks that are given again, on a cluster that is not there."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from freeonce.campaign import cluster, serving
from freeonce.campaign.cluster import SLOT, _Crowd, _Given
from freeonce.campaign.outcome import Outcome, lacking
from freeonce.campaign.task import Task
from freeonce.errors import HostError

TASK = Task("key", "c/pool", {"kind": "scenario", "accel": "auto"})
LOST = Outcome("incomplete", False, 0.0, "w", {"reasons": ["QEMU"]}, by_host=True)


def crowd(workers: Iterable[str], *others: dict[str, Any]) -> _Crowd:
    """`others`: by address what further workers have."""
    has = {one: {SLOT: 1} for one in workers}
    for one in others:
        has |= one
    found = {"workers": {one: {"resources": resources} for one, resources in has.items()}}
    client: Any = SimpleNamespace(
        scheduler_info=lambda **_: found,
        retired=[],
        retire_workers=lambda addresses, **_: client.retired.extend(addresses),
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


@pytest.mark.parametrize("other", [{"guest": 1, "tcg": 1, "svm_tcg": 1}, {}])
def test_what_the_only_fit_worker_refused_is_told(other: dict[str, float]) -> None:
    """Who has not what the task needs, or is none of ours, is nobody else."""
    task = Task("key", "c/pool", {"kind": "scenario", "accel": "kvm"})
    some = crowd([], {"fit": {"guest": 1, "kvm": 1, "svm_kvm": 1}}, {"other": other})
    some._trust.again("key", "fit")
    refused = lacking("fit", "system", "full")
    some._again.append(_Given(task, refused))
    assert some._next_given(iter(())) is None
    assert list(some._nobodys) == [(task, refused)]


@pytest.mark.parametrize(
    ("reason", "ends"), [("harness", []), ("package", []), ("system", ["one"])]
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
    assert word.startswith("no worker is there")


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

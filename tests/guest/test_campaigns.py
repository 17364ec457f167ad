"""Campaigns in real guests: whoever is killed, each task has one result, and nothing is left."""

import signal
from functools import partial
from pathlib import Path

import pytest

from freeonce.deadline import patience
from tests.guest.campaigning import (
    FREEONCE,
    NONE,
    SECONDS,
    at_least,
    begun,
    results,
    scheduler,
    until,
)
from tests.guest.certificates import environment

PLAN = '[[scenarios]]\nnames = ["c/pool", "c/contiguous", "vec/*"]\nrepeat = 2\n'
TASKS = 10


def whole(store: Path) -> bool:
    """Each task has exactly one result, and all are clean."""
    kept = results(store)
    assert len({(one.name, one.number) for one in kept}) == len(kept)
    assert {one.verdict for one in kept} == {"clean"}
    return len(kept) == TASKS


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "plan.toml"
    file.write_text(PLAN)
    return file


def test_a_campaign_whose_harness_is_killed_goes_on(plan: Path) -> None:
    store = plan.with_suffix(".results")
    for wanted in (1, 3):
        with begun(*FREEONCE, "campaign", str(plan), "--local", "2") as campaign:
            until(partial(at_least, wanted, store, campaign), SECONDS, "no result")
            campaign.send_signal(signal.SIGKILL)
    before = {one.key: one.finished for one in results(store)}
    assert len(before) < TASKS
    with begun(*FREEONCE, "campaign", str(plan), "--local", "2") as campaign:
        said, _ = campaign.communicate(timeout=SECONDS * patience())
        assert campaign.returncode == 0, said
    assert f"{TASKS} of {TASKS} kept: {TASKS} clean" in said
    assert whole(store)
    after = {one.key: one.finished for one in results(store)}
    assert after.items() >= before.items()


def test_workers_and_scheduler_may_be_killed(plan: Path) -> None:
    store = plan.with_suffix(".results")
    work = ("--slots", "1", "--accel", "auto")
    with scheduler() as (address, master):
        command = (*FREEONCE, "campaign", str(plan), "--scheduler", address)
        with begun(*command) as campaign:
            with begun(*FREEONCE, "worker", address, *work) as worker:
                until(
                    partial(at_least, 1, store, campaign), SECONDS, "no result of the first worker"
                )
                worker.send_signal(signal.SIGKILL)
            count = len(results(store))
            with begun(*FREEONCE, "worker", address, *work) as second:
                until(partial(at_least, count + 1, store, campaign), SECONDS, "none of the second")
                master.send_signal(signal.SIGKILL)
                said, _ = campaign.communicate(timeout=SECONDS * patience())
                assert second.wait(timeout=SECONDS * patience()) is not None
            assert campaign.returncode == 3, said
            assert "the same command goes on" in said
    with scheduler() as (address, _), begun(*FREEONCE, "worker", address, *work):
        with begun(*FREEONCE, "campaign", str(plan), "--scheduler", address) as campaign:
            said, _ = campaign.communicate(timeout=SECONDS * patience())
        assert campaign.returncode == 0, said
    assert whole(store)


def test_hosts_trust_each_other_by_certificates(plan: Path, tmp_path: Path) -> None:
    plan.write_text('[[scenarios]]\nnames = ["c/pool"]\n')
    ours, others = (environment(tmp_path / name) for name in ("ours", "others"))
    with (
        scheduler("tls", ours) as (address, _),
        begun(*FREEONCE, "worker", address, "--slots", "1", settings=ours),
    ):
        command = (*FREEONCE, "campaign", str(plan), "--scheduler", address)
        for settings, why in ((others, "no scheduler answers"), (NONE, "COMM__TLS__CA_FILE")):
            with begun(*command, settings=settings) as stranger:
                said, _ = stranger.communicate(timeout=SECONDS * patience())
            assert stranger.returncode == 3, said
            assert why in said
        with begun(*command, settings=ours) as campaign:
            said, _ = campaign.communicate(timeout=SECONDS * patience())
        assert campaign.returncode == 0, said
    assert [one.verdict for one in results(plan.with_suffix(".results"))] == ["clean"]


@pytest.mark.long
def test_each_failure_of_a_life_is_part_of_its_result(plan: Path) -> None:
    plan.write_text('[[audits]]\ntargets = ["null_blk"]\nfail_each = "load"\nfail_limit = 1\n')
    with begun(*FREEONCE, "campaign", str(plan), "--local", "1") as campaign:
        said, _ = campaign.communicate(timeout=SECONDS * patience())
    assert campaign.returncode == 0, said
    (one,) = results(plan.with_suffix(".results"))
    failures = one.document["failures"]
    assert failures["points"]
    assert {point["outcome"] for point in failures["points"]} == {"handled"}

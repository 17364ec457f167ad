"""Campaigns in real guests: whoever is killed, each task has one result, and nothing is left."""

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from freeonce.campaign.store import Kept, reading
from freeonce.deadline import patience
from freeonce.errors import UsageError
from tests.death.life import MARK
from tests.guest.certificates import environment

FREEONCE = (sys.executable, "-m", "freeonce.cli.main")
PLAN = '[[scenarios]]\nnames = ["c/pool", "c/contiguous", "vec/*"]\nrepeat = 2\n'
TASKS = 10
NONE: Mapping[str, str] = {}
SECONDS = 120.0
LEFT_SECONDS = 10.0


def marked(mark: str) -> list[int]:
    """Every process that was begun with this mark in its environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds * patience()
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.05)


@contextmanager
def begun(*arguments: str, settings: Mapping[str, str] = NONE) -> Iterator["subprocess.Popen[str]"]:
    """A program of a test, which ends with it, and all that it began."""
    mark = secrets.token_hex(8)
    environment: Mapping[str, str] = {**os.environ, **settings, MARK: mark}
    process = subprocess.Popen(
        arguments,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        until(lambda: not marked(mark), LEFT_SECONDS, f"left: {marked(mark)}")


def results(store: Path) -> list[Kept]:
    try:
        with reading(store) as opened:
            return list(opened.results())
    except UsageError:
        # It is not there yet.
        return []


def at_least(count: int, store: Path, campaign: "subprocess.Popen[str]") -> bool:
    """Whether so many results are there. Fails when none is to come any more."""
    assert campaign.poll() is None, campaign.communicate()[0]
    return len(results(store)) >= count


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
    assert not (store / "workers").exists()


@contextmanager
def scheduler(
    protocol: str = "tcp", settings: Mapping[str, str] = NONE
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Dask's, as its own command line begins it; its address."""
    program = "from distributed.cli.dask_scheduler import main; main()"
    words = ("--host", f"{protocol}://127.0.0.1", "--port", "0", "--no-dashboard")
    with begun(sys.executable, "-c", program, *words, settings=settings) as process:
        assert process.stdout
        for line in process.stdout:
            if match := re.search(rf"Scheduler at:\s+({protocol}://\S+)", line):
                yield match[1], process
                return
        pytest.fail("the scheduler does not say where it is")


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

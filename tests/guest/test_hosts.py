"""Three hosts with addresses of their own: cut off and brought back, they lose nothing."""

import secrets
import socket
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from freeonce.deadline import patience
from tests.death.life import MARK
from tests.guest.campaigning import (
    FREEONCE,
    LEFT_SECONDS,
    SECONDS,
    at_least,
    begun,
    folders_of,
    marked,
    results,
    scheduler,
    until,
)
from tests.guest.networks import network, obstacle

TASKS = 120
GIVEN_UP_SECONDS = 12
"""After which a line on which nothing comes through is given up; Dask takes no less than 11."""


@pytest.mark.long
def test_hosts_that_are_cut_off_and_come_back_lose_nothing(tmp_path: Path) -> None:
    if reason := obstacle():
        pytest.skip(reason)
    plan = tmp_path / "plan.toml"
    plan.write_text(f'[[scenarios]]\nnames = ["c/pool"]\nrepeat = {TASKS}\n')
    store = tmp_path / "plan.results"
    marks = {name: secrets.token_hex(8) for name in ("scheduler", "one", "two", "client")}
    settings = {
        name: {MARK: mark, "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": f"{GIVEN_UP_SECONDS}s"}
        for name, mark in marks.items()
    }
    folders: set[Path] = set()

    def come(count: int, campaign: "subprocess.Popen[str]") -> None:
        """Wait for so many more results."""
        for mark in marks.values():
            folders.update(folders_of(mark))
        wanted = len(results(store)) + count
        until(partial(at_least, wanted, store, campaign), SECONDS, f"no {wanted} results")

    def worked(name: str) -> set[str]:
        """The workers that this host has now and that gave a result."""
        here = {f"{socket.gethostname()}:{process}" for process in marked(marks[name])}
        return here & {kept.worker for kept in results(store)}

    with (
        network("one", "two", "three") as net,
        scheduler(
            settings=settings["scheduler"], host=net.address("three"), before=net.on("three")
        ) as (address, _),
    ):
        work = (*FREEONCE, "worker", address, "--slots", "1", "--accel", "tcg")
        command = (*FREEONCE, "campaign", str(plan), "--scheduler", address)
        with (
            begun(*net.on("one"), *work, settings=settings["one"]) as one,
            begun(*net.on("two"), *work, settings=settings["two"]) as two,
        ):
            with begun(*net.on("two"), *command, settings=settings["client"]) as campaign:
                until(lambda: all(map(worked, ("one", "two"))), SECONDS, "not both hosts work")
                # So long that its tasks go to others; it comes back as another worker.
                net.cut("one")
                time.sleep(1.5 * GIVEN_UP_SECONDS)
                come(4, campaign)
                before = {kept.worker for kept in results(store)}
                net.join("one")
                until(
                    lambda: worked("one") - before != set(),
                    SECONDS,
                    "who was cut off does not work again",
                )
                # So short that nobody notices.
                net.cut("two")
                time.sleep(GIVEN_UP_SECONDS / 4)
                net.join("two")
                come(2, campaign)
                # The scheduler is lost to all of them: the same command continues.
                net.cut("three")
                said, _ = campaign.communicate(timeout=SECONDS * patience())
                assert campaign.returncode == 3, said
                assert "the same command continues" in said
                assert len(results(store)) < TASKS
            net.join("three")
            with begun(*net.on("two"), *command, settings=settings["client"]) as campaign:
                said, _ = campaign.communicate(timeout=SECONDS * patience())
                assert campaign.returncode == 0, said
            assert (one.poll(), two.poll()) == (None, None)
    kept = results(store)
    assert {one.verdict for one in kept} == {"clean"}
    assert sorted(one.number for one in kept) == list(range(TASKS))
    for name, mark in marks.items():
        until(lambda m=mark: not marked(m), LEFT_SECONDS, f"{name} left processes")  # type: ignore[misc]
    until(lambda: not any(map(Path.exists, folders)), LEFT_SECONDS, f"left of {folders}")
    assert folders
    spaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert net.mark not in spaces

"""Campaigns in real guests: whoever is killed, each task has one result, and nothing is left."""

import os
import re
import secrets
import shutil
import signal
import time
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest

import freeonce
from freeonce.campaign.identity import harness
from freeonce.deadline import patience
from freeonce.project.image import load_image
from freeonce.project.making import image_of
from tests.death.life import MARK
from tests.guest.campaigning import (
    FREEONCE,
    LEFT_SECONDS,
    LOOPBACK,
    NONE,
    SECONDS,
    at_least,
    begun,
    folders_of,
    listening,
    marked,
    results,
    scheduler,
    until,
    words_of,
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
        command = (*FREEONCE, "campaign", str(plan), "--local", "2", "--page", "0")
        with begun(*command) as campaign:
            until(partial(at_least, wanted, store, campaign), SECONDS, "no result")
            assert listening(campaign) == {LOOPBACK}
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


@pytest.mark.long
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
                assert listening(worker) == listening(master) == {LOOPBACK}
                worker.send_signal(signal.SIGKILL)
            count = len(results(store))
            with begun(*FREEONCE, "worker", address, *work) as second:
                until(partial(at_least, count + 1, store, campaign), SECONDS, "none of the second")
                master.send_signal(signal.SIGKILL)
                said, _ = campaign.communicate(timeout=SECONDS * patience())
                assert second.wait(timeout=SECONDS * patience()) is not None
            assert campaign.returncode == 3, said
            assert "the same command continues" in said
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


def unguested(plan: Path, count: int) -> None:
    """Tasks that need no guest: a file that is no module is incomplete, and that is kept."""
    (plan.parent / "none.ko").write_text("no module")
    plan.write_text(f"[[audits]]\ntargets = ['{plan.parent}/none.ko']\nrepeat = {count}\n")


# $1: where a small disk is put; $2: the store's copy from there; then a command, given three times.
SMALL = """
disk=$1 copy=$2; shift 2
mount -t tmpfs -o size=300k small "$disk" || exit 99
"$@"; echo "status $?"
"$@"; echo "status $?"
cp -r "$disk/store" "$copy"
mount -o remount,size=20m "$disk"
"$@"; echo "status $?"
cp -r "$disk/store/." "$copy-whole"
"""


@pytest.mark.long
def test_a_full_disk_is_told_with_what_to_do_and_nothing_is_lost(
    plan: Path, tmp_path: Path
) -> None:
    unguested(plan, 150)
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    for folder in (disk, tmp_path / "copy-whole"):
        folder.mkdir()
    command = (*FREEONCE, "campaign", str(plan), "--local", "1", "--store", str(disk / "store"))
    apart = ("unshare", "--mount", "--map-root-user", "sh", "-c", SMALL, "sh")
    with begun(*apart, str(disk), str(copy), *command) as process:
        said, _ = process.communicate(timeout=2 * SECONDS * patience())
    if process.returncode == 99 or "unshare failed" in said:
        pytest.skip(f"NOT TESTED: a full disk; no mount may be made: {said}")
    assert re.findall(r"^status (\d)$", said, re.MULTILINE) == ["3", "3", "4"], said
    told = rf"{disk}/store/results\.sqlite cannot be written: .*; 0\.\d MB are free on its disk"
    assert len(re.findall(f"{told}; make room, .* the same command continues", said)) == 2, said
    before = {one.key: one.finished for one in results(copy)}
    after = {one.key: one.finished for one in results(tmp_path / "copy-whole")}
    assert 0 < len(before) < len(after) == 150
    assert after.items() >= before.items()


def test_a_build_ends_with_the_worker_that_is_killed(plan: Path, tmp_path: Path) -> None:
    mark = secrets.token_hex(8)
    (tmp_path / "endless").mkdir()
    (tmp_path / "endless/Kbuild").write_text("obj-m := x.o\nx := $(shell sleep 1000)\n")
    plan.write_text(f"[[audits]]\ntargets = ['{tmp_path}/endless']\n")
    command = (*FREEONCE, "campaign", str(plan), "--local", "1")

    def builds() -> list[int]:
        return [one for one in marked(mark) if words_of(one)[:2] == ["sleep", "1000"]]

    with begun(*command, settings={MARK: mark}) as campaign:
        until(lambda: bool(builds()), SECONDS, "no build began")
        (folder,) = folders_of(mark)
        for one in marked(mark):
            if one == campaign.pid or "freeonce.campaign.local_worker" in words_of(one):
                os.kill(one, signal.SIGKILL)
        until(lambda: not marked(mark), LEFT_SECONDS, f"left: {marked(mark)}")
    assert not folder.exists()


@pytest.mark.long
def test_two_campaigns_on_one_machine_share_it(plan: Path) -> None:
    plan.write_text('[[scenarios]]\nnames = ["c/pool"]\nrepeat = 20\n')
    stores = [plan.with_name(name) for name in ("one", "other")]
    words = (*FREEONCE, "campaign", str(plan), "--local", "1", "--store")
    with begun(*words, str(stores[0])) as one, begun(*words, str(stores[1])) as other:
        for campaign in (one, other):
            said, _ = campaign.communicate(timeout=2 * SECONDS * patience())
            assert campaign.returncode == 0, said
    came = sorted((one.finished, str(store)) for store in stores for one in results(store))
    middle = Counter(store for _, store in came[10:30])
    assert min(middle[str(store)] for store in stores) >= 5


CLOCK = """
import time

now, now_ns = time.time, time.time_ns
time.time = lambda: now() + 366 * 86400
time.time_ns = lambda: now_ns() + 366 * 86400 * 10**9
"""


@pytest.mark.long
def test_a_worker_whose_clock_is_a_year_off_works_like_others(plan: Path, tmp_path: Path) -> None:
    plan.write_text('[[scenarios]]\nnames = ["c/pool"]\nrepeat = 3\n')
    (tmp_path / "clock").mkdir()
    # Every Python of the worker's imports it at its start.
    (tmp_path / "clock/sitecustomize.py").write_text(CLOCK)
    paths = [str(tmp_path / "clock"), *filter(None, [os.environ.get("PYTHONPATH")])]
    off = {"PYTHONPATH": os.pathsep.join(paths)}
    before = time.time()
    with (
        scheduler() as (address, _),
        begun(*FREEONCE, "worker", address, "--slots", "1", "--accel", "tcg", settings=off),
        begun(*FREEONCE, "campaign", str(plan), "--scheduler", address) as campaign,
    ):
        said, _ = campaign.communicate(timeout=SECONDS * patience())
    assert campaign.returncode == 0, said
    kept = results(plan.with_suffix(".results"))
    assert [one.verdict for one in kept] == ["clean"] * 3
    assert all(before <= one.finished <= time.time() for one in kept)


# A clone's own images would be found: this worker stands for one that was installed elsewhere.
BARE = """
import pathlib
from freeonce.project import cache

cache.builds = lambda: pathlib.Path({!r})
"""


@pytest.mark.long
def test_a_worker_without_an_image_is_sent_it(plan: Path, tmp_path: Path) -> None:
    plan.write_text('[[scenarios]]\nnames = ["c/pool"]\nrepeat = 2\n')
    bare = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "FREEONCE_IMAGE": str(tmp_path / "none")}
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/sitecustomize.py").write_text(BARE.format(str(tmp_path)))
    paths = [str(tmp_path / "bare"), *filter(None, [os.environ.get("PYTHONPATH")])]
    settings = {**bare, "PYTHONPATH": os.pathsep.join(paths)}
    with (
        scheduler() as (address, _),
        begun(*FREEONCE, "worker", address, "--slots", "1", "--accel", "tcg", settings=settings),
        begun(*FREEONCE, "campaign", str(plan), "--scheduler", address) as campaign,
    ):
        said, _ = campaign.communicate(timeout=3 * SECONDS * patience())
    assert campaign.returncode == 0, said
    assert "was sent the image" in said
    assert [one.verdict for one in results(plan.with_suffix(".results"))] == ["clean"] * 2


@pytest.mark.long
def test_workers_that_are_all_of_another_freeonce_end_a_campaign_which_then_goes_on(
    plan: Path, tmp_path: Path
) -> None:
    plan.write_text('[[scenarios]]\nnames = ["c/pool"]\n')
    shutil.copytree(Path(freeonce.__file__).parent, tmp_path / "other/freeonce")
    first = tmp_path / "other/freeonce/__init__.py"
    first.write_text(first.read_text().replace(freeonce.__version__, "99.1"))
    paths = [str(tmp_path / "other"), *filter(None, [os.environ.get("PYTHONPATH")])]
    other = {"PYTHONPATH": os.pathsep.join(paths)}
    with scheduler() as (address, _):
        work = (*FREEONCE, "worker", address, "--slots", "2", "--accel", "tcg")
        command = (*FREEONCE, "campaign", str(plan), "--scheduler", address)
        with begun(*work, settings=other), begun(*command) as campaign:
            said, _ = campaign.communicate(timeout=SECONDS * patience())
            assert campaign.returncode == 3, said
            link = re.search(r"Dask's dashboard: (http://127\.0\.0\.1:\d+/\S+)", said)
            assert link
            with urlopen(link[1], timeout=SECONDS) as dashboard:
                assert dashboard.status == 200
        assert not results(plan.with_suffix(".results"))
        with begun(*work), begun(*command) as campaign:
            again, _ = campaign.communicate(timeout=SECONDS * patience())
        assert campaign.returncode == 0, again
    # Both: that there are none any more is told of the last.
    ours = re.escape(harness())
    differs = rf"it differs: harness: this worker's is 99\.1\+\w+, the campaign's {ours}"
    assert re.search(rf"was taken out: {differs}", said)
    assert re.search(rf"no worker is left; the last, \S+: {differs}", said)
    assert {one.verdict for one in results(plan.with_suffix(".results"))} == {"clean"}


@pytest.mark.long
def test_a_census_is_a_part_of_a_campaign(plan: Path) -> None:
    plan.write_text('[[census]]\nnames = ["dummy", "acpi_cpufreq", "dccp"]\nfail_each = true\n')
    with begun(*FREEONCE, "campaign", str(plan), "--local", "2") as campaign:
        said, _ = campaign.communicate(timeout=3 * SECONDS * patience())
    # docs/found/dccp.md; that acpi_cpufreq finds no hardware is no fault.
    assert campaign.returncode == 1, said
    kept = {(one.name, one.kind): one for one in results(plan.with_suffix(".results"))}
    assert {name for (name, _), one in kept.items() if not one.as_expected} == {"dccp"}
    points = kept["dummy", "census-failures"].document["failures"]["points"]
    assert {one["outcome"] for one in points} == {"handled"}


@pytest.mark.long
def test_each_allocation_of_a_scenario_fails(plan: Path) -> None:
    plan.write_text('[[scenarios]]\nnames = ["c/pool"]\nfail_each = true\n')
    with begun(*FREEONCE, "campaign", str(plan), "--local", "1") as campaign:
        said, _ = campaign.communicate(timeout=SECONDS * patience())
    assert campaign.returncode == 0, said
    (one,) = results(plan.with_suffix(".results"))
    points = one.document["failures"]["points"]
    assert {point["outcome"] for point in points} == {"handled"}
    assert len({(point["number"], point["after"]) for point in points}) == len(points) > 1


KERNELS = ("cloud", "linux-image-6.12-amd64")


@pytest.mark.long
@pytest.mark.parametrize("here", [True, False])
def test_one_plan_has_two_kernels(plan: Path, here: bool) -> None:
    if missing := [one for one in KERNELS if not image_of(one).exists()]:
        setups = ", ".join(f"freeonce setup --kernel {one}" for one in missing)
        pytest.skip(f"NOT TESTED: a plan with two kernels; no image of {missing}: {setups}")
    releases = {load_image(image_of(one)).release for one in KERNELS}
    kernels = f"kernels = {list(KERNELS)}\n"
    plan.write_text(
        f'[[scenarios]]\nnames = ["c/pool"]\n{kernels}'
        f'[[audits]]\ntargets = ["dummy"]\n{kernels}'
        f'[[census]]\nnames = ["dummy"]\n{kernels}'
    )
    with ExitStack() as stack:
        where: tuple[str, ...] = ("--local", "2")
        if not here:
            address, _ = stack.enter_context(scheduler())
            stack.enter_context(begun(*FREEONCE, "worker", address, "--slots", "2"))
            where = ("--scheduler", address)
        campaign = stack.enter_context(begun(*FREEONCE, "campaign", str(plan), *where))
        said, _ = campaign.communicate(timeout=3 * SECONDS * patience())
        assert campaign.returncode == 0, said
    kept = results(plan.with_suffix(".results"))
    assert {one.verdict for one in kept} == {"clean"}
    # That of the image which the worker took, not the name in the plan.
    ran = {(one.kind, one.task["kernel"], one.document["host"]["kernel"]) for one in kept}
    assert len(releases) == len(KERNELS)
    assert {kernel for _, _, kernel in ran} == releases
    assert len(ran) == len(kept) == 6

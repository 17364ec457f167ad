"""Scenarios that share a guest come to what they come to alone; who leaves something is told."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCENARIOS = r"""
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "scenarios.h"

static int owned(void)
{
	kfree(kmalloc(100, GFP_KERNEL));
	return 0;
}

/* All that it takes it gives back; the kernel is not what it was. */
static int taints(void)
{
	kfree(kmalloc(100, GFP_KERNEL));
	add_taint(TAINT_WARN, LOCKDEP_STILL_OK);
	return 0;
}

static int nothing(void *unused)
{
	return 0;
}

static int elsewhere(void)
{
	freeonce_on_cpu(1, nothing, NULL);
	return 0;
}

static atomic_t calls;

static int count(void *unused)
{
	atomic_inc(&calls);
	return raw_smp_processor_id() == 0 ? 0 : -EPROTO;
}

/* Its only CPU is the first, and each of its CPUs is that one. */
static int counts(void)
{
	int error = freeonce_on_each_cpu(count, NULL);

	if (freeonce_cpu_count() != 1 || atomic_read(&calls) != 1 || raw_smp_processor_id() != 0)
		return -EPROTO;
	return error;
}

static bool left;

static int leaves(void)
{
	left = true;
	return owned();
}

/* As it should be, but for what the one above left. */
static int varies(void)
{
	if (left)
		freeonce_pool_alloc(100, 8, 0x7470656b);
	return owned();
}

#define MINE(NAME, RUN, ...) SCENARIO("mine/" NAME, "Mine", "A lesson.", RUN, __VA_ARGS__)

static const struct scenario mine[] = {
	MINE("first", leaves, SHARES),
	MINE("varies", varies, SHARES),
	MINE("taints", taints, SHARES),
	MINE("behind", owned, SHARES),
	MINE("asks", elsewhere, SHARES),
	MINE("counts", counts),
	MINE("warns", taints),
	MINE("after", owned, SHARES),
	MINE("needs", elsewhere, CPUS(2)),
};
SCENARIOS(mine);
"""


Documents = dict[str, dict[str, Any]]
"""By the scenario's name."""


def run(*words: str, status: int, folder: Path = ROOT, **variables: str) -> Documents:
    done = subprocess.run(
        [*(sys.executable, "-m", "freeonce"), "run", "--no-faults", "--json", "-", *words],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)["scenarios"]}


def verdict(one: dict[str, Any]) -> tuple[Any, ...]:
    """What a scenario comes to."""
    findings = [(found["rule"], found["kind"], found.get("what")) for found in one["findings"]]
    return one["verdict"], one["as_expected"], one["reasons"], findings, one["allocations"]


@pytest.mark.long
def test_who_leaves_something_is_told_and_ends_the_sharing(tmp_path: Path) -> None:
    project = tmp_path / "mine"
    (project / "scenarios").mkdir(parents=True)
    (project / "freeonce.toml").write_text("")
    (project / "scenarios/mine.c").write_text(SCENARIOS)
    # Its image and its templates are of no use to anybody else.
    mine = {"XDG_CACHE_HOME": str(tmp_path), "FREEONCE_TEMPLATES": str(tmp_path)}
    lead = partial(run, "mine/*", status=4, folder=project, **mine)
    shared = lead("-j", "1")
    leaves = ["it declares that it leaves nothing behind, but the kernel warned of something"]
    asks = ["it asked for another CPU, and declares that it needs one (1 times)"]
    behind = "it varies, or mine/first left something: behind mine/first in one guest it was"
    assert {name: one["reasons"] for name, one in shared.items() if one["reasons"]} == {
        "mine/varies": [f"{behind} faulty: leak (pool)"],
        "mine/taints": leaves,
        "mine/asks": asks,
    }
    alone = lead("--pristine")
    assert alone["mine/varies"]["verdict"] == "clean"
    # Where there are more CPUs it is given no other either, and told alike.
    one_guest = lead("--shared-guest", "--cpus", "2")
    for others in (alone, one_guest):
        assert others.keys() == shared.keys()
    assert {name: verdict(one) for name, one in alone.items() if name != "mine/varies"} == {
        name: verdict(one) for name, one in shared.items() if name != "mine/varies"
    }
    assert one_guest["mine/asks"]["reasons"] == asks
    # What somebody who did not promise anything left in that guest is not told of the next.
    for name in ("counts", "warns", "after"):
        assert one_guest[f"mine/{name}"]["verdict"] == "clean"
    lead = partial(run, "mine/needs", status=0, folder=project, **mine)
    assert lead()["mine/needs"]["verdict"] == "clean"
    few = lead("--cpus", "1")["mine/needs"]
    assert (few["verdict"], few["reasons"]) == ("unsupported", ["not on this CPU: 2 CPUs"])


def test_a_shared_guest_gives_the_verdicts_of_own_ones() -> None:
    names = ("c/*", "kernel/*", "vec/*", "windows/*/pool")
    shared, alone = (
        {name: verdict(one) for name, one in run(*names, *more, status=0).items()}
        for more in ([], ["--pristine"])
    )
    assert len(shared) > 10
    assert shared == alone

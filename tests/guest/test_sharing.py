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

#include "scenarios.h"

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

static int counts(void)
{
	return freeonce_cpu_count() == 1 ? 0 : -EPROTO;
}

static int owned(void)
{
	kfree(kmalloc(100, GFP_KERNEL));
	return 0;
}

#define MINE(NAME, RUN, ...) SCENARIO("mine/" NAME, "Mine", "A lesson.", RUN, __VA_ARGS__)

static const struct scenario mine[] = {
	MINE("first", owned, SHARES),
	MINE("taints", taints, SHARES),
	MINE("behind", owned, SHARES),
	MINE("asks", elsewhere, SHARES),
	MINE("counts", counts),
	MINE("needs", elsewhere, CPUS(2)),
};
SCENARIOS(mine);
"""


Documents = dict[str, dict[str, Any]]
"""By the scenario's name."""


def run(*words: str, status: int, folder: Path = ROOT, **variables: str) -> Documents:
    done = subprocess.run(
        [*(sys.executable, "-m", "freeonce.cli.main"), "run", "--no-faults", "--json", "-", *words],
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
    shared = lead()
    leaves = ["it declares that it leaves nothing behind, but the kernel warned of something"]
    asks = ["it asked for another CPU, and declares that it needs one (1 times)"]
    assert {name: one["reasons"] for name, one in shared.items() if one["reasons"]} == {
        "mine/taints": leaves,
        "mine/asks": asks,
    }
    alone = lead("--pristine")
    # Where there are more CPUs it is given no other either, and told alike.
    one_guest = lead("--shared-guest", "--cpus", "2")
    for others in (alone, one_guest):
        assert others.keys() == shared.keys()
    assert {name: verdict(one) for name, one in alone.items()} == {
        name: verdict(one) for name, one in shared.items()
    }
    assert one_guest["mine/asks"]["reasons"] == asks
    assert one_guest["mine/counts"]["verdict"] == "clean"


def test_a_shared_guest_gives_the_verdicts_of_own_ones() -> None:
    names = ("c/*", "kernel/*", "vec/*", "windows/*/pool")
    shared, alone = (
        {name: verdict(one) for name, one in run(*names, *more, status=0).items()}
        for more in ([], ["--pristine"])
    )
    assert len(shared) > 10
    assert shared == alone

"""tests/reported/: scenarios after public reports of others, and what is right of each."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[1] / "reported"
NAMES = 30

INCOMPLETE = {
    "timer_inside_of_the_freed": "the guest was lost (panic)",
    "timer_that_must_panic": "the guest was lost (panic)",
    "timer_that_must_oops": "the guest was lost (panic)",
    "walks_over_the_freed": "the guest was lost (panic)",
    "contiguous_with_interrupts_off": "it may sleep, which is not allowed here",
    "uncached_with_interrupts_off": "it may sleep, which is not allowed here",
    "large_from_pool": "the largest possible size is 2097152",
}
"""What cannot be judged, and a part of the reason."""

UNEXPECTED = set(INCOMPLETE) - {"timer_that_must_panic"} | {"name_differs"}

SAID = {
    "rcu_callback_still_to_come": "released only after the end",
    "walks_over_the_freed": "it is our own poison, so somebody read released memory",
    "error_pointer_freed": "it is the error -12 (ENOMEM)",
    "plain_kfree_of_pool": "released by kfree(), past the ledger",
    "kfree_rcu_of_pool": "kfree_rcu(), past the ledger",
    "free_pages_of_contiguous": "released by free_pages(), past the ledger",
    "pool_free_of_kmalloc": "it is 64 bytes slab, taken from the kernel itself",
    "entry_behind_the_end": "written at byte 96 behind its end",
    "long_name": "`state of the second nested vcpu`",
    "length_as_capacity": "192 bytes aligned to 4",
}
"""Of what is found, the words that tell a person what happened."""

Found = tuple[str, str, str | None]
TIMER: Found = ("use-after-free", "pool", "state with timer")
FOUND: dict[str, list[Found]] = {
    "timer_inside_of_the_freed": [TIMER],
    "timer_that_must_panic": [TIMER],
    "timer_that_must_oops": [TIMER],
    "walks_over_the_freed": [("invalid-free", "pool", None)],
    "name_differs": [("leak", "pool", "state of the second nested vcpu")],
}
"""Where it is not what the scenario declares."""


Results = Mapping[str, Mapping[str, Any]]
"""By the name behind reported/."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    folder = tmp_path_factory.mktemp("reported")
    done = subprocess.run(
        [sys.executable, "-m", "freeonce", "run", "reported/*", "--json", folder / "json"],
        cwd=shutil.copytree(PROJECT, folder / "project"),
        # Its image and its template are of no use to anybody else.
        env=os.environ | {"XDG_CACHE_HOME": str(folder), "FREEONCE_TEMPLATES": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4, done.stdout + done.stderr
    scenarios = json.loads((folder / "json").read_text())["scenarios"]
    yield {one["name"].removeprefix("reported/"): one for one in scenarios}
    shutil.rmtree(folder)


def triples(findings: Iterable[Mapping[str, str]]) -> list[Found]:
    """Rule, kind, name, in an order of their own."""
    found = [(one["rule"], one["kind"], one.get("what")) for one in findings]
    return sorted(found, key=lambda one: (one[0], one[1], one[2] or ""))


@pytest.mark.long
def test_each_comes_to_what_is_right(results: Results) -> None:
    assert len(results) == NAMES
    for name, one in results.items():
        right = FOUND.get(name, triples(one["expected"]))
        found = triples(one["findings"])
        assert [rule for rule, _, _ in found] == [rule for rule, _, _ in right], name
        for (_, kind, what), (_, right_kind, right_what) in zip(found, right, strict=True):
            assert (kind, right_what or what) == (right_kind, what), name
        told = "faulty" if right else "clean"
        assert one["verdict"] == ("incomplete" if name in INCOMPLETE else told), name
        assert one["as_expected"] == (name not in UNEXPECTED), name


@pytest.mark.long
def test_people_are_told_why(results: Results) -> None:
    for name, words in INCOMPLETE.items():
        assert any(words in reason for reason in results[name]["reasons"]), name
    for name, words in SAID.items():
        assert words in results[name]["findings"][0]["message"], name


@pytest.mark.long
def test_each_finding_points_into_the_scenario_itself(results: Results) -> None:
    for name, one in results.items():
        for finding in one["findings"]:
            assert finding["file"].startswith("scenarios/reported."), name

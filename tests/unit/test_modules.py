"""tests/modules and tests/debian say the same in their files and in what is expected of them."""

import os
import re
import tomllib
from pathlib import Path

import pytest

from freeonce.audit.model import Rule
from freeonce.audit.points import Outcome

TESTS = Path(__file__).resolve().parents[1]
MODULES, DEBIAN = TESTS / "modules", TESTS / "debian"
HYPERVISOR = (MODULES / "svm.h").read_text()
REGISTRATIONS = (MODULES / "registrations.h").read_text()
SOURCES = {file.stem: file.read_text() for file in sorted(MODULES.glob("*.c"))}
EXPECTED = tomllib.loads((MODULES / "expected.toml").read_text())
EXERCISES = tomllib.loads((DEBIAN / "exercises.toml").read_text())
OTHERS = {"mempool", "iomap", "cipher", "misc", "srcu", "registration"}
"""Resources that are no memory of the module's."""
FAMILIES = {"slab", "object", "cache", "pages", "vmalloc", "kvmalloc", "percpu", *OTHERS}
EVERYWHERE = {Rule.LEAK, Rule.DOUBLE_FREE}
POINTERS = FAMILIES - {"cache", *OTHERS}


def test_each_module_has_its_expectation_and_the_other_way_round() -> None:
    assert EXPECTED.keys() == SOURCES.keys()
    assert len(SOURCES) >= 36


@pytest.mark.parametrize("name", SOURCES)
def test_a_module_is_plain_kernel_code(name: str) -> None:
    text = SOURCES[name]
    assert text.startswith("// SPDX-License-Identifier: GPL-2.0\n// ")
    assert "freeonce" not in text
    assert 'MODULE_LICENSE("GPL");' in text
    assert "MODULE_DESCRIPTION(" in text


@pytest.mark.parametrize("name", EXPECTED)
def test_an_expectation_names_what_there_is(name: str) -> None:
    expected = EXPECTED[name]
    about = {"finds", "exercise", "params", "targets", "init"}
    fails = {"counted", "points"} if name.startswith("fail_") else set()
    untold = {"incomplete"} if name.startswith("untold_") else set()
    assert expected.keys() - about == fails | untold
    # Those that fail only when an acquisition does are clean without.
    assert bool(expected["finds"]) != name.startswith(("clean_", "fail_", "untold_"))
    for where, point in expected.get("points", {}).items():
        assert 1 <= int(where.removesuffix("+")) <= expected["counted"]
        assert point["outcome"] in set(Outcome) - {Outcome.HANDLED}
        assert point["function"] in SOURCES[name]
    assert set(expected.get("targets", [])) <= SOURCES.keys()
    for one in expected["finds"]:
        assert one.keys() <= {"rule", "family", "function", "count", "says"}
        assert one["rule"] in list(Rule)
        # What is left in a CPU is of no family, nor is a page of anybody's.
        of_none = (Rule.NOT_RESTORED, Rule.HARDWARE_USE_AFTER_FREE)
        assert one["family"] in FAMILIES or one["rule"] in of_none
        if "function" in one:
            source = SOURCES[name]
            shared = HYPERVISOR if '#include "svm.h"' in source else ""
            # A pair of registrations.h has a function for each thing that is done with it.
            if '#include "registrations.h"' in source:
                assert f"PAIR({one['function'].removeprefix('again_')}, " in REGISTRATIONS
                continue
            assert re.search(rf"\b{one['function']}\(", source + shared)


def test_each_family_has_each_fault_that_it_can_have() -> None:
    there = {(one["rule"], one["family"]) for found in EXPECTED.values() for one in found["finds"]}
    for rule in EVERYWHERE:
        assert {family for found, family in there if found == rule} == FAMILIES
    assert {family for rule, family in there if rule == Rule.USE_AFTER_FREE} == POINTERS
    # Caches and memory pools are pointers to who gives them to the wrong call.
    invalid = {family for rule, family in there if rule == Rule.INVALID_FREE}
    assert invalid == POINTERS | {"cache"}
    mismatched = {family for rule, family in there if rule == Rule.MISMATCHED_FREE}
    assert mismatched == POINTERS | {"cache", "mempool"}
    # A per-CPU allocation has no slack to guard; only pages are released with a size.
    behind = {family for rule, family in there if rule == Rule.OUT_OF_BOUNDS}
    assert behind == POINTERS - {"percpu"}
    assert ("wrong-size-free", "pages") in there


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_is_a_program_and_has_what_it_names(name: str) -> None:
    exercise = EXERCISES[name]
    assert exercise.keys() <= {
        *("targets", "source", "params", "deps", "files", "package", "finds", "cpus"),
        *("memory", "seconds", "image", "firmware", "before"),
    }
    script = DEBIAN / f"{name}.sh"
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/bin/sh\n# ")
    for file in (*exercise.get("files", []), *exercise.get("image", [])):
        assert file in script.read_text()


def test_each_outcome_of_a_failure_that_a_module_can_bring_about_has_one() -> None:
    there = {
        point["outcome"] for one in EXPECTED.values() for point in one.get("points", {}).values()
    }
    assert there == {Outcome.LEAKED, Outcome.RELEASED_TWICE, Outcome.CRASHED, Outcome.HUNG}


def test_each_script_is_an_exercise() -> None:
    assert {file.stem for file in DEBIAN.glob("*.sh")} == EXERCISES.keys()

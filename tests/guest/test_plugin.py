"""tests/example, as a user runs it: from its own folder, by two workers."""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from freeonce.project.begin import begin

EXAMPLE = Path(__file__).resolve().parents[1] / "example"


def test_the_example_shows_a_finding_in_words(tmp_path: Path) -> None:
    copy = tmp_path / "mine"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    report = tmp_path / "junit.xml"
    words = ["-n", "2", "--freeonce-accel=tcg", f"--junit-xml={report}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    cases = {case.attrib["name"]: case for case in ET.parse(report).iter("testcase")}
    came = {name: [part.tag for part in case] for name, case in cases.items()}
    assert came == {
        "test_a_box_built_first_is_released_once": [],
        "test_the_articles_hypervisor_crashed_here": ["failure"],
        "test_a_vcpu_gives_everything_back": [],
        "test_what_only_a_real_cpu_can_show": ["skipped"],
    }, done.stdout
    assert "1 x needs kvm, and tcg runs: asked for; emulates SVM on any host" in done.stdout
    failure = cases["test_the_articles_hypervisor_crashed_here"][0].attrib["message"]
    # By the definition of the scenario: see ARTICLE in test_contract.py.
    first, null, _, leak, *_ = failure.splitlines()
    assert first.endswith("allocated_memory/first is faulty")
    assert null.startswith('  null-free: null released by the pool call at "assign";')
    assert leak.startswith("  leak: `bar`, 64 bytes contiguous, never released;")
    assert done.returncode == 1


@pytest.mark.long
def test_workers_compile_and_boot_once(tmp_path: Path) -> None:
    """A project's scenarios and template are made by the first worker; the others wait for it."""
    project, templates, cache = (tmp_path / name for name in ("mine", "templates", "cache"))
    list(begin(project, ("c",)))
    text = "def test_{}(freeonce_guest):\n    pass\n"
    (project / "tests/test_more.py").write_text("".join(map(text.format, range(4))))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "-s", "--freeonce-accel=tcg"],
        cwd=project,
        env=os.environ | {"FREEONCE_TEMPLATES": str(templates), "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "5 passed" in done.stdout, done.stdout + done.stderr
    assert done.stderr.count("compiling the scenarios") == 1, done.stderr
    # Each worker's guests are clones of the one template.
    assert len([one for one in templates.iterdir() if one.is_dir()]) == 1

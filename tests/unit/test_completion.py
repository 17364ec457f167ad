"""What Tab completes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from click.shell_completion import BashComplete

from freeonce.byhand import guests
from freeonce.byhand.guests import ByHand
from freeonce.cli import completion, main
from freeonce.report.explanations import EXPLANATIONS

NAMES = ["c/pool", "fault/leak/pool/c", "fault/leak/pool/rust", "svm/vmrun_exits"]


@pytest.fixture(autouse=True)
def template(monkeypatch: pytest.MonkeyPatch) -> None:
    table = "".join(f"scenario\t{name}\tSection\tc\t-\t-\t1\t-\tLesson.\n" for name in NAMES)
    monkeypatch.setattr(completion, "known_table", lambda _: table.encode())
    # Whatever completes starts no program, and so no guest.
    monkeypatch.setattr(subprocess, "Popen", None)


def completed(*words: str) -> list[str]:
    *before, begun = words
    complete = BashComplete(main.verbs, {}, "freeonce", "_FREEONCE_COMPLETE")
    return [item.value for item in complete.get_completions(before, begun)]


@pytest.mark.parametrize("verb", ["run", "debug", "shell"])
def test_a_scenario_is_completed(verb: str) -> None:
    assert completed(verb, "fa") == ["fault/leak/pool/c", "fault/leak/pool/rust"]
    assert completed(verb, "fault/leak/pool/r") == ["fault/leak/pool/rust"]
    assert completed(verb, "no") == []


def test_after_options_and_other_names_too() -> None:
    assert completed("run", "--no-faults", "c/pool", "svm/") == ["svm/vmrun_exits"]
    assert completed("dump", "a-file", "c/") == ["c/pool"]


@pytest.mark.parametrize("table", [b"", b"no table\n"])
def test_without_a_template_nothing_is(table: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "known_table", lambda _: table)
    assert completed("run", "fa") == []


def test_a_rule_is_completed() -> None:
    assert completed("explain", "use") == ["use-after-free"]
    assert completed("explain", "") == list(EXPLANATIONS)


def test_a_guest_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [ByHand(name, "/tmp/x", 22, "key") for name in ("debug-8", "shell-7")]
    monkeypatch.setattr(guests, "running", lambda: there)
    assert completed("console", "sh") == ["shell-7"]
    assert completed("ssh", "--guest", "") == ["debug-8", "shell-7"]


def test_bash_completes_with_the_script_of_the_readme() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    (line,) = re.findall(r'^ +(eval .*bash_source[^"]*")', readme, re.MULTILINE)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile"],
        env={**os.environ, "PATH": path, "PS1": "$ ", "TERM": "dumb"},
        encoding="utf-8",
        timeout=60,
    )
    try:
        for sent in ("", line.replace(".venv/bin/", "")):
            shell.expect_exact("$ ")
            shell.sendline(sent)
        shell.expect_exact("\n$ ")
        shell.send("freeonce explain use\t")
        shell.expect_exact("freeonce explain use-after-free")
    finally:
        shell.close(force=True)

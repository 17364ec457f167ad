"""docs/audit-a-module.md, followed word by word in an empty folder."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.guest.test_writing import Block, blocks

pytestmark = pytest.mark.xdist_group("audit")

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "audit-a-module.md"
OFFSET = re.compile(r"\+0x[0-9a-f]+")
WIDTH = 80


class Reader:
    """Somebody who does what the page says, and looks whether what it shows is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = ""
        self.status: int | None = None
        self.compared = 0

    def follow(self, block: Block) -> None:
        match block.language:
            case "make" | "c":
                (created,) = re.findall(r"Create `(.*?)`", block.before)
                (self.folder / created).parent.mkdir(exist_ok=True)
                (self.folder / created).write_text(block.text)
            case "diff":
                subprocess.run(["git", "init", "--quiet"], cwd=self.folder, check=True)
                argv = ["git", "apply"]
                subprocess.run(argv, input=block.text, text=True, cwd=self.folder, check=True)
            case "sh":
                self.audit(block.text)
            case "text":
                self.compare(block)

    def audit(self, command: str) -> None:
        program, *words = shlex.split(command)
        assert program == "freeonce"
        done = subprocess.run(
            [sys.executable, "-m", "freeonce", *words],
            cwd=self.folder,
            env={**os.environ, "COLUMNS": str(WIDTH)},
            capture_output=True,
            text=True,
            check=False,
        )
        self.said, self.status = done.stdout, done.returncode
        assert self.said, done.stderr

    def compare(self, block: Block) -> None:
        (status,) = re.findall(r"it exits with (\d)", block.before, re.IGNORECASE)
        assert status == str(self.status), self.said
        printed = [OFFSET.sub("+", line.rstrip()) for line in self.said.splitlines()]
        for line in block.text.splitlines():
            assert OFFSET.sub("+", line) in printed, self.said
        self.compared += 1


def test_the_page_leads_from_a_finding_to_a_clean_module(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for block in blocks(PAGE.read_text()):
        reader.follow(block)
    assert reader.compared == 2


def shown() -> list[Block]:
    return [block for block in blocks(PAGE.read_text()) if block.language == "text"]


@pytest.mark.parametrize("wrong", ["a line", "the status", "nothing"])
@pytest.mark.parametrize("block", shown(), ids=lambda block: block.text.splitlines()[-1])
def test_a_page_that_shows_something_else_fails(block: Block, wrong: str, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.said = f"above\n{block.text.replace('+0x2b', '+0x3c')}\nbelow"
    (status,) = re.findall(r"it exits with (\d)", block.before, re.IGNORECASE)
    reader.status = int(status)
    if wrong == "nothing":
        reader.compare(block)
        return
    if wrong == "a line":
        block = replace(block, text=block.text.replace("acquired", "taken"))
    else:
        reader.status += 1
    with pytest.raises(AssertionError):
        reader.compare(block)

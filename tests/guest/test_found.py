"""What docs/found says of Debian's modules comes out again, by the command that each page gives."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOUND = Path(__file__).parents[2] / "docs/found"
PAGES = sorted(FOUND.glob("[!R]*.md"))


def plain(text: str) -> str:
    """Without what another build moves: offsets, which allocation it is, and where lines end."""
    text = re.sub(r"\+0x[0-9a-f]+(/0x[0-9a-f]+)?", "", text)
    return " ".join(re.sub(r"\ballocation \d+", "allocation", text).split())


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_was_found_comes_out_again(page: Path) -> None:
    text = page.read_text()
    command = re.search(r"^ {6}freeonce (audit .+)$", text, re.M)
    shown = re.search(r"```text\n(.+?)```", text, re.S)
    assert command
    assert shown
    done = subprocess.run(
        [sys.executable, "-m", "freeonce", *command[1].split()],
        capture_output=True,
        text=True,
        check=False,
    )
    said = plain(done.stdout)
    # As docs/audit-a-module.md has it: 4 where a life was lost.
    lost = "crashed" in shown[1]
    assert done.returncode == (4 if lost else 1), done.stdout + done.stderr
    for line in shown[1].splitlines():
        assert plain(line) in said, done.stdout

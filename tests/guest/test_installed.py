"""docs/your-project.md, followed by somebody who has a wheel, an empty folder and another HOME."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/your-project.md"

Do = Callable[[str], str]


def commands() -> list[str]:
    """Those of the page's first block, without what they are for."""
    block = re.search(r"(?:^ {4}.+\n)+", PAGE.read_text(), re.M)
    assert block
    return [line.split("#")[0].strip() for line in block[0].splitlines()]


def python_blocks() -> str:
    """All of the page, as one file."""
    return "\n\n".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S))


@pytest.fixture
def do(tmp_path: Path) -> Do:
    """Runs a line in a shell that has a fresh virtual environment first in its PATH; what it said.

    A `cd` lasts. What is printed is a transcript, with seconds: `pytest -rP` shows it.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FREEONCE_IMAGE", "FREEONCE_OUTER", "XDG_", "PYTEST_", "VIRTUAL_"))
    }
    environment |= {
        "HOME": str(tmp_path / "home"),
        "PATH": f"{tmp_path}/venv/bin:{os.environ['PATH']}",
    }
    (tmp_path / "home").mkdir()
    here = tmp_path / "empty"
    here.mkdir()
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)

    def line(command: str) -> str:
        nonlocal here
        if command.startswith("cd "):
            print(f"$ {command}")
            here /= command.removeprefix("cd ")
            return ""
        start = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=here,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        print(f"$ {command}\n{done.stdout}({time.monotonic() - start:.1f} s)\n")
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
        return done.stdout

    return line


OFFLINE = "unshare --map-root-user --net"
"""A network namespace of one's own: nobody is reached from it, and the loopback must be set up."""


def summary(said: str) -> list[str]:
    """What a verb came to, without how long it took."""
    return re.findall(r"\d+ scenarios: .*|^\w+: clean.*|\d+ passed", said, re.M)


@pytest.mark.long
def test_the_page_leads_from_a_wheel_to_findings(do: Do, tmp_path: Path) -> None:
    install, *rest = commands()
    assert install == "pip install ."
    # The clone is only where the wheel comes from.
    do(f"pip wheel --quiet --no-deps --wheel-dir {tmp_path}/wheels {ROOT}")
    do(f"pip install --quiet {tmp_path}/wheels/*.whl pytest")
    said = {command: do(command) for command in rest}
    assert "2 scenarios: 2 clean" in said["freeonce run"]
    assert "note: clean" in said["freeonce audit"]
    assert "3 passed" in said["pytest"]
    # A second time there is no network: nothing is downloaded, and nothing made again.
    for command in rest[rest.index("freeonce setup") :]:
        again = do(f"{OFFLINE} sh -c 'ip link set lo up && {command}'")
        assert summary(again) == summary(said[command])
        assert "images: " not in again
        assert "compiling" not in again
    # What else the page has of tests, as it stands.
    (tmp_path / "empty/mine/tests/test_page.py").write_text(python_blocks())
    assert "6 passed" in do("pytest")
    kept = do("freeonce cache")
    assert f"{tmp_path}/home/.cache/freeonce/" in kept
    assert str(ROOT) not in kept

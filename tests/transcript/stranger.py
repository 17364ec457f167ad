"""Somebody with a wheel, a fresh virtual environment, an empty folder and a HOME of their own."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/your-project.md"

FRESH = "python3 -m venv ~/venv"
WHEEL = 'pip wheel --quiet --no-deps --wheel-dir ~/wheels "$CLONE"'
INSTALL = "pip install --quiet ~/wheels/*.whl pytest"
CACHE = "freeonce cache"
OFFLINE = "unshare --map-root-user --net sh -c 'ip link set lo up && {}'"
"""A network namespace of one's own: nobody is reached from it, and the loopback must be set up."""


def commands() -> list[str]:
    """Those of the page's first block, without what they are for."""
    block = re.search(r"(?:^ {4}.+\n)+", PAGE.read_text(), re.M)
    assert block
    return [line.split("#")[0].strip() for line in block[0].splitlines()]


def way() -> Iterator[tuple[str, bool]]:
    """All that is done, in order, and whether without a network."""
    install, *rest = commands()
    assert install == "pip install ."
    # The clone is only where the wheel comes from.
    for command in (FRESH, WHEEL, INSTALL, *rest):
        yield command, False
    for command in (*rest[rest.index("freeonce setup") :], CACHE):
        yield command, True


@dataclass(frozen=True)
class Said:
    """A command, all that it printed, and how long it took."""

    command: str
    offline: bool
    words: str
    seconds: float


class Stranger:
    """Their shell. A `cd` lasts; all else is done by one shell a command."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        self.home = home
        self.folder = home / "empty"
        self.folder.mkdir()
        ours = ("FREEONCE_IMAGE", "FREEONCE_OUTER", "XDG_", "PYTEST_", "VIRTUAL_")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
            "HOME": str(home),
            "PATH": f"{home}/venv/bin:{os.environ['PATH']}",
            "CLONE": str(ROOT),
        }

    def do(self, command: str, offline: bool = False) -> Said:
        """Raises AssertionError, with what was printed, when it fails."""
        if command.startswith("cd "):
            self.folder /= command.removeprefix("cd ")
            return Said(command, offline, "", 0.0)
        start = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", OFFLINE.format(command) if offline else command],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        said = Said(command, offline, done.stdout, time.monotonic() - start)
        print(written(said), flush=True)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
        return said


def written(said: Said) -> str:
    """As a terminal has it, with the seconds."""
    seconds = f"({said.seconds:.1f} s)\n" if said.seconds else ""
    return f"$ {said.command}\n{said.words}{seconds}"

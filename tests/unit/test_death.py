"""What the scenes of `make death` rest on."""

import random
import signal
from pathlib import Path

from freeonce.machine.folder import kept_folder
from tests.death.life import Life, kind_of


def test_an_interrupt_reaches_a_run_that_was_begun_in_the_background(tmp_path: Path) -> None:
    """A shell has it ignored there: 18 of 18 moments were too late, and the table said no more."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        life = Life(tmp_path, tmp_path / "templates", ("explain", "leak"))
    finally:
        signal.signal(signal.SIGINT, before)
    struck = life.strike("harness", signal.SIGINT, random.Random(1))
    life.end()
    assert struck is not None
    assert life.left() == []


def test_a_keeper_is_known_for_one(tmp_path: Path) -> None:
    """When its first line became another none was: no keeper was killed, and nothing said so."""
    with kept_folder(tmp_path):
        mine = Path("/proc/self/task").glob("*/children")
        kinds = [kind_of(int(pid)) for one in mine for pid in one.read_text().split()]
    assert kinds.count("keeper") == 1

"""What the scenes of `make death` rest on."""

import signal
from pathlib import Path

from tests.death.life import Life


def test_an_interrupt_reaches_a_run_that_was_begun_in_the_background(tmp_path: Path) -> None:
    """A shell has it ignored there: 18 of 18 moments were too late, and the table said no more."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        life = Life(tmp_path, tmp_path / "templates", ("explain", "leak"))
    finally:
        signal.signal(signal.SIGINT, before)
    struck = life.strike("harness", signal.SIGINT)
    life.end()
    assert struck
    assert life.left() == []

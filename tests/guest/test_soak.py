"""A short soak: `make soak` begins 10,000 guests, this 40 (in a process of its own, as it does)."""

import signal
import subprocess
import sys
import time
from pathlib import Path

SOAK = (sys.executable, "-m", "tests.soak")
ROOT = Path(__file__).parents[2]


def test_forty_guests_come_to_what_they_should_and_leave_nothing(tmp_path: Path) -> None:
    page = tmp_path / "soak.md"
    words = (*SOAK, str(page), "40", "--every", "5")
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    text = page.read_text()
    assert "| guests begun, of one harness, each for one scenario | 40 |" in text
    assert "| false | 0 |" in text
    assert "| flat | yes |" in text


def test_one_that_is_ended_tells_what_was_done_until_then(tmp_path: Path) -> None:
    page = tmp_path / "soak.md"
    words = (*SOAK, str(page), "10000", "--every", "1", "--jobs", "1")
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    text = page.read_text()
    assert "It was ended before all was done." in text
    assert "| asked for | 10000 |" in text

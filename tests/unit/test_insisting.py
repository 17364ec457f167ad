"""Who asks us to end is heard, wherever the signal comes."""

import subprocess
import sys

import pytest

PROGRAM = """
import gc, os, signal, sys, time, weakref
from freeonce.cli.insisting import insisting

number, where, times = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def end(*_):
    raise SystemExit(128 + number)

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, end)

class Held:
    def __del__(self):
        if where == "destructor":
            os.kill(os.getpid(), number)
            time.sleep(0.001)

def gone(_):
    if where == "callback":
        os.kill(os.getpid(), number)
        time.sleep(0.001)

try:
    with insisting():
        for _ in range(times):
            held = Held()
            known = weakref.ref(held, gone)
            del held
        for _ in range(1000):
            time.sleep(0.01)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("where", ["destructor", "callback"])
@pytest.mark.parametrize(("number", "status"), [(2, 130), (15, 143)])
def test_a_signal_in_a_place_that_nothing_can_leave_ends_all_the_same(
    number: int, status: int, where: str, times: int
) -> None:
    words = [sys.executable, "-c", PROGRAM, str(number), where, str(times)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, "")


def test_what_else_is_lost_is_reported_as_before() -> None:
    program = """
from freeonce.cli.insisting import insisting

class Held:
    def __del__(self):
        raise ValueError("of its own")

with insisting():
    Held()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "ValueError: of its own" in done.stderr

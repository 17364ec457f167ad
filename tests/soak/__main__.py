"""Begins and ends many guests in one process; writes the page of what came of it.

Usage: python -m tests.soak PAGE [GUESTS] [--every N] [--jobs N]

A signal ends it; the page then tells of what was done until then, as it does after each sample.
"""

import argparse
import signal
import sys
from pathlib import Path

from freeonce.cli.insisting import insisting
from freeonce.project.setting import find_setting
from freeonce.run.crew import default_jobs
from tests.soak.soak import Soaked, about, page, soak

GUESTS, SAMPLES = 10_000, 100


def main() -> int:
    """1 if a verdict was false or something grew, 130 when it was ended before all was done."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("page", type=Path)
    parser.add_argument("guests", type=int, nargs="?", default=GUESTS)
    parser.add_argument("--every", type=int, help="guests between two samples")
    parser.add_argument("--jobs", type=int)
    said = parser.parse_args()
    # Whoever begins us in the background has an interrupt ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    setting = find_setting("auto")
    jobs = said.jobs or default_jobs(setting.config().memory)
    before = said.page.read_text() if said.page.exists() else ""
    soaked: Soaked | None = None
    ended = False
    every = said.every or -(-said.guests // SAMPLES)
    try:
        with insisting():
            for soaked in soak(setting, said.guests, every, jobs):
                said.page.write_text(page(soaked, about(setting, soaked, jobs), before))
                done, kept = soaked.samples[-1]
                print(f"{soaked.seconds:6.0f} s  {done}  {kept.tolist()}", flush=True)
    except KeyboardInterrupt:
        ended = True
    if soaked is None:
        print("soak: ended before the first sample", file=sys.stderr)
        return 130
    text = page(soaked, about(setting, soaked, jobs), before)
    said.page.write_text(text)
    print(text)
    return 130 if ended else int(not soaked.well)


if __name__ == "__main__":
    sys.exit(main())

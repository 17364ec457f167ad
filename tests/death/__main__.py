"""Each scene many times, each place once; writes the table of what was really run.

Usage: python -m tests.death PAGE [TIMES] [--at-once N] [--scene GLOB] [--seconds N] [--kept FILE]

It goes on where it was ended, as long as the harness is the same. 75 (EX_TEMPFAIL) when it was
ended before all was played.
"""

import argparse
import fnmatch
import os
import random
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from freeonce.project.host import cores
from freeonce.project.setting import find_setting
from tests.death.kept import Kept, commit, page, read, version
from tests.death.playing import UNDISTURBED, Playing
from tests.death.scenes import PLACES, SCENES, prepare

TIMES = 200
KEPT = Path("build/death.json")
A_CORE = 2
"""Plays at once: one waits for most of its time."""


class Told:
    """Writes what was played, whatever becomes of the rest."""

    def __init__(self, kept: Kept, file: Path, target: Path, at_once: int) -> None:
        self._kept = kept
        self._file = file
        self._page = target
        self._at_once = at_once
        self._before = kept.seconds
        self._begin = time.monotonic()
        self._host = find_setting("auto").document()

    def __call__(self, word: str) -> None:
        self._kept.seconds = self._before + time.monotonic() - self._begin
        print(f"{self._kept.seconds:6.0f} s  {word}", flush=True)
        self._kept.write(self._file)
        host = self._host
        about = (
            f"Last run: freeonce at {commit()} (files {self._kept.version}), "
            f"QEMU {host['qemu']} ({host['accelerator']}), kernel {host['kernel']}, "
            f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {self._at_once} plays at "
            f"once, seed {self._kept.seed}, {self._kept.seconds:.0f} s."
        )
        before = self._page.read_text() if self._page.exists() else ""
        self._page.write_text(page(self._kept, about, before))


def main() -> int:
    """Play all; 1 if anything was wrong, or never played."""
    parser = argparse.ArgumentParser(prog="python -m tests.death")
    parser.add_argument("page", type=Path)
    parser.add_argument("times", type=int, nargs="?", default=TIMES)
    parser.add_argument("--at-once", type=int, default=A_CORE * cores())
    parser.add_argument("--scene", default="*")
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--kept", type=Path, default=KEPT)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    said = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    setting = find_setting("auto")
    kept = read(said.kept, version(setting), said.seed)
    scenes = [one for one in SCENES if fnmatch.fnmatch(one.name, said.scene)]
    for name in (UNDISTURBED, *(one.name for one in scenes)):
        kept.row(name)
    told = Told(kept, said.kept, said.page, said.at_once)
    with tempfile.TemporaryDirectory(prefix="death-") as folder:
        work = Path(folder)
        if wrong := prepare(work, work / "templates"):
            sys.exit(f"death: not even an undisturbed run is well: {wrong}")
        playing = Playing(kept, scenes, work, said.times, told)
        playing.same = lambda: version(setting) == kept.version
        lead(playing, said.at_once, said.seconds)
        if playing.whole:
            for name in (one for one in PLACES if fnmatch.fnmatch(one, said.scene)):
                place(kept, name, work)
                told(name)
    if not playing.whole:
        return 75
    return int(any(row.wrong or not row.moments for row in kept.rows.values()))


def lead(playing: Playing, at_once: int, seconds: float) -> None:
    """By so many at once. When they are to end, each ends its own play in order."""
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(at_once) as pool:
        leading = [pool.submit(playing.lead) for _ in range(at_once)]
        try:
            while not all(one.done() for one in leading) and time.monotonic() < end:
                time.sleep(0.2)
        except KeyboardInterrupt:
            print("death: the plays that are on go to their end", file=sys.stderr)
        playing.over.set()
    for one in leading:
        one.result()


def place(kept: Kept, name: str, work: Path) -> None:
    """One of those of full and shut folders, and of templates that two runs want; once."""
    row = kept.row(name)
    if not row.moments:
        begin = time.monotonic()
        wrong = PLACES[name](work, work / "templates")
        row.add(1, time.monotonic() - begin, tuple(wrong))


if __name__ == "__main__":
    sys.exit(main())

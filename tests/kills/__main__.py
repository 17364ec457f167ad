"""Campaigns whose parts are killed at random moments; writes the tables of what came of them.

Usage: python -m tests.kills PAGE [--tasks N] [--guests N] [--kills N] [--folder DIR] [--seconds N]

One on a scheduler, one on this machine's own workers. With a folder they go on where they were
ended.
"""

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

from freeonce.project.setting import find_setting
from tests.kills.campaign import Killed, led, page

TASKS, GUESTS, KILLS = 1000, 200, 100


def main() -> int:
    """1 if anything was wrong, 75 (EX_TEMPFAIL) if the time was over before the campaign."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills")
    parser.add_argument("page", type=Path)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--guests", type=int, default=GUESTS)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    said = parser.parse_args()
    parts: list[tuple[Killed, str]] = []
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
        for local in (False, True):
            folder = (said.folder or Path(scratch)) / ("local" if local else "scheduler")
            folder.mkdir(parents=True, exist_ok=True)
            asked = Killed(said.tasks, said.guests, said.kills, local=local)
            found = led(folder.resolve(), asked, said.seconds, random.Random(said.seed))
            parts.append((found, _about(found, said.seed)))
    text = page(parts)
    print(text)
    if not all(found.over for found, _ in parts):
        return 75
    said.page.write_text(text)
    return int(any(found.wrong for found, _ in parts))


def _about(found: Killed, seed: int) -> str:
    host = find_setting("auto").document()
    return (
        f"Last run: QEMU {host['qemu']} ({host['accelerator']}), kernel {host['kernel']}, "
        f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, seed {seed}, "
        f"{found.seconds:.0f} s, load {os.getloadavg()[2]:.0f} at its end."
    )


if __name__ == "__main__":
    sys.exit(main())

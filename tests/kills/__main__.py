"""A campaign whose parts are killed at random moments; writes the table of what came of it.

Usage: python -m tests.kills PAGE [--tasks N] [--guests N] [--kills N] [--folder DIR] [--seconds N]

With a folder it goes on where it was ended.
"""

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

from freeonce.project.setting import find_setting
from tests.kills.campaign import led, table

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
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
        folder = said.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        numbers = (said.tasks, said.guests, said.kills, said.seconds)
        found = led(folder.resolve(), *numbers, random.Random(said.seed))
    host = find_setting("auto").document()
    about = (
        f"Last run: QEMU {host['qemu']} ({host['accelerator']}), kernel {host['kernel']}, "
        f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, seed {said.seed}, "
        f"{found.seconds:.0f} s, load {os.getloadavg()[2]:.0f} at its end."
    )
    text = table(found, about)
    print(text)
    if not found.over:
        return 75
    said.page.write_text(text)
    return int(bool(found.wrong))


if __name__ == "__main__":
    sys.exit(main())

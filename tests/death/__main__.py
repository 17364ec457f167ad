"""Each scene many times, each place once; writes the table of what was really run.

Usage: python -m tests.death PAGE [TIMES [SEED]]
"""

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from freeonce.project.setting import find_setting
from tests.death.life import Life
from tests.death.scenes import PLACES, SCENES, play, run_in, untouched

TIMES = 200


@dataclass(frozen=True)
class Row:
    """A scene: how often it was played, how often the moment came too late, what was wrong."""

    name: str
    played: int
    late: int
    wrong: tuple[str, ...]


def scenes(work: Path, templates: Path, times: int, chance: random.Random) -> Iterator[Row]:
    """The random ones."""
    for scene in SCENES:
        late, wrong = 0, []
        for _ in range(times):
            found = play(scene, work, templates, chance)
            late += found is None
            wrong += found or []
        yield Row(scene.name, times - late, late, tuple(wrong))


def places(work: Path, templates: Path) -> Iterator[Row]:
    """Those of full and shut folders, and of templates that two runs want."""
    for name, scene in PLACES.items():
        yield Row(name, 1, 0, tuple(scene(work, templates)))


def table(rows: list[Row], about: str) -> str:
    """The page."""
    lines = [
        "# Death",
        "",
        "Whoever dies, and whatever is full: every run ends within its deadline, with the right",
        "words and status, every other result is kept, and nothing is left 5 s later. `make death`",
        "kills at random moments and writes this page; `tests/guest/test_death.py` plays most of",
        "the scenes once.",
        "",
        about,
        "",
        "| who, or what | played | over before | wrong |",
        "|---|---|---|---|",
        *(f"| {row.name} | {row.played} | {row.late} | {len(row.wrong)} |" for row in rows),
        "",
    ]
    for row in rows:
        lines += [f"- {row.name}: {one}" for one in row.wrong]
    return "\n".join(lines).rstrip() + "\n"


def main(page: str, times: int = TIMES, seed: int | None = None) -> int:
    """Play all; 1 if anything was wrong, or never played."""
    seed = seed if seed is not None else random.randrange(1 << 32)
    host = find_setting("auto").document()
    rows: list[Row] = []
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="death-") as folder:
        work = Path(folder)
        templates = work / "templates"
        wrong = run_in(Life(work, templates), untouched)
        if wrong:
            sys.exit(f"death: not even an undisturbed run is well: {wrong}")
        for source in (
            scenes(work, templates, times, random.Random(seed)),
            places(work, templates),
        ):
            for row in source:
                rows.append(row)
                seconds = time.monotonic() - begin
                print(f"{seconds:6.0f} s  {row}", flush=True)
                # What was played is told, whatever becomes of the rest.
                about = (
                    f"Last run: QEMU {host['qemu']} ({host['accelerator']}), kernel "
                    f"{host['kernel']}, Python {sys.version.split()[0]}, seed {seed}, "
                    f"{seconds:.0f} s."
                )
                Path(page).write_text(table(rows, about))
    # What was never played was not well either.
    return int(any(row.wrong or not row.played for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))

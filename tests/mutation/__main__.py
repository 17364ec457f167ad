"""`make mutation`: the audit changed in each way that its tests should notice.

    python -m tests.mutation [--share 0.02] [--seed N] [FILE-PATTERN ...]

cosmic-ray changes files in place, so it is given a copy of the repository. Whoever runs this
again goes on where it was ended; `--anew` begins again. Exit status 1 when a mutant survived.
"""

import argparse
import fnmatch
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPY = ROOT / "build" / "mutation"
CONFIG = "tests/mutation/cosmic-ray.toml"
SESSION = "mutants.sqlite"


def main() -> int:
    """Make the mutants, try them, and print which survived."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the mutants, 0 to 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--anew", action="store_true", help="forget what was tried before")
    parser.add_argument("patterns", nargs="*", default=["*"], help="of files: '*/rules.py'")
    asked = parser.parse_args()
    if asked.anew:
        shutil.rmtree(COPY, ignore_errors=True)
    if not (COPY / SESSION).exists():
        _begin(asked.patterns, asked.share, random.Random(asked.seed))
    _run("cosmic-ray", "exec", CONFIG, SESSION)
    _run("cr-report", "--show-diff", "--surviving-only", SESSION)
    return 1 if _survivors() else 0


def _begin(patterns: list[str], share: float, chance: random.Random) -> None:
    """The copy, and in it the session; it has its name only when it is whole."""
    shutil.rmtree(COPY, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-zco", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, COPY / name)
    _run("cosmic-ray", "init", CONFIG, "new.sqlite")
    _leave_out("new.sqlite", patterns, share, chance)
    (COPY / "new.sqlite").rename(COPY / SESSION)


def _leave_out(session: str, patterns: list[str], share: float, chance: random.Random) -> None:
    """What was not asked for counts as skipped."""
    from cosmic_ray.work_db import WorkDB, use_db  # noqa: PLC0415
    from cosmic_ray.work_item import WorkerOutcome, WorkResult  # noqa: PLC0415

    skipped = WorkResult(worker_outcome=WorkerOutcome.SKIPPED)
    with use_db(str(COPY / session), WorkDB.Mode.open) as database:
        left_out = []
        for item in database.pending_work_items:
            file = str(item.mutations[0].module_path)
            wanted = any(fnmatch.fnmatch(file, pattern) for pattern in patterns)
            if not wanted or chance.random() >= share:
                left_out.append(item.job_id)
        database.set_multiple_results(left_out, skipped)


def _survivors() -> int:
    from cosmic_ray.work_db import WorkDB, use_db  # noqa: PLC0415
    from cosmic_ray.work_item import TestOutcome  # noqa: PLC0415

    with use_db(str(COPY / SESSION), WorkDB.Mode.open) as database:
        tried = [result for _, result in database.results if result.test_outcome]
    survived = sum(result.test_outcome is TestOutcome.SURVIVED for result in tried)
    print(f"mutation: {len(tried)} mutants tried, {survived} survived")
    return survived


def _run(program: str, *arguments: str) -> None:
    """A program of our Python's environment, in the copy, whose freeonce it imports."""
    folder = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(COPY / "harness"),
    }
    subprocess.run([str(folder / program), *arguments], cwd=COPY, env=environment, check=True)


if __name__ == "__main__":
    sys.exit(main())

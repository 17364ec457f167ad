"""`make mutation`: the audit changed in each way that its tests should notice.

    python -m tests.mutation [--share 0.02] [--seed N] [FILE-PATTERN ...]

cosmic-ray makes the mutants; `forks` tries them, in a copy of the repository, so that whoever works
on goes on. Whoever runs this again goes on where it was ended: mutants of files that are another
now are made anew, and survivors are tried again with other tests. `--anew` forgets everything.
Survivors that are the same program stand in `same/`. Exit status 1 when another survived, 75
(EX_TEMPFAIL) when some were not tried.
"""

import argparse
import ast
import difflib
import fnmatch
import os
import pickle
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkResult

from tests.mutation.explained import Explained, Mutant, explained
from tests.mutation.forks import Trial
from tests.mutation.kinds import USUAL, is_of_identity, is_usual
from tests.mutation.noticing import Noticing, digest, python, reach
from tests.mutation.places import Place, When, place
from tests.mutation.reach import MUTATED, Reach

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "mutation"


def main() -> int:
    """Make the mutants, try them, and print which survived."""
    asked = _asked()
    if unknown := USUAL - {name.removeprefix("core/") for name in operator_names()}:
        sys.exit(f"mutation: cosmic-ray has no {', '.join(sorted(unknown))}")
    if asked.anew:
        shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="copy-") as folder:
        copy = Path(folder)
        _copy_to(copy)
        files = _files(asked.patterns)
        if not files:
            sys.exit(f"mutation: no file matches {' '.join(asked.patterns)}")
        sessions = {file: _session(file) for file in files}
        if not asked.report:
            reached = reach(copy, BUILD)
            new, again = list[Trial](), list[Trial]()
            for file, session in sessions.items():
                for trial, before in _trials(file, session, reached, asked):
                    (again if before else new).append(trial)
            # Those of before survive most likely, and take all the time there is.
            _try(copy, new + again, asked.jobs)
    return _report(sessions, asked.every)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the mutants, 0 to 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--anew", action="store_true", help="forget what was tried before")
    parser.add_argument("--report", action="store_true", help="try nothing")
    parser.add_argument("--every", action="store_true", help="the unusual changes as well")
    parser.add_argument("--jobs", type=int, default=1, help="how many are tried at once")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of tests that a mutant must survive"
    )
    parser.add_argument("patterns", nargs="*", default=["*"], help="of files: '*/rules.py'")
    return parser.parse_args()


def _copy_to(copy: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-zco", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)


def _files(patterns: Sequence[str]) -> list[str]:
    """Those to mutate, from the repository's root, in the order of the patterns."""
    every = [str(p.relative_to(ROOT)) for folder in MUTATED for p in (ROOT / folder).rglob("*.py")]
    found = [file for one in patterns for file in sorted(every) if fnmatch.fnmatch(file, one)]
    return list(dict.fromkeys(found))


# Sessions


def _session(file: str) -> Path:
    """cosmic-ray's, with all mutants of one file as it is now."""
    name = file.removeprefix("harness/freeonce/").removesuffix(".py").replace("/", "-")
    session = BUILD / f"{name}-{digest(ROOT / file)}.sqlite"
    if not session.exists():
        for old in BUILD.glob(f"{name}-????????????.sqlite"):
            old.unlink()
        new = BUILD / f"{name}.new"
        new.unlink(missing_ok=True)
        with use_db(str(new)) as database:
            init([Path(file)], database, {})
        new.rename(session)
    return session


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


def _place(mutation: MutationSpec) -> Place:
    return _at(str(mutation.module_path), *mutation.start_pos)


@cache
def _at(file: str, line: int, column: int) -> Place:
    return place(_tree(file), line, column)


def _left_out(mutation: MutationSpec, every: bool) -> str:
    """Why no test is asked to notice it; empty where one is."""
    if _place(mutation).when is When.NEVER:
        return "in an annotation"
    if is_of_identity(mutation.operator_name):
        return "identity for value"
    return "" if every or is_usual(mutation.operator_name) else "unusual"


# Trials


def _trials(
    file: str, session: Path, reached: dict[str, dict[str, Reach]], asked: argparse.Namespace
) -> Iterator[tuple[Trial, bool]]:
    """What is to be tried of one file, in its order; whether it survived other tests before."""
    noticing = Noticing(file, reached, asked.seconds)
    unit = (ROOT / "tests" / "unit").glob("*.py")
    mark = f"{digest(*sorted(unit))} {asked.seconds}"
    chance = random.Random(f"{asked.seed} {file}")
    with use_db(str(session), WorkDB.Mode.open) as database:
        done = dict(database.results)
        items = database.work_items
    for item in sorted(items, key=lambda one: _order(one.mutations[0])):
        mutation, wanted = item.mutations[0], chance.random() < asked.share
        before = done.get(item.job_id)
        again = before and before.test_outcome is TestOutcome.SURVIVED and before.output != mark
        if wanted and not _left_out(mutation, asked.every) and (before is None or again):
            where = _place(mutation)
            when, tests = noticing.when(where), noticing.tests(where)
            yield Trial(item.job_id, str(session), mutation, when, tests, mark), bool(again)


def _order(mutation: MutationSpec) -> tuple[object, ...]:
    return mutation.start_pos, mutation.operator_name, mutation.occurrence


def _try(copy: Path, trials: Sequence[Trial], jobs: int) -> None:
    print(f"mutation: {len(trials)} mutants to try", file=sys.stderr)
    parts = [part for part in (trials[start::jobs] for start in range(jobs)) if part]
    with ThreadPoolExecutor(jobs) as threads:
        list(
            threads.map(
                lambda part: python(copy, "tests.mutation.forks", plan=pickle.dumps(part)), parts
            )
        )


# Report


def _mutant(mutation: MutationSpec) -> Mutant:
    file = str(mutation.module_path)
    before = (ROOT / file).read_text(encoding="utf-8")
    operator = get_operator(mutation.operator_name)(**mutation.operator_args)
    after = mutate_code(before, operator, mutation.occurrence)
    old, new = (text.split("\n") for text in (before, after))
    changed = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    _, first, last, from_, to = next(one for one in changed if one[0] != "equal")
    name = mutation.operator_name.removeprefix("core/")
    line, becomes = (" ".join(" ".join(some).split()) for some in (old[first:last], new[from_:to]))
    return Mutant(file, mutation.start_pos[0], line, becomes, name)


def _report(sessions: dict[str, Path], every: bool) -> int:
    """The exit status."""
    entries = explained()
    count: Counter[str] = Counter()
    for session in sessions.values():
        with use_db(str(session), WorkDB.Mode.open) as database:
            results = dict(database.results)
            items = sorted(database.work_items, key=lambda one: _order(one.mutations[0]))
        for item in items:
            mutation, result = item.mutations[0], results.get(item.job_id)
            said = _left_out(mutation, every) or _came_to(result)
            count[said or _explain(_mutant(mutation), entries)] += 1
    if every and not count["not tried"]:
        for one in entries:
            if not one.met and any(file.endswith(one.file) for file in sessions):
                print(f"explains no survivor: {one.file}: {one.operator}: {one.line}")
    print("mutation:", ", ".join(f"{number} {what}" for what, number in sorted(count.items())))
    if count["survived"]:
        return 1
    return os.EX_TEMPFAIL if count["not tried"] else 0


def _came_to(result: WorkResult | None) -> str:
    """Empty where it survived."""
    if result is None:
        return "not tried"
    if result.test_outcome is None:
        return "the same code"
    words = {TestOutcome.INCOMPETENT: "no program", TestOutcome.KILLED: "killed"}
    return words.get(result.test_outcome, "")


def _explain(mutant: Mutant, entries: Sequence[Explained]) -> str:
    met = [one for one in entries if one.matches(mutant)]
    for one in met:
        one.met += 1
    if met:
        return "survived, being the same"
    print(mutant)
    return "survived"


if __name__ == "__main__":
    sys.exit(main())

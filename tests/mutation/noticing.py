"""Which tests may notice a mutant, by which lines they run."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.places import Place, When
from tests.mutation.reach import MUTATED, TESTS, Reach

SLOW = 30.0
"""Seconds from which on a test is left out, measured as `reach` does: twice to thrice the usual."""


MORE = 0.02
"""Seconds of a test that are not its own."""


@dataclass(frozen=True)
class Test:
    """One, by pytest's name of it."""

    name: str
    seconds: float

    @property
    def file(self) -> str:
        """Where it stands."""
        return self.name.partition("::")[0]


def digest(*files: Path) -> str:
    """Of what stands in them."""
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.read_bytes())
    return whole.hexdigest()[:12]


def python(copy: Path, module: str, *arguments: str, plan: bytes = b"") -> None:
    """A module of ours, in the copy, whose freeonce it imports; out of others' way."""
    environment = os.environ | {"PYTHONPATH": str(copy / "harness")}
    words = ["nice", "-n", "15", sys.executable, "-m", module, *arguments]
    subprocess.run(
        words, cwd=copy, env=environment, input=plan, check=True, stdout=subprocess.DEVNULL
    )


def reach(copy: Path, keep: Path) -> dict[str, dict[str, Reach]]:
    """By file of tests and test. Measured again where that, or what all have in common, is another.

    `keep`: the folder of what was measured before.
    """
    unit = copy / "tests" / "unit"
    tests = [unit / f"test_{name}.py" for name in TESTS.split()]
    others = sorted(set(unit.glob("*.py")) - set(unit.glob("test_*.py")))
    others += sorted((copy / "tests" / "deception").glob("*.py"))
    for folder in MUTATED:
        others += sorted((copy / folder).rglob("*.py"))
    common = digest(*others)
    kept = {str(one.relative_to(copy)): keep / f"{one.stem}.reach" for one in tests}
    marks = {name: f"{common} {digest(copy / name)}" for name in kept}
    stale = [name for name, file in kept.items() if _marked(file) != marks[name]]
    if stale:
        print(f"mutation: what {len(stale)} files of tests reach", file=sys.stderr)
        new = keep / "reach.new"
        python(copy, "tests.mutation.reach", str(new), *stale)
        found = json.loads(new.read_text())
        for name in stale:
            own = {one: seen for one, seen in found.items() if one.partition("::")[0] == name}
            own[""] = found[""]
            kept[name].write_text(json.dumps({"mark": marks[name], "tests": own}))
    return {
        name: {test: Reach(**seen) for test, seen in json.loads(file.read_text())["tests"].items()}
        for name, file in kept.items()
    }


def _marked(file: Path) -> str:
    return json.loads(file.read_text())["mark"] if file.exists() else ""


class Noticing:
    """Which tests may notice a mutant of one file, the most promising first."""

    def __init__(self, file: str, reach: dict[str, dict[str, Reach]], seconds: float) -> None:
        self._seconds = seconds
        self._by_line: dict[int, list[Test]] = {}
        self._of_import: set[int] = set()
        by_file: Counter[str] = Counter()
        every = list[Test]()
        # Who runs none of the code looks at the modules themselves: at numbers and classes.
        looking = list[Test]()
        for name, tests in reach.items():
            for test, seen in tests.items():
                lines = seen.lines.get(file, ())
                if not test:
                    self._of_import.update(lines)
                elif seen.seconds < SLOW:
                    one = Test(test, seen.seconds)
                    (every if seen.lines else looking).append(one)
                    by_file[name] += len(lines)
                    for line in lines:
                        self._by_line.setdefault(line, []).append(one)
        some = [one for one in every if by_file[one.file] or not by_file.total()]
        self._any = self._bounded([*_quick(looking), *_covering(some, reach)])
        self._of: dict[tuple[int, int], list[Test]] = {}

    def when(self, where: Place) -> When:
        """A function that runs before any test is as good as its module's own text."""
        early = self._of_import.intersection(range(where.first, where.last + 1))
        return When.IMPORT if early and where.when is When.CALL else where.when

    def tests(self, where: Place) -> list[Test]:
        """Those that run one of its lines, or any of the file's where it is no function's."""
        if self.when(where) is When.IMPORT:
            return self._any
        lines = where.first, where.last
        if lines not in self._of:
            found = {one for line in range(lines[0], lines[1] + 1) for one in self._line(line)}
            self._of[lines] = self._bounded(_quick(found))
        return self._of[lines]

    def _line(self, line: int) -> list[Test]:
        return self._by_line.get(line, [])

    def _bounded(self, tests: Iterable[Test]) -> list[Test]:
        """The first ones, until the time is up."""
        found, left = list[Test](), self._seconds
        for one in tests:
            left -= one.seconds
            if left < 0 and found:
                break
            found.append(one)
        return found


def _quick(tests: Iterable[Test]) -> list[Test]:
    return sorted(tests, key=lambda one: (one.seconds, one.name))


def _covering(tests: Iterable[Test], reach: dict[str, dict[str, Reach]]) -> list[Test]:
    """First those that together run each line of all files, most lines a second; then the quick.

    A class of values has no line that only some tests run: whoever uses it stands elsewhere.
    """
    left = {one: set(_lines(reach[one.file][one.name])) for one in tests}
    found = list[Test]()
    while left:
        best = max(left, key=lambda one: (len(left[one]) / (one.seconds + MORE), one.name))
        seen = left.pop(best)
        if not seen:
            return [*found, best, *_quick(left)]
        found.append(best)
        left = {one: lines - seen for one, lines in left.items()}
    return found


def _lines(reach: Reach) -> Iterator[tuple[str, int]]:
    return ((file, line) for file, lines in reach.lines.items() for line in lines)

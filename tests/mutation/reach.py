"""Which lines of the mutated packages each unit test runs, and how long it takes.

    python -m tests.mutation.reach OUTPUT TEST-FILE ...

Lines that run as the mutated modules are imported stand under the name "". What tests do with them
as they are collected is left out: who computes there what it then tests sees no mutant.
"""

import importlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

MUTATED = ("harness/freeonce/audit", "harness/freeonce/evidence")
"""Folders, from the repository's root."""
TESTS = """
    account alike audit audit_property broken_off deception each excused failures families foreign
    format frame hardware hardware_property injection ledger life life_property lives match
    of_kernel oops paging quarantine quote reading result rules run said scenarios slow_judge
    snapshot spots stacks svm text tlb untold values vmcb windows witnesses
"""
"""The files in tests/unit that should notice. Others see audits from afar, and take their time."""
COLLECTION = "(as tests are collected)"
LIES = "tests/unit/test_deception.py::test_"
"""Of its tests one a planted fault is enough: the others judge the same again, with a lie."""
OPTIONS = (
    *("--deselect", LIES + "a_lie_does_not_make_it_clean"),
    *("--deselect", LIES + "what_tells_of_memory_is_missed"),
    # Nobody reads what a failure looks like, and to tell it takes longer than most tests.
    *("-q", "-x", "--tb=no", "--assert=plain"),
    *("-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0"),
)


@dataclass
class Reach:
    """Of one test: seconds of the CPU, and by file the lines."""

    seconds: float = 0.0
    lines: dict[str, list[int]] = field(default_factory=dict)


class Watch:
    """A plugin that has each test's lines told apart."""

    def __init__(self) -> None:
        from coverage import Coverage  # noqa: PLC0415

        folders = [str(Path(folder).resolve()) for folder in MUTATED]
        self.coverage = Coverage(data_file=None, config_file=False, source=folders)
        self.tests: dict[str, Reach] = {"": Reach()}
        self.coverage.start()
        for folder in MUTATED:
            for file in sorted(Path(folder).rglob("[!_]*.py")):
                importlib.import_module(".".join(file.with_suffix("").parts[1:]))
        self.coverage.switch_context(COLLECTION)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """What it takes of the CPU as well: the quick ones are tried first."""
        self.coverage.switch_context(item.nodeid)
        start = time.process_time()
        result = yield
        self.tests[item.nodeid] = Reach(time.process_time() - start)
        self.coverage.switch_context(COLLECTION)
        return result

    def end(self) -> dict[str, Reach]:
        """By the test's name."""
        self.coverage.stop()
        data = self.coverage.get_data()
        for name in data.measured_files():
            file = str(Path(name).relative_to(Path.cwd()))
            for line, tests in data.contexts_by_lineno(name).items():
                for test in set(tests) - {COLLECTION}:
                    self.tests[test].lines.setdefault(file, []).append(line)
        return self.tests


def main() -> int:
    """Measure; the tests must succeed."""
    output, *files = sys.argv[1:]
    watch = Watch()
    status = pytest.main([*OPTIONS, *files], plugins=[watch])
    found = {test: asdict(reach) for test, reach in watch.end().items()}
    Path(output).write_text(json.dumps(found))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())

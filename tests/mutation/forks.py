"""Tries mutants, each in a fork of a process that has imported what they have in common.

    python -m tests.mutation.forks <PLAN

A mutant in a function's body is put in place of its code where all tests are collected already. One
that shows as its module is imported is forked before anything of ours is imported, and
imports its tests, file by file. A fork runs tests until one fails. The plan is a pickled list of
trials; results go to cosmic-ray's sessions, which whoever made the plan has open no more.
"""

import gc
import importlib
import os
import pickle
import resource
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from itertools import groupby
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import pytest
from cosmic_ray.ast import get_ast
from cosmic_ray.mutating import MutationVisitor
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkResult

from tests.mutation.noticing import Test
from tests.mutation.places import When
from tests.mutation.reach import OPTIONS

MEMORY = 6 << 30
"""Bytes of addresses that a fork may have; more is an endless list."""
NO_PROGRAM, SAME, NOT_IN_PLACE = 70, 71, 72
"""Exit statuses of a fork that ran no test; pytest's are below."""
OURS = ("freeonce", "tests", "conftest")


@dataclass(frozen=True)
class Trial:
    """One mutant. `mark`: what is noted beside a survivor, of the tests it was tried with."""

    job: str
    session: str
    mutation: MutationSpec
    when: When
    tests: Sequence[Test]
    mark: str

    @property
    def file(self) -> str:
        """That of the mutated module."""
        return str(self.mutation.module_path)


class Records:
    """What tests come to, in cosmic-ray's sessions; and which tests noticed something before."""

    def __init__(self) -> None:
        self.killers: Counter[tuple[str, str]] = Counter()
        self._database = cache(lambda session: WorkDB(session, WorkDB.Mode.open))

    def order(self, trial: Trial) -> list[Test]:
        """Its tests: first those that noticed something in this file before."""
        if trial.when is When.IMPORT:
            return sorted(trial.tests, key=lambda one: -self.killers[trial.file, one.file])
        return sorted(trial.tests, key=lambda one: -self.killers[trial.file, one.name])

    def note(self, trial: Trial, status: int, killer: str) -> None:
        """The outcome that an exit status (or a signal, negative) stands for."""
        worker, outcome, words = WorkerOutcome.NORMAL, TestOutcome.KILLED, killer
        if status == SAME:
            worker, outcome, words = WorkerOutcome.SKIPPED, None, "the same code"
        elif status == NO_PROGRAM:
            outcome, words = TestOutcome.INCOMPETENT, "no program"
        elif status == 0:
            outcome, words = TestOutcome.SURVIVED, trial.mark
        elif not killer:
            words = f"status {status}"
        for name in {killer, killer.partition("::")[0]}:
            self.killers[trial.file, name] += 1
        result = WorkResult(worker_outcome=worker, test_outcome=outcome, output=words)
        self._database(trial.session).set_result(trial.job, result)


class Fork:
    """One of this process, with bounds. In it `child` is true; it says at most who killed."""

    def __init__(self, seconds: float) -> None:
        self._read, self._write = os.pipe()
        self._pid = os.fork()
        self.child = self._pid == 0
        if self.child:
            os.close(self._read)
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            # An endless loop ends by the CPU's time: others may be at work on this machine. (Tests
            # were measured with each line noted: they take half of it.) Who sleeps takes none.
            bound = int(3 + 2 * seconds)
            resource.setrlimit(resource.RLIMIT_CPU, (bound, bound))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.alarm(20 * bound)

    def say(self, test: str) -> None:
        """Only the first word is heard."""
        os.write(self._write, test.encode()[:1000] + b"\n")

    def end(self) -> tuple[int, str]:
        """Of a child: its status, negative for a signal, and the test that it named."""
        os.close(self._write)
        with os.fdopen(self._read, errors="replace") as heard:
            said = heard.read().partition("\n")[0]
        _, status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(status), said


class Chosen:
    """A plugin that has these tests run, in their order, and tells which failed."""

    def __init__(self, tests: Sequence[Test], fork: Fork) -> None:
        self._place = {one.name: index for index, one in enumerate(tests)}
        self._fork = fork

    def pytest_configure(self) -> None:
        """Examples of a failure need not be small, and are the next mutant's as well."""
        from hypothesis import Phase, settings  # noqa: PLC0415

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutation", deadline=None, database=None, phases=phases)
        settings.load_profile("mutation")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Before they run."""
        self.choose(items)

    def choose(self, items: list[pytest.Item]) -> None:
        """Leave only these."""
        items[:] = [item for item in items if item.nodeid in self._place]
        items.sort(key=lambda item: self._place[item.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that failed: it noticed."""
        if report.failed:
            self._fork.say(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Nothing of the file can run: it noticed, too."""
        if report.failed:
            self._fork.say(report.nodeid)


@dataclass(frozen=True)
class _Original:
    """A file: its syntax tree as cosmic-ray has it, and what its code does."""

    tree: object
    does: tuple[object, ...]


@cache
def _original(file: str) -> _Original:
    source = Path(file).read_text(encoding="utf-8")
    return _Original(get_ast(source), _does(compile(source, file, "exec", dont_inherit=True)))


def mutated(mutation: MutationSpec) -> str:
    """The file's text with it. The file's syntax tree is changed by this: once a process."""
    operator = get_operator(mutation.operator_name)(**mutation.operator_args)
    visitor = MutationVisitor(mutation.occurrence, operator)
    return str(visitor.walk(_original(str(mutation.module_path)).tree).get_code())


def _compiled(mutation: MutationSpec) -> CodeType:
    """In a fork. Ends it when there is nothing to try."""
    path = str(mutation.module_path.resolve())
    try:
        after = compile(mutated(mutation), path, "exec", dont_inherit=True)
    except SyntaxError:
        os._exit(NO_PROGRAM)
    if _original(str(mutation.module_path)).does == _does(after):
        os._exit(SAME)
    return after


def _does(code: CodeType) -> tuple[object, ...]:
    """What it does, without where its parts stand in the file."""
    constants = [_does(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts]
    return code.co_code, code.co_names, code.co_varnames, code.co_freevars, tuple(constants)


def _functions(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _functions(inner)


class InPlace:
    """A plugin: where pytest would run what it collected, each mutant's fork does, one by one."""

    def __init__(self, trials: Sequence[Trial], records: Records, left: Path) -> None:
        self._trials = trials
        self._records = records
        self._left = left
        self._chosen: Chosen | None = None

    def pytest_collection_finish(self) -> None:
        """Who holds which code, looked up once; and no collection touches the pages of forks."""
        self._functions: dict[str, list[FunctionType]] = {}
        for one in gc.get_objects():
            if isinstance(one, FunctionType):
                self._functions.setdefault(one.__code__.co_filename, []).append(one)
        gc.freeze()

    def pytest_configure(self) -> None:
        """As the forks have it."""
        Chosen.pytest_configure(None)  # type: ignore[arg-type]

    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """None in a fork, whose tests pytest then runs."""
        every = unmutated(self._trials)
        fork = Fork(sum(one.seconds for one in every))
        if fork.child:
            self._run_in(fork, every, session)
            return None
        if noticed(fork):
            return True
        left = []
        for trial in self._trials:
            tests = self._records.order(trial)
            _original(trial.file)
            fork = Fork(sum(one.seconds for one in tests))
            if fork.child:
                self._put(trial.mutation)
                self._run_in(fork, tests, session)
                return None
            status, killer = fork.end()
            if status == NOT_IN_PLACE:
                left.append(trial)
            else:
                self._records.note(trial, status, killer)
        self._left.write_bytes(pickle.dumps(left))
        return True

    def _run_in(self, fork: Fork, tests: Sequence[Test], session: pytest.Session) -> None:
        self._chosen = Chosen(tests, fork)
        self._chosen.choose(session.items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """In a fork."""
        if self._chosen:
            self._chosen.pytest_runtest_logreport(report)

    def _put(self, mutation: MutationSpec) -> None:
        """Ends the fork where the code fits no function that there is."""
        code = _compiled(mutation)
        fresh = {one.co_qualname: one for one in _functions(code)}
        changed = False
        for function in self._functions.get(code.co_filename, []):
            new = fresh.get(function.__code__.co_qualname)
            if new is not None and _does(new) != _does(function.__code__):
                with suppress(ValueError):
                    function.__code__ = new
                    changed = True
        if not changed:
            os._exit(NOT_IN_PLACE)


class _Finder(MetaPathFinder, SourceFileLoader):  # type: ignore[misc]
    """Finds one module, with other code than its file's."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        return spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname: str) -> CodeType:
        return self._code


def _import_others(files: Sequence[str]) -> None:
    """What the tests import, but nothing of ours: no fork needs to do that again."""
    fork = Fork(600)
    if fork.child:
        pytest.main([*OPTIONS, "--collect-only", *files])
        foreign = (name for name in list(sys.modules) if name.partition(".")[0] not in OURS)
        names = Path(f"{os.getppid()}.modules")
        names.write_text("\n".join(foreign))
        os._exit(0)
    fork.end()
    names = Path(f"{os.getpid()}.modules")
    for name in names.read_text().splitlines():
        with suppress(ImportError):
            importlib.import_module(name)
    names.unlink()


def unmutated(trials: Sequence[Trial]) -> list[Test]:
    """The tests that nothing is to be changed for: they must succeed where mutants are tried."""
    return sorted({test for trial in trials for test in trial.tests}, key=lambda one: one.name)


def noticed(fork: Fork) -> bool:
    """Whether tests failed without any mutant; then what they say of mutants is worth nothing."""
    status, test = fork.end()
    if status:
        print(f"mutation: fails without a mutant ({status}): {test}", file=sys.stderr)
    return status != 0


def _try_imported(trial: Trial, records: Records) -> None:
    """One mutant that shows as its module is imported."""
    tests = records.order(trial)
    _original(trial.file)
    fork = Fork(sum(one.seconds for one in tests) + len({one.file for one in tests}))
    if not fork.child:
        records.note(trial, *fork.end())
        return
    name = ".".join(trial.mutation.module_path.with_suffix("").parts[1:])
    path = str(trial.mutation.module_path.resolve())
    sys.meta_path.insert(0, _Finder(name, path, _compiled(trial.mutation)))
    _run_files(tests, fork)


def _run_files(tests: Sequence[Test], fork: Fork) -> None:
    """In a fork, which it ends; a file is not even imported when one before has noticed."""
    first = {test.file: index for index, test in reversed(list(enumerate(tests)))}
    by_file = sorted(tests, key=lambda one: first[one.file])
    for file, some in groupby(by_file, key=lambda one: one.file):
        status = pytest.main([*OPTIONS, file], plugins=[Chosen(list(some), fork)])
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            os._exit(int(status))
    os._exit(0)


def main() -> int:
    """Try all of the plan."""
    trials: list[Trial] = pickle.load(sys.stdin.buffer)
    left = Path(f"{os.getpid()}.left")
    files = sorted({test.file for trial in trials for test in trial.tests})
    called = [trial for trial in trials if trial.when is When.CALL]
    later = [trial for trial in trials if trial.when is When.IMPORT]
    if called:
        pid = os.fork()
        if pid == 0:
            plugin = InPlace(called, Records(), left)
            os._exit(int(pytest.main([*OPTIONS, *files], plugins=[plugin])))
        _, status = os.waitpid(pid, 0)
        if not left.exists():
            return status or 1
        later += pickle.loads(left.read_bytes())
        left.unlink()
    if later:
        _import_others(files)
        every, records = unmutated(later), Records()
        gc.freeze()
        fork = Fork(sum(one.seconds for one in every) + len(files))
        if fork.child:
            _run_files(every, fork)
        if noticed(fork):
            return 1
        for trial in later:
            _try_imported(trial, records)
    return 0


if __name__ == "__main__":
    sys.exit(main())

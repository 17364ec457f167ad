"""The results of campaigns in a folder: SQLite, one writer, read by anybody while it grows.

Each result is there for good when `add` returns (write-ahead log, synchronous=FULL).

Which of them count the table `plan` says: of each task, whatever image and harness it was run with,
the key that the last campaign meant, whether its result is there yet or not.
"""

import errno
import fcntl
import os
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from json import dumps, loads
from pathlib import Path
from typing import Any

from freeonce.campaign.outcome import Outcome
from freeonce.campaign.same import as_run, same_run, same_task
from freeonce.campaign.task import Task, label
from freeonce.errors import HostError, UsageError

FILE = "results.sqlite"
# A store that is being made: a reader sees all of it or none.
NEW = "results.sqlite.new"
LOCK = "lock"
VERSION = 2
WITHOUT_PLAN = 1
"""The format that has no table `plan`."""
BUSY_SECONDS = 30.0

_TABLES = """
create table results (
    key text primary key,
    kind text not null,
    name text not null,
    number integer not null,
    verdict text not null,
    as_expected integer not null,
    seconds real not null,
    finished real not null,
    worker text not null,
    task text not null,
    document text not null
) strict
"""
_PLAN = "create {} plan (run text primary key, key text not null) strict, without rowid"
_PLANNED = """
insert into plan values (?, ?) on conflict (run) do update set key = excluded.key
where key != excluded.key
"""
_COUNTS = "key in (select key from plan)"
"""Whether a result counts: this alone says so."""

Fits = Callable[[Mapping[str, Any]], bool]
"""Asked of a result's plain columns, before its JSON is read."""


@dataclass(frozen=True)
class Kept:
    """One result of a store. `finished`: seconds since 1970 by the clock of who stored it.

    `current`: whether it counts; if not it is of before the last plan.
    """

    key: str
    kind: str
    name: str
    number: int
    verdict: str
    as_expected: bool
    seconds: float
    finished: float
    worker: str
    task: dict[str, Any]
    document: dict[str, Any]
    current: bool = True

    @property
    def kernel(self) -> str:
        """As the plan names it; where it names none, the release of the image that was in use."""
        host = self.document.get("host") or {}
        return str(self.task.get("kernel") or host.get("kernel") or "")

    @property
    def label(self) -> str:
        """The task as people call it."""
        return label(self.name, as_run(self.task, self.document))

    @property
    def same_task(self) -> str:
        """See `same`."""
        return same_task(self.name, as_run(self.task, self.document))

    @property
    def same_run(self) -> str:
        """See `same`."""
        return same_run(self.name, as_run(self.task, self.document))


class Store:
    """An open store. Made by `writing` or `reading`."""

    def __init__(self, connection: sqlite3.Connection, where: Path) -> None:
        self._connection = connection
        self._where = where

    def keys(self) -> set[str]:
        """Of all results that are there."""
        with self._told("read"):
            return {key for (key,) in self._connection.execute("select key from results")}

    def plan(self, tasks: Iterable[Task]) -> None:
        """Results of these count, and no others: those that the store has besides are of before.

        All of it or nothing. Raises HostError `store` when it cannot be written.
        """
        with self._told("written"), self._connection:
            self._connection.execute("delete from plan")
            self._connection.executemany(_PLANNED, map(_planned, tasks))

    def plan_also(self, tasks: Iterable[Task]) -> None:
        """Results of these count, too; of each task only by this key, whatever was planned before.

        Raises HostError `store` when it cannot be written.
        """
        with self._told("written"), self._connection:
            self._connection.executemany(_PLANNED, map(_planned, tasks))

    def unplan_others(self, tasks: Iterable[Task]) -> None:
        """Of these tasks no result by another key counts; by this one it does if it did.

        Raises HostError `store` when it cannot be written.
        """
        with self._told("written"), self._connection:
            query = "delete from plan where run = ? and key != ?"
            self._connection.executemany(query, map(_planned, tasks))

    def planned(self) -> set[str]:
        """The keys of all results that count, also of those that are not there yet."""
        with self._told("read"):
            return {key for (key,) in self._connection.execute("select key from plan")}

    def awaited(self) -> set[str]:
        """What is planned and not there yet: `same_run` of each."""
        query = "select run from plan where key not in (select key from results)"
        with self._told("read"):
            return {run for (run,) in self._connection.execute(query)}

    def of_before(self) -> int:
        """How many results do not count."""
        with self._told("read"):
            query = f"select count(*) from results where not {_COUNTS}"
            (count,) = self._connection.execute(query).fetchone()
            return int(count)

    def add(self, task: Task, outcome: Outcome) -> None:
        """Keep a result, instead of the one that there is of the same task.

        What nobody planned counts, and of several such of a task the last.

        Raises HostError `store` when it cannot be written: then it is not there.
        """
        body = task.body
        row = (
            *(task.key, body["kind"], task.name, body["number"], outcome.verdict),
            *(int(outcome.as_expected), float(outcome.seconds), time.time(), outcome.worker),
            *(dumps(body), dumps(outcome.document)),
        )
        with self._told("written"), self._connection:
            marks = ", ".join("?" * len(row))
            self._connection.execute(f"insert or replace into results values ({marks})", row)
            self._connection.execute(_PLANNED, _planned(task))

    def accelerators(self) -> dict[bool, str]:
        """Of the results that count: what ran guests with SVM, as scenarios have it, and without.
        What is not known, or not one, is not there.
        """
        query = f"""select kind = 'scenario', json_extract(task, '$.accel') from results
            where {_COUNTS} group by 1, 2"""
        with self._told("read"):
            found = [(bool(svm), accel) for svm, accel in self._connection.execute(query)]
        kinds = Counter(svm for svm, _ in found)
        return {svm: str(accel) for svm, accel in found if kinds[svm] == 1 and accel != "auto"}

    def counts(self, keys: Iterable[str]) -> Counter[tuple[str, bool]]:
        """Of these keys: how many results have a verdict, as expected or not."""
        found: Counter[tuple[str, bool]] = Counter()
        wanted = set(keys)
        query = "select key, verdict, as_expected from results"
        with self._told("read"):
            for key, verdict, as_expected in self._connection.execute(query):
                if key in wanted:
                    found[verdict, bool(as_expected)] += 1
        return found

    def results(self, fits: Fits | None = None, *, current: bool = False) -> Iterator[Kept]:
        """In the order in which they came. `current`: only those that count, one of each task."""
        return (kept for _, kept in self.numbered(0, fits, current=current))

    def numbered(
        self, after: int = 0, fits: Fits | None = None, *, current: bool = False
    ) -> Iterator[tuple[int, Kept]]:
        """The same, each with a number that grows; only those behind a number."""
        query = f"select rowid, *, {_COUNTS} from results where rowid > ?"
        query += f" and {_COUNTS} order by rowid" if current else " order by rowid"
        with self._told("read"):
            for number, *row, counts in self._connection.execute(query, (after,)):
                *plain, task, document = row
                values: dict[str, Any] = dict(zip(_COLUMNS, plain, strict=True))
                values |= {"as_expected": bool(values["as_expected"]), "current": bool(counts)}
                if fits is None or fits(values):
                    whole = {"task": loads(task), "document": loads(document)}
                    yield number, Kept(**values, **whole)

    @contextmanager
    def still(self) -> Iterator[None]:
        """What is read meanwhile is of one moment, however often it is read."""
        with self._told("read"):
            self._connection.execute("begin")
        try:
            yield
        finally:
            self._connection.rollback()

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError) as error:
            raise _cannot_be(what, self._where, error) from error


def _planned(task: Task) -> tuple[str, str]:
    return same_run(task.name, task.body), task.key


def _cannot_be(what: str, where: Path, error: Exception) -> HostError:
    """Which store, what happened to it, and what to do. `what`: read, written or made."""
    said, full = str(error), False
    if isinstance(error, OSError):
        said, full = str(error.strerror), error.errno in (errno.ENOSPC, errno.EDQUOT)
    elif isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", "")
        # Where a file of its own does not grow SQLite knows only of an error of the disk.
        full = name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR")
        if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")) and _has_log(where):
            said += f"; {_log(where).name} has results that only who can write there reads"
            said += "; copy the folder to a place where you can write, and read the copy"
    if full:
        with suppress(OSError):
            said += f"; {shutil.disk_usage(where.parent).free / 1e6:.1f} MB are free on its disk"
        said += "; make room, or fix it; the results so far stay, and the same command continues"
    return HostError("store", f"{where} cannot be {what}: {said}")


_COLUMNS = (
    *("key", "kind", "name", "number", "verdict", "as_expected"),
    *("seconds", "finished", "worker"),
)


@contextmanager
def writing(folder: Path) -> Iterator[Store]:
    """The store in a folder, which is made when there is none; nobody else writes to it.

    Raises HostError `store` when it cannot be written, UsageError when another campaign does.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            ours = {LOCK, NEW, f"{NEW}-journal", f"{NEW}-wal", f"{NEW}-shm"}
            strange = any(one.name not in ours for one in folder.iterdir())
            if strange and not (folder / FILE).exists():
                raise UsageError(f"{folder} holds other files and no {FILE}; give a new folder")
            lock = stack.enter_context((folder / LOCK).open("a+"))
            _locked(lock.fileno(), folder)
        except OSError as error:
            raise _cannot_be("written", folder, error) from error
        if not (folder / FILE).exists():
            _make(folder)
        yield stack.enter_context(_opened(folder, write=True))


def _locked(descriptor: int, folder: Path) -> None:
    """The kernel lets go of it however we end. Who only reads by `_nobody_writes` is waited for."""
    end = time.monotonic() + BUSY_SECONDS
    while not _has(descriptor, fcntl.LOCK_EX):
        if not _has(descriptor, fcntl.LOCK_SH):
            who = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise UsageError(f"{folder}: another campaign writes to it (process {who})")
        if time.monotonic() > end:
            raise UsageError(f"{folder}: a reader without write permission has it open; try again")
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        time.sleep(0.05)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _has(descriptor: int, lock: int) -> bool:
    """Whether it has this lock now. Raises OSError where there are no locks."""
    try:
        fcntl.flock(descriptor, lock | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def reading(folder: Path) -> Iterator[Store]:
    """A store as it is, also while a campaign writes. Raises UsageError when there is none."""
    if not (folder / FILE).is_file():
        raise UsageError(f"{folder} is no store of results: it has no {FILE}")
    with _opened(folder, write=False) as store:
        yield store


def _make(folder: Path) -> None:
    new = folder / NEW
    try:
        for one in folder.glob(f"{NEW}*"):
            one.unlink()
        with closing(sqlite3.connect(new)) as connection:
            connection.execute("pragma journal_mode = wal")
            connection.execute(_TABLES)
            connection.execute(_PLAN.format("table"))
            connection.execute(f"pragma user_version = {VERSION}")
        new.rename(folder / FILE)
    except (OSError, sqlite3.Error) as error:
        raise _cannot_be("made", folder / FILE, error) from error


@contextmanager
def _opened(folder: Path, write: bool) -> Iterator[Store]:
    file = folder / FILE
    with ExitStack() as stack:
        try:
            connection, version = _connected(stack, folder, write)
            if version not in (WITHOUT_PLAN, VERSION):
                raise UsageError(f"{file} is of format {version}; this freeonce reads {VERSION}")
            if write:
                connection.execute("pragma synchronous = full")
            if version == WITHOUT_PLAN:
                _plan_what_came(connection, write)
            yield Store(connection, file)
        except sqlite3.Error as error:
            raise _cannot_be("written" if write else "read", file, error) from error


def _connected(stack: ExitStack, folder: Path, write: bool) -> tuple[sqlite3.Connection, int]:
    """Open as long as the stack is, and the store's format."""
    file = folder / FILE
    where = f"{file.resolve().as_uri()}?mode={'rw' if write else 'ro'}"
    try:
        return _asked(stack, where)
    except sqlite3.OperationalError as error:
        name = error.sqlite_errorname
        if write or not name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
            raise
        # SQLite cannot make its files beside it, by which it would see that somebody writes.
        stack.enter_context(_nobody_writes(folder))
        if _has_log(file):
            raise
        return _asked(stack, f"{where}&immutable=1")


def _asked(stack: ExitStack, where: str) -> tuple[sqlite3.Connection, int]:
    with ExitStack() as failed:
        connection = sqlite3.connect(where, uri=True, timeout=BUSY_SECONDS)
        failed.enter_context(closing(connection))
        (version,) = connection.execute("pragma user_version").fetchone()
        stack.push(failed.pop_all())
    return connection, version


@contextmanager
def _nobody_writes(folder: Path) -> Iterator[None]:
    """No campaign writes there meanwhile. Raises HostError `store` where that is not sure."""
    with ExitStack() as stack:
        why, do = "a campaign is just starting or ending there", "try again"
        try:
            lock = stack.enter_context((folder / LOCK).open("rb"))
            sure = _has(lock.fileno(), fcntl.LOCK_SH)
        except OSError as error:
            sure = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
            why, do = (
                str(error),
                "copy the folder to a place where you can write, and read the copy",
            )
        if not sure:
            message = f"{folder / FILE} cannot be read by who may not write there: {why}; {do}"
            raise HostError("store", message)
        yield


def _plan_what_came(connection: sqlite3.Connection, write: bool) -> None:
    """Of each task the last result counts: nobody wrote down what was meant.

    Who writes mends the store, for good; a reader has the table for himself.
    """
    if not write:
        connection.execute("pragma temp_store = memory")
    connection.execute("begin")
    connection.execute(_PLAN.format("table" if write else "temp table"))
    came = connection.execute("select name, task, document, key from results order by rowid")
    runs = (
        (same_run(name, as_run(loads(task), loads(document))), key)
        for name, task, document, key in came
    )
    connection.executemany(_PLANNED, runs)
    if write:
        connection.execute(f"pragma user_version = {VERSION}")
    connection.commit()


def _log(file: Path) -> Path:
    """Where SQLite writes ahead. It stays when the writer is killed."""
    real = file.resolve()
    return real.with_name(f"{real.name}-wal")


def _has_log(file: Path) -> bool:
    """Whether the database alone is not all of the store."""
    try:
        return _log(file).stat().st_size > 0
    except FileNotFoundError:
        return False

"""The results of campaigns in a folder: SQLite, one writer, read by anybody while it grows.

Each result is there for good when `add` returns (write-ahead log, synchronous=FULL).
"""

import errno
import fcntl
import json
import os
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freeonce.campaign.outcome import Outcome
from freeonce.campaign.task import Task, label
from freeonce.errors import HostError, UsageError

FILE = "results.sqlite"
# A store that is being made: a reader sees all of it or none.
NEW = "results.sqlite.new"
LOCK = "lock"
VERSION = 1
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


@dataclass(frozen=True)
class Kept:
    """One result of a store. `finished`: seconds since 1970 by the clock of who stored it."""

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

    @property
    def kernel(self) -> str:
        """As the plan names it; where it names none, the release of the image that was in use."""
        host = self.document.get("host") or {}
        return str(self.task.get("kernel") or host.get("kernel") or "")

    @property
    def label(self) -> str:
        """The task as people call it."""
        return label(self.name, self.task)


class Store:
    """An open store. Made by `writing` or `reading`."""

    def __init__(self, connection: sqlite3.Connection, where: Path) -> None:
        self._connection = connection
        self._where = where

    def keys(self) -> set[str]:
        """Of all results that are there."""
        with self._told("read"):
            return {key for (key,) in self._connection.execute("select key from results")}

    def add(self, task: Task, outcome: Outcome) -> None:
        """Keep a result, instead of the one that there is of the same task.

        Raises HostError `store` when it cannot be written: then it is not there.
        """
        body = task.body
        row = (
            *(task.key, body["kind"], task.name, body["number"], outcome.verdict),
            *(int(outcome.as_expected), float(outcome.seconds), time.time(), outcome.worker),
            *(json.dumps(body), json.dumps(outcome.document)),
        )
        with self._told("written"), self._connection:
            marks = ", ".join("?" * len(row))
            self._connection.execute(f"insert or replace into results values ({marks})", row)

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

    def results(self) -> Iterator[Kept]:
        """In the order in which they came."""
        return (kept for _, kept in self.numbered())

    def numbered(self, after: int = 0) -> Iterator[tuple[int, Kept]]:
        """The same, each with a number that grows; only those behind a number."""
        query = "select rowid, * from results where rowid > ? order by rowid"
        with self._told("read"):
            for number, *row in self._connection.execute(query, (after,)):
                *plain, task, document = row
                values = dict(zip(_COLUMNS, plain, strict=True))
                values["as_expected"] = bool(values["as_expected"])
                kept = Kept(**values, task=json.loads(task), document=json.loads(document))
                yield number, kept

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError) as error:
            raise _cannot_be(what, self._where, error) from error


def _cannot_be(what: str, where: Path, error: Exception) -> HostError:
    """Which store, what happened to it, and what to do. `what`: read, written or made."""
    said, full = str(error), False
    if isinstance(error, OSError):
        said, full = str(error.strerror), error.errno in (errno.ENOSPC, errno.EDQUOT)
    elif isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", "")
        # Where a file of its own does not grow SQLite knows only of an error of the disk.
        full = name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR")
    if full:
        with suppress(OSError):
            said += f"; {shutil.disk_usage(where.parent).free / 1e6:.1f} MB are free on its disk"
        said += "; make room, or mend it: what was kept stays, and the same command goes on"
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
    """The kernel lets go of it however we end."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        who = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        raise UsageError(f"{folder}: another campaign writes to it (process {who})") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


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
            connection.execute(f"pragma user_version = {VERSION}")
        new.rename(folder / FILE)
    except (OSError, sqlite3.Error) as error:
        raise _cannot_be("made", folder / FILE, error) from error


@contextmanager
def _opened(folder: Path, write: bool) -> Iterator[Store]:
    file = folder / FILE
    where = f"{file.resolve().as_uri()}?mode={'rw' if write else 'ro'}"
    try:
        with closing(sqlite3.connect(where, uri=True, timeout=BUSY_SECONDS)) as connection:
            (version,) = connection.execute("pragma user_version").fetchone()
            if version != VERSION:
                raise UsageError(f"{file} is of format {version}; this freeonce reads {VERSION}")
            if write:
                connection.execute("pragma synchronous = full")
            yield Store(connection, file)
    except sqlite3.Error as error:
        raise _cannot_be("written" if write else "read", file, error) from error

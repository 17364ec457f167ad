"""The store of a campaign: what is in it stays, and one writer has it."""

import fcntl
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from freeonce.campaign.outcome import Outcome
from freeonce.campaign.same import as_run, same_run
from freeonce.campaign.store import FILE, NEW, Store, reading, writing
from freeonce.campaign.task import Body, Task
from freeonce.errors import HostError, UsageError
from tests.unit.formats import without_plan


def task(number: int, name: str = "c/pool") -> Task:
    return Task(f"{number:032x}", name, {"kind": "scenario", "name": name, "number": number})


CLEAN = Outcome("clean", True, 0.5, "here:1", {"verdict": "clean"})


def test_a_result_is_there_as_it_was_kept(tmp_path: Path) -> None:
    with writing(tmp_path / "new" / "store") as store:
        store.add(task(1), CLEAN)
        assert store.keys() == {task(1).key}
    with reading(tmp_path / "new" / "store") as store:
        (kept,) = store.results()
    assert (kept.key, kept.name, kept.number) == (task(1).key, "c/pool", 1)
    assert (kept.verdict, kept.as_expected, kept.seconds) == ("clean", True, 0.5)
    assert (kept.task, kept.document) == (task(1).body, CLEAN.document)


def test_a_second_result_of_one_task_is_kept_instead_of_the_first(tmp_path: Path) -> None:
    with writing(tmp_path) as store:
        store.add(task(1), CLEAN)
        store.add(task(1), Outcome("faulty", False, 9.0, "there:2"))
        assert [kept.verdict for kept in store.results()] == ["faulty"]


def test_a_store_is_read_while_it_grows(tmp_path: Path) -> None:
    with writing(tmp_path) as store:
        store.add(task(1), CLEAN)
        with reading(tmp_path) as other:
            assert len(list(other.results())) == 1
            store.add(task(2), CLEAN)
            assert len(list(other.results())) == 2


def test_only_one_campaign_writes(tmp_path: Path) -> None:
    with (
        writing(tmp_path),
        pytest.raises(UsageError, match=f"process {os.getpid()}"),
        writing(tmp_path),
    ):
        pass
    with writing(tmp_path) as store:
        store.add(task(1), CLEAN)


def test_results_are_counted_by_verdict_and_of_the_keys_asked_for(tmp_path: Path) -> None:
    faulty = Outcome("faulty", False, 0.5, "here:1")
    with writing(tmp_path) as store:
        for number, outcome in enumerate((CLEAN, CLEAN, faulty, CLEAN)):
            store.add(task(number), outcome)
        counts = store.counts(task(number).key for number in range(3))
    assert counts == {("clean", True): 2, ("faulty", False): 1}


def of(image: str, number: int, name: str = "c/pool") -> Task:
    """The same task whatever the image; its key is another."""
    body = {"kind": "scenario", "name": name, "number": number, "image": image, "accel": "tcg"}
    return Task(f"{image} {name} {number}", name, body)


def counting(store: Store) -> list[str]:
    return [kept.key for kept in store.results(current=True)]


def test_the_results_of_the_last_plan_count_whenever_they_came(tmp_path: Path) -> None:
    with writing(tmp_path) as store:
        for image, count in (("A", 2), ("B", 2), ("A", 3)):
            tasks = [of(image, number) for number in range(count)]
            store.plan(tasks)
            for one in tasks:
                store.add(one, CLEAN)
        assert counting(store) == ["A c/pool 0", "A c/pool 1", "A c/pool 2"]
        assert [one.key for one in store.results() if not one.current] == [
            "B c/pool 0",
            "B c/pool 1",
        ]
        assert store.of_before() == 2


def test_a_task_that_is_not_planned_any_more_is_of_before(tmp_path: Path) -> None:
    with writing(tmp_path) as store:
        store.plan([of("A", 0), of("A", 0, "gone")])
        for one in (of("A", 0), of("A", 0, "gone")):
            store.add(one, CLEAN)
        store.plan([of("A", 0)])
        assert counting(store) == [of("A", 0).key]


def test_what_is_planned_and_not_there_is_awaited_and_no_old_result_stands_for_it(
    tmp_path: Path,
) -> None:
    with writing(tmp_path) as store:
        store.add(of("A", 0), CLEAN)
        new = [of("B", number) for number in range(2)]
        store.plan(new)
        assert counting(store) == []
        assert store.planned() == {one.key for one in new}
        assert store.awaited() == {same_run(one.name, one.body) for one in new}
        store.add(new[1], CLEAN)
        assert store.awaited() == {same_run(new[0].name, new[0].body)}


def test_a_plan_that_is_not_told_to_its_end_changes_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Task]:
        yield of("B", 0)
        raise UsageError("there is no such module")

    with writing(tmp_path) as store:
        store.plan([of("A", 0)])
        with pytest.raises(UsageError):
            store.plan(broken())
        assert store.planned() == {of("A", 0).key}


def test_without_a_plan_of_each_task_the_last_result_counts(tmp_path: Path) -> None:
    with writing(tmp_path) as store:
        for one in (of("A", 0), of("B", 0), of("A", 1)):
            store.add(one, CLEAN)
        assert counting(store) == [of("B", 0).key, of("A", 1).key]


def test_what_is_planned_besides_leaves_a_campaigns_results_as_they_are(tmp_path: Path) -> None:
    with writing(tmp_path) as store:
        store.plan([of("A", 0), of("A", 0, "module")])
        for one in (of("A", 0), of("A", 0, "module")):
            store.add(one, CLEAN)
        store.plan_also([of("B", 0, "module"), of("B", 0, "more")])
        store.add(of("B", 0, "more"), CLEAN)
        assert counting(store) == [of("A", 0).key, of("B", 0, "more").key]
        assert store.awaited() == {same_run("module", of("B", 0, "module").body)}


def test_what_another_image_came_to_can_be_taken_out_of_the_plan(tmp_path: Path) -> None:
    with writing(tmp_path) as store:
        for one in (of("A", 0), of("B", 1), of("A", 2)):
            store.add(one, CLEAN)
        store.unplan_others([of("B", 0), of("B", 1)])
        assert counting(store) == [of("B", 1).key, of("A", 2).key]
        assert store.awaited() == set()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store of the format 1, with results by two images."""
    with writing(tmp_path / "old") as store:
        for one in (of("A", 0), of("B", 0), of("A", 1)):
            store.add(one, CLEAN)
    return without_plan(tmp_path / "old")


def test_of_a_store_of_the_old_format_the_last_results_count_and_it_stays(old: Path) -> None:
    before = (old / FILE).read_bytes()
    with reading(old) as store, store.still():
        assert counting(store) == [of("B", 0).key, of("A", 1).key]
        assert store.of_before() == 1
        assert store.awaited() == set()
    assert (old / FILE).read_bytes() == before


def test_who_writes_to_a_store_of_the_old_format_gives_it_a_plan(old: Path) -> None:
    with writing(old) as store:
        assert counting(store) == [of("B", 0).key, of("A", 1).key]
        store.plan_also([of("C", 1)])
    with reading(old) as store:
        assert counting(store) == [of("B", 0).key]
        assert store.awaited() == {same_run("c/pool", of("C", 1).body)}
    with writing(old) as store:
        store.plan([of("A", 0)])
        assert counting(store) == [of("A", 0).key]


def under(accel: str, name: str, **more: object) -> Task:
    body: dict[str, object] = {"kind": "audit", "name": name, "number": 0, "accel": accel, **more}
    return Task(f"{name} {body}", name, body)


def test_a_task_of_the_old_format_is_that_of_the_accelerator_that_auto_took(tmp_path: Path) -> None:
    with writing(tmp_path) as store:
        for accel in ("tcg", "kvm"):
            store.add(under(accel, f"a-{accel}"), CLEAN)
    without_plan(tmp_path)
    new = [under(accel, f"a-{accel}", qemu="8", tools={}) for accel in ("tcg", "kvm")]
    with reading(tmp_path) as store:
        old = list(store.results(current=True))
    assert [one.task["accel"] for one in old] == ["auto", "auto"]
    assert [one.label for one in old] == ["a-tcg", "a-kvm (kvm)"]
    assert [one.same_run for one in old] == [same_run(one.name, one.body) for one in new]
    assert len({one.same_task for one in old}) == 2
    with writing(tmp_path) as store:
        store.plan_also(new)
        assert counting(store) == []
        for one in new:
            store.add(one, CLEAN)
        assert counting(store) == [one.key for one in new]
        kept = [one.same_task for one in store.results(current=True)]
    assert kept == [one.same_task for one in old]


def test_where_no_result_tells_what_auto_took_it_is_what_every_host_has() -> None:
    body = under("auto", "a").body
    assert as_run(body, {}) == as_run(body, {"host": {}}) == under("tcg", "a").body
    assert as_run(under("kvm", "a").body, {"host": {"accelerator": "tcg"}})["accel"] == "kvm"


def test_what_is_read_of_one_moment_does_not_grow(tmp_path: Path) -> None:
    with writing(tmp_path) as store:
        store.add(task(1), CLEAN)
        with reading(tmp_path) as other:
            with other.still():
                assert len(list(other.results())) == 1
                store.add(task(2), CLEAN)
                assert len(list(other.results())) == 1
            assert len(list(other.results())) == 2


def test_a_result_that_does_not_fit_is_told_and_not_dropped(tmp_path: Path) -> None:
    with writing(tmp_path) as store, pytest.raises(HostError, match="NOT NULL"):
        store.add(task(1), Outcome("clean", True, math.nan, "here:1"))


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    with pytest.raises(UsageError, match="holds other files"), writing(tmp_path):
        pass
    assert [one.name for one in tmp_path.iterdir()] == ["scratch"]


WRITER = """
import os, sys
from pathlib import Path
from freeonce.campaign.outcome import Outcome
from freeonce.campaign.store import writing
from freeonce.campaign.task import Task
with writing(Path(sys.argv[1])) as store:
    for number in range(10**6):
        body = {"kind": "scenario", "number": number}
        store.add(Task(str(number), "c/pool", body), Outcome("clean", True, 0.5, "w"))
        os.write(1, f"{number}\\n".encode())
"""


@pytest.mark.parametrize("after", [1, 7, 40])
def test_what_was_kept_outlives_a_killed_writer(tmp_path: Path, after: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout
        for _ in range(after):
            last = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        said = writer.stdout.read().split()
    told = int(said[-1]) if said else last
    with writing(tmp_path) as store:
        numbers = [kept.number for kept in store.results()]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) in (told + 1, told + 2)
        store.add(task(7), CLEAN)


def test_no_store_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"is no store of results: it has no results\.sqlite"),
        reading(tmp_path),
    ):
        pass


def test_a_store_half_made_is_none_and_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / NEW).write_text("the words of one that was killed")
    (tmp_path / f"{NEW}-wal").write_text("and more of them")
    with pytest.raises(UsageError, match="is no store of results"), reading(tmp_path):
        pass
    with writing(tmp_path) as store:
        store.add(task(1), CLEAN)
    assert not list(tmp_path.glob(f"{NEW}*"))


def test_a_reader_sees_all_of_a_new_store_or_none(tmp_path: Path) -> None:
    ended = threading.Event()
    folders = [tmp_path / str(number) for number in range(40)]

    def read() -> None:
        while not ended.is_set():
            for folder in folders:
                try:
                    with reading(folder) as store:
                        list(store.results())
                except UsageError as error:
                    if "is no store of results" not in str(error):
                        raise

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        for folder in folders:
            with writing(folder) as store:
                store.add(task(1), CLEAN)
        ended.set()
        reader.result()


def test_a_store_of_another_format_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("pragma user_version = 9")
    connection.close()
    with (
        pytest.raises(UsageError, match="is of format 9; this freeonce reads 2"),
        writing(tmp_path),
    ):
        pass


def test_what_is_no_database_is_told_and_kept(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("not a database, but somebody's words " * 100)
    before = (tmp_path / FILE).read_bytes()
    for opened in (writing, reading):
        with pytest.raises(HostError, match="not a database") as caught, opened(tmp_path):
            pass
        assert caught.value.reason == "store"
    assert (tmp_path / FILE).read_bytes() == before


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(HostError, match="store cannot be written: Not a directory"),
        writing(tmp_path / "file" / "store"),
    ):
        pass


FULL = """
import resource, signal, sys
from pathlib import Path
from freeonce.campaign.outcome import Outcome
from freeonce.campaign.store import writing
from freeonce.campaign.task import Task
from freeonce.errors import HostError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with writing(Path(sys.argv[1])) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    kept = 0
    try:
        for number in range(1000):
            document = {"text": "x" * 4000}
            body = {"kind": "scenario", "number": number}
            store.add(Task(str(number), "c", body), Outcome("clean", True, 1.0, "w", document))
            kept += 1
    except HostError as error:
        print(error.reason, kept)
"""


def test_a_full_disk_is_told_and_what_was_kept_stays(tmp_path: Path) -> None:
    """The kernel refuses to let a file grow, as a full disk does."""
    said = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], check=True, capture_output=True, text=True
    )
    reason, kept = said.stdout.split()
    assert reason == "store"
    assert 0 < int(kept) < 100
    with writing(tmp_path) as store:
        assert len(store.keys()) == int(kept)


def test_a_database_that_may_not_grow_is_told_with_what_to_do(tmp_path: Path) -> None:
    """SQLite's own limit says what it says of a full disk."""
    body = {"kind": "scenario", "number": 0}
    with writing(tmp_path) as store:
        store.add(Task("kept", "c", body), Outcome("clean", True, 1.0, "w", {}))
        store._connection.execute("pragma max_page_count = 1")
        big = Outcome("clean", True, 1.0, "w", {"text": "x" * 100_000})
        with pytest.raises(HostError) as full:
            store.add(Task("lost", "c", body), big)
    assert str(tmp_path / "results.sqlite") in str(full.value)
    assert "MB are free on its disk; make room" in str(full.value)
    assert "the same command continues" in str(full.value)
    with reading(tmp_path) as store:
        assert store.keys() == {"kept"}


# $1: the store; $2: where it is mounted so that nobody can write to it; then a command.
READ_ONLY = """
store=$1 disk=$2; shift 2
mount --bind "$store" "$disk" && mount -o remount,ro,bind "$disk" || exit 99
"$@"
"""
# Reads on when it is told to.
READER = """
import sys
from pathlib import Path
from freeonce.campaign.store import reading
from freeonce.errors import HostError
try:
    with reading(Path(sys.argv[1])) as store:
        if "slowly" in sys.argv:
            print("began", flush=True)
            sys.stdin.readline()
        print(len(list(store.results())))
except HostError as error:
    print(error)
"""


def reader(store: Path, disk: Path) -> tuple[str, ...]:
    """The words of one that cannot write where it reads."""
    apart = ("unshare", "--mount", "--map-root-user", "sh", "-c", READ_ONLY, "sh")
    return (*apart, str(store), str(disk), sys.executable, "-c", READER, str(disk))


def read_only(store: Path, disk: Path) -> str:
    """What a reader says of a store on a medium that cannot be written, whoever he is."""
    disk.mkdir(exist_ok=True)
    done = subprocess.run(reader(store, disk), capture_output=True, text=True, check=False)
    if done.returncode == 99 or "unshare failed" in done.stderr:
        pytest.skip(f"NOT TESTED: a medium that cannot be written; no mount: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_store_on_a_medium_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    with writing(tmp_path / "s") as store:
        store.add(task(1), CLEAN)
    assert read_only(tmp_path / "s", tmp_path / "disk") == "1"
    assert read_only(without_plan(tmp_path / "s"), tmp_path / "disk") == "1"
    # Who can write leaves an empty log behind.
    with reading(tmp_path / "s") as store:
        assert len(list(store.results())) == 1
    assert read_only(tmp_path / "s", tmp_path / "disk") == "1"


def test_who_cannot_write_reads_while_a_store_grows(tmp_path: Path) -> None:
    with writing(tmp_path / "s") as store:
        for number in (1, 2):
            store.add(task(number), CLEAN)
            assert read_only(tmp_path / "s", tmp_path / "disk") == str(number)


def test_what_only_a_log_has_is_never_left_out(tmp_path: Path) -> None:
    """Of a writer that was killed, on a medium to which SQLite's index of the log did not come."""
    with writing(tmp_path / "s") as store:
        store.add(task(1), CLEAN)
        shutil.copytree(tmp_path / "s", tmp_path / "copy")
    (tmp_path / "copy" / f"{FILE}-shm").unlink()
    said = read_only(tmp_path / "copy", tmp_path / "disk")
    assert f"{tmp_path / 'disk' / FILE} cannot be read: unable to open" in said
    assert f"{FILE}-wal has results" in said
    assert "copy the folder to a place where you can write" in said
    with reading(tmp_path / "copy") as store:
        assert store.keys() == {task(1).key}


def test_what_ran_the_guests_of_a_store_is_known_where_it_was_one_thing(tmp_path: Path) -> None:
    def under(accel: str, number: int, kind: str = "scenario") -> Task:
        body: Body = {"kind": kind, "name": "a", "number": number, "accel": accel}
        return Task(f"{accel} {number} {kind}", "a", body)

    with writing(tmp_path) as store:
        assert store.accelerators() == {}
        store.add(under("kvm", 0), CLEAN)
        store.add(under("kvm", 1), CLEAN)
        assert store.accelerators() == {True: "kvm"}
        store.add(under("tcg", 0, "audit"), CLEAN)
        assert store.accelerators() == {True: "kvm", False: "tcg"}
        store.add(under("kvm", 1, "census"), CLEAN)
        assert store.accelerators() == {True: "kvm"}
        # What does not count says nothing.
        store.plan([under("kvm", 1)])
        assert store.accelerators() == {True: "kvm"}
        store.plan([])
        assert store.accelerators() == {}


def test_who_writes_waits_for_who_reads_without_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the reader cannot write its owner can: what is read is of one moment nevertheless."""
    with writing(tmp_path / "s") as store:
        for number in range(100):
            store.add(task(number), Outcome("clean", True, 0.5, "w", {"x": "y" * 3000}))
    assert read_only(tmp_path / "s", tmp_path / "disk") == "100"
    words = (*reader(tmp_path / "s", tmp_path / "disk"), "slowly")
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdin
        assert other.stdout
        assert other.stdout.readline() == "began\n"
        monkeypatch.setattr("freeonce.campaign.store.BUSY_SECONDS", 0.1)
        said = "a reader without write permission has it open; try again"
        with pytest.raises(UsageError, match=said), writing(tmp_path / "s"):
            pass
        monkeypatch.undo()
        threading.Timer(0.3, lambda: print(file=other.stdin, flush=True)).start()
        with writing(tmp_path / "s") as store:
            assert other.stdout.read() == "100\n"
            for number in range(100):
                store.add(task(number), Outcome("faulty", True, 0.5, "w", {"x": "z" * 5000}))
            assert read_only(tmp_path / "s", tmp_path / "disk") == "100"


def test_what_somebody_may_write_to_is_not_taken_for_still(tmp_path: Path) -> None:
    with writing(tmp_path / "s") as store:
        store.add(task(1), CLEAN)
    with (tmp_path / "s" / "lock").open() as lock:
        # As of a campaign that has not opened its store yet.
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
        said = read_only(tmp_path / "s", tmp_path / "disk")
    assert said.startswith(f"{tmp_path / 'disk' / FILE} cannot be read by who may not write there")
    assert said.endswith("a campaign is just starting or ending there; try again")


def test_without_its_lock_only_a_medium_that_nobody_writes_to_is_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(tmp_path / "s") as store:
        store.add(task(1), CLEAN)
    (tmp_path / "s" / "lock").unlink()
    assert read_only(tmp_path / "s", tmp_path / "disk") == "1"

    def refused(*_: Any) -> Any:
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorname = "SQLITE_CANTOPEN"
        raise error

    monkeypatch.setattr("freeonce.campaign.store._asked", refused)
    with pytest.raises(HostError, match=r"No such file.*copy the folder"):  # noqa: SIM117
        with reading(tmp_path / "s"):
            pass

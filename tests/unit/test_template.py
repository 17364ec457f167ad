"""Templates as files: found, built, not believed, removed. The guest in them is made up."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from freeonce.errors import GuestLost, HostError
from freeonce.machine import place as places_module
from freeonce.machine import template as module
from freeonce.machine.argv import MIB, MachineConfig, Window
from freeonce.machine.folder import kept_folder
from freeonce.machine.process import QemuEnded
from freeonce.machine.template import (
    Origin,
    Template,
    known_table,
    origin,
    prune,
    ram_files,
    template,
)
from freeonce.project.host import Qemu

TABLE = b"scenario\ta\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "templates"
    monkeypatch.setenv("FREEONCE_TEMPLATES", str(place))
    return place


@pytest.fixture
def config(tmp_path: Path) -> MachineConfig:
    for name in ("boot", "initramfs", "qemu", "manifest"):
        (tmp_path / name).write_text(name)
    return MachineConfig(
        qemu=str(tmp_path / "qemu"),
        accelerator="tcg",
        boot=tmp_path / "boot",
        initramfs=tmp_path / "initramfs",
        cpu="max",
        memory=2 * MIB,
        window=Window(0, MIB),
    )


class Builder:
    """Makes the files of a guest, and counts how often."""

    def __init__(self, config: MachineConfig) -> None:
        self.config = config
        self.built = 0

    def __call__(self, folder: Path) -> bytes:
        self.built += 1
        for ram in ram_files(self.config, folder):
            ram.write_bytes(b"memory")
            os.truncate(ram, self.config.memory // self.config.nodes)
        (folder / "state").write_bytes(b"devices")
        return TABLE


@pytest.fixture
def builder(config: MachineConfig) -> Builder:
    return Builder(config)


def about(config: MachineConfig, version: str = "7.2.22") -> Origin:
    return origin(config, Path(config.qemu).with_name("manifest"), Qemu(config.qemu, version))


def read(source: Template) -> tuple[bytes, bytes]:
    with source.read_state() as state:
        return os.pread(source.rams[0], 6, 0), os.read(state, 100)


def test_it_is_built_once_and_found_again(config: MachineConfig, builder: Builder) -> None:
    for _ in range(2):
        with template(config, about(config), builder) as source:
            assert read(source) == (b"memory", b"devices")
            assert source.table == TABLE
    assert builder.built == 1


def test_each_reader_of_the_state_begins_at_its_beginning(
    config: MachineConfig, builder: Builder
) -> None:
    with (
        template(config, about(config), builder) as source,
        source.read_state() as one,
        source.read_state() as other,
    ):
        assert os.read(one, 3) == os.read(other, 3) == b"dev"


def change(config: MachineConfig, what: str) -> Origin:
    """The origin after something that a template depends on has changed."""
    if what == "qemu version":
        return about(config, "8.0.0")
    if what in ("manifest", "qemu", "boot", "initramfs"):
        (config.boot.parent / what).write_text("another")
        return about(config)
    others: dict[str, MachineConfig] = {
        "cpu": replace(config, cpu="host"),
        "accelerator": replace(config, accelerator="kvm"),
        "cpus": replace(config, cpus=5),
        "memory": replace(config, memory=4 * MIB),
        "window": replace(config, window=Window(MIB, MIB)),
        "nodes": replace(config, nodes=2),
    }
    return about(others[what])


@pytest.mark.parametrize(
    "what",
    [
        *("qemu version", "manifest", "qemu", "boot", "initramfs"),
        *("cpu", "accelerator", "cpus", "memory", "window", "nodes"),
    ],
)
def test_whatever_goes_into_it_is_in_its_key(config: MachineConfig, what: str) -> None:
    before = about(config)
    assert about(config) == before
    assert change(config, what).key != before.key


def test_one_that_is_removed_while_in_use_still_serves(
    config: MachineConfig, builder: Builder, place: Path
) -> None:
    with template(config, about(config), builder) as source:
        shutil.rmtree(place)
        assert read(source) == (b"memory", b"devices")


@pytest.mark.parametrize("name", ["state", "scenarios", "about.json", "ram0"])
@pytest.mark.parametrize("how", ["gone", "cut", "other"])
def test_one_that_is_not_whole_is_built_again(
    config: MachineConfig, builder: Builder, place: Path, name: str, how: str
) -> None:
    with template(config, about(config), builder):
        pass
    file = place / about(config).key / name
    if how == "gone":
        file.unlink()
    elif how == "cut":
        os.truncate(file, file.stat().st_size // 2)
    else:
        file.write_bytes(b"other")
    with template(config, about(config), builder) as source:
        assert read(source) == (b"memory", b"devices")
    assert builder.built == 2


def test_a_build_that_fails_leaves_nothing(config: MachineConfig, place: Path) -> None:
    def fail(folder: Path) -> bytes:
        (folder / "ram0").write_bytes(b"half")
        raise HostError("qemu-refused", "no")

    with pytest.raises(HostError, match="no"), template(config, about(config), fail):
        pass
    assert list(place.iterdir()) == []


def test_a_disk_that_is_full_is_the_hosts_matter(config: MachineConfig, place: Path) -> None:
    def fail(folder: Path) -> bytes:
        raise OSError(28, "No space left on device")

    with pytest.raises(HostError, match="filled up"), template(config, about(config), fail):
        pass
    assert list(place.iterdir()) == []


def test_of_two_at_once_one_builds_and_the_other_waits(
    config: MachineConfig, builder: Builder
) -> None:
    building, go_on = threading.Event(), threading.Event()

    def slow(folder: Path) -> bytes:
        building.set()
        assert go_on.wait(30)
        return builder(folder)

    found: list[bytes] = []

    def run() -> None:
        with template(config, about(config), slow) as source:
            found.append(source.table)

    threads = [threading.Thread(target=run) for _ in range(2)]
    threads[0].start()
    assert building.wait(30)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert found == [TABLE, TABLE]
    assert builder.built == 1


def test_another_run_that_never_ends_its_build_is_named(
    config: MachineConfig, builder: Builder, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places_module, "LOCK_SECONDS", 0.1)
    place.mkdir()
    with (
        places_module.locked(place),
        pytest.raises(HostError, match="another run builds") as error,
        template(config, about(config), builder),
    ):
        pass
    assert error.value.reason == "template-busy"


def test_a_builder_that_is_killed_leaves_neither_files_nor_lock(
    config: MachineConfig, builder: Builder, place: Path
) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tests.unit.test_template import about\n"
        "from freeonce.machine.argv import MachineConfig, Window\n"
        "from freeonce.machine.template import template\n"
        f"config = MachineConfig({config.qemu!r}, 'tcg', Path({str(config.boot)!r}),\n"
        f"    Path({str(config.initramfs)!r}), 'max', memory=1 << 21, window=Window(0, 1 << 20))\n"
        "def build(folder):\n"
        "    (folder / 'state').write_bytes(b'half')\n"
        "    print('building', flush=True)\n"
        "    time.sleep(60)\n"
        "with template(config, about(config), build): pass\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert killed.stdout is not None
    assert killed.stdout.readline() == b"building\n"
    assert len(list(place.iterdir())) == 1
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    with template(config, about(config), builder) as source:
        assert read(source) == (b"memory", b"devices")
    # Its keeper needs a moment.
    end = time.monotonic() + 10
    while len(list(place.iterdir())) > 1 and time.monotonic() < end:
        time.sleep(0.02)
    assert [one.name for one in place.iterdir()] == [about(config).key]


def test_the_template_of_an_image_that_changed_is_removed_with_the_next_build(
    config: MachineConfig, builder: Builder, place: Path
) -> None:
    with template(config, about(config), builder):
        pass
    (config.boot.parent / "manifest").write_text("a new image")
    with template(config, about(config), builder):
        pass
    assert [one.name for one in place.iterdir()] == [about(config).key]


@pytest.mark.parametrize("moment", ["gone from its place", "half of it deleted"])
def test_who_is_killed_as_a_template_is_removed_leaves_no_half_of_it(
    config: MachineConfig, builder: Builder, place: Path, moment: str
) -> None:
    """Nobody may come for a long time who would sweep."""
    with template(config, about(config), builder):
        pass
    (place / about(config).key / "about.json").write_text("not whole")

    def killed(what: Path) -> None:
        if moment == "half of it deleted":
            (what / "state").unlink()
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        places_module._delete = killed
        with template(config, about(config), builder):
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    end = time.monotonic() + 10
    while list(place.iterdir()) and time.monotonic() < end:
        time.sleep(0.02)
    assert list(place.iterdir()) == []


@pytest.fixture
def many(config: MachineConfig, builder: Builder, place: Path) -> list[str]:
    """Five templates of one image, the most recently used first."""
    keys = []
    for cpus in range(1, 6):
        origin_ = about(replace(config, cpus=cpus))
        with template(config, origin_, builder):
            keys.append(origin_.key)
        os.utime(place / origin_.key, (cpus, cpus))
    return keys[::-1]


def test_the_least_recently_used_goes_when_there_are_too_many(
    many: list[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    with kept_folder(place) as scratch:
        prune(place, scratch, keep=many[0])
    assert {one.name for one in place.iterdir()} == set(many[:3])


def test_the_least_recently_used_goes_when_they_are_too_large(
    many: list[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(file.stat().st_blocks * 512 for file in (place / many[0]).iterdir())
    monkeypatch.setattr(module, "MOST_BYTES", 2 * size)
    with kept_folder(place) as scratch:
        prune(place, scratch, keep=many[0])
    assert {one.name for one in place.iterdir()} == set(many[:2])


def test_what_a_dead_keeper_left_is_removed_and_nothing_that_is_not_ours(
    config: MachineConfig, builder: Builder, place: Path
) -> None:
    """Whoever has the lock is alone: a scratch folder that is there then is nobody's."""
    place.mkdir()
    left = place / "freeonce-0123456789abcdef"
    (left / "half").mkdir(parents=True)
    theirs = [place / name for name in ("freeonce-0", "photographs", "notes.txt")]
    for one in theirs[:2]:
        one.mkdir()
    theirs[2].write_text("theirs")
    with template(config, about(config), builder):
        pass
    assert set(place.iterdir()) == {*theirs, place / about(config).key}


NOBODY = 65534


def as_a_user(work: Callable[[], object]) -> None:
    """Do it in a child that is not root, for whom modes count. Its error is ours."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def users(tmp_path: Path, config: MachineConfig) -> Iterator[Path]:
    """A folder that a user who is not root reaches."""
    folder = Path(tempfile.mkdtemp(prefix="freeonce-test-"))
    os.chmod(tmp_path, 0o755)
    try:
        if os.getuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("what", ["folder", "file", "template"])
def test_remains_in_its_place_make_way(users: Path, what: str) -> None:
    """A folder or template that nobody may enter, or a file."""

    def work() -> None:
        place = users / "templates"
        os.environ["FREEONCE_TEMPLATES"] = str(place)
        for name in ("boot", "initramfs", "qemu", "manifest"):
            (users / name).write_text(name)
        config = MachineConfig(
            str(users / "qemu"),
            "tcg",
            users / "boot",
            users / "initramfs",
            "max",
            memory=2 * MIB,
            window=Window(0, MIB),
        )
        left = place / about(config).key
        place.mkdir()
        if what == "file":
            left.write_text("in the way")
        elif what == "folder":
            (left / "inner").mkdir(parents=True)
            left.chmod(0)
        else:
            with template(config, about(config), Builder(config)):
                pass
            left.chmod(0)
        builder = Builder(config)
        with template(config, about(config), builder) as source:
            assert read(source) == (b"memory", b"devices")
        assert builder.built == 1
        assert list(place.iterdir()) == [left]

    as_a_user(work)


def test_a_place_that_is_not_ours_to_read_gives_way_to_the_next(users: Path) -> None:
    def work() -> None:
        (users / "shut").mkdir()
        (users / "shut").chmod(0)
        wrong = places_module.refusal(users / "shut", 0)
        assert wrong == f"{users / 'shut'} is not writable for you"
        assert known_table(users / "none") == b""

    as_a_user(work)


def untrusted(place: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place.mkdir()
    if how == "somebody else":
        monkeypatch.setattr(os, "getuid", lambda: 4711)
    elif how == "others may write":
        place.chmod(0o777)
    else:
        place.rmdir()
        place.write_text("a file")


@pytest.mark.parametrize("how", ["somebody else", "others may write", "File exists"])
def test_a_place_that_others_could_have_filled_is_not_used(
    config: MachineConfig,
    builder: Builder,
    place: Path,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    untrusted(place, how, monkeypatch)
    with pytest.raises(HostError, match=how) as error:  # noqa: SIM117
        with template(config, about(config), builder):
            pass
    assert error.value.reason == "no-room"
    assert "FREEONCE_TEMPLATES" in str(error.value)
    assert builder.built == 0


def test_somebody_elses_template_is_not_taken(
    config: MachineConfig, builder: Builder, place: Path
) -> None:
    """In a folder where others may write, what is there need not be ours."""
    with template(config, about(config), builder):
        pass
    place.chmod(0o777)
    with pytest.raises(HostError, match="whose mode is 0777"):  # noqa: SIM117
        with template(config, about(config), builder):
            pass


def test_our_own_symbolic_link_leads_to_our_templates(
    config: MachineConfig, builder: Builder, place: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    place.symlink_to(tmp_path / "elsewhere")
    for _ in range(2):
        with template(config, about(config), builder):
            pass
    assert builder.built == 1
    assert (tmp_path / "elsewhere" / about(config).key).is_dir()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EIO])
def test_one_that_cannot_be_opened_now_is_not_taken_for_damaged(
    config: MachineConfig,
    builder: Builder,
    place: Path,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with template(config, about(config), builder):
        pass
    before = sorted(file.name for file in (place / about(config).key).iterdir())
    opened = os.open

    def fail(path: Any, *rest: Any, **more: Any) -> int:
        if str(path).endswith("ram0"):
            raise OSError(number, os.strerror(number))
        return opened(path, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        with pytest.raises(HostError, match=os.strerror(number)) as error:  # noqa: SIM117
            with template(config, about(config), builder):
                pass
    assert error.value.reason == "no-template"
    assert sorted(file.name for file in (place / about(config).key).iterdir()) == before
    assert builder.built == 1


def test_one_that_is_not_whole_is_removed_only_with_the_lock(
    config: MachineConfig, builder: Builder, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, what is removed may be the whole one that another run has just put there."""
    with template(config, about(config), builder):
        pass
    (place / about(config).key / "state").write_bytes(b"damaged")
    lock = os.open(place, os.O_RDONLY)
    removed = []

    def remove(folder: Path, scratch: Path) -> None:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        removed.append(folder.name)
        places_module.remove(folder, scratch)

    monkeypatch.setattr(module, "remove", remove)
    with template(config, about(config), builder):
        pass
    os.close(lock)
    assert removed == [about(config).key]


def test_memory_that_was_written_to_is_not_used_again(
    config: MachineConfig, builder: Builder, place: Path
) -> None:
    """Of the right size, and damaged."""
    with template(config, about(config), builder):
        pass
    with (place / about(config).key / "ram0").open("r+b") as ram:
        ram.write(b"broken")
    with template(config, about(config), builder) as source:
        assert read(source) == (b"memory", b"devices")
    assert builder.built == 2


def ended_by(number: int) -> GuestLost:
    return QemuEnded("QEMU was ended by a signal", -number)


@pytest.mark.parametrize("how", ["memory", "file", "wrapped"])
def test_a_place_that_fills_while_one_is_made_gives_way_to_the_next(
    config: MachineConfig,
    builder: Builder,
    tmp_path: Path,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    monkeypatch.setattr(module, "places", lambda: (small, large))

    def build(folder: Path) -> bytes:
        if folder.is_relative_to(large):
            return builder(folder)
        if how == "file":
            raise OSError(errno.ENOSPC, "No space left on device")
        if how == "wrapped":
            raise HostError("qemu-refused", "QEMU") from ended_by(signal.SIGBUS)
        raise ended_by(signal.SIGBUS)

    with template(config, about(config), build) as source:
        assert read(source) == (b"memory", b"devices")
    assert list(small.iterdir()) == []


def test_when_all_places_fill_it_says_what_is_needed_and_left(
    config: MachineConfig, place: Path
) -> None:
    def build(_: Path) -> bytes:
        raise ended_by(signal.SIGBUS)

    with (
        pytest.raises(HostError, match=r"filled up .* up to 66 MiB, and \d+ MiB are left") as error,
        template(config, about(config), build),
    ):
        pass
    assert error.value.reason == "no-room"


def test_another_end_of_qemu_is_not_taken_for_a_full_place(
    config: MachineConfig, place: Path
) -> None:
    def build(_: Path) -> bytes:
        raise ended_by(signal.SIGSEGV)

    with pytest.raises(QemuEnded), template(config, about(config), build):
        pass


def test_no_descriptor_is_one_that_qemu_replaces(config: MachineConfig, builder: Builder) -> None:
    """Who starts us with closed standard descriptors has 0 to 2 free for the next file."""

    def work() -> None:
        for number in range(3):
            os.close(number)
        with template(config, about(config), builder) as source:
            descriptors = [*source.rams, source.state]
        os._exit(0 if min(descriptors) > 2 else 1)

    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_without_room_in_memory_it_lies_on_disk(
    config: MachineConfig, builder: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    monkeypatch.setattr(module, "places", lambda: (small, large))
    monkeypatch.setattr(places_module, "room", lambda place: MIB if place == small else 1 << 40)
    with template(config, about(config), builder):
        pass
    assert [one.name for one in large.iterdir()] == [about(config).key]


def test_without_room_anywhere_it_says_where_and_how_much(
    config: MachineConfig, builder: Builder, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places_module, "room", lambda _: 3 << 20)
    with pytest.raises(HostError, match="room for 3 MiB only"):  # noqa: SIM117
        with template(config, about(config), builder):
            pass


def test_room_in_memory_is_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in /dev/shm is memory that the clones would miss."""
    monkeypatch.setattr(places_module, "free_memory", lambda: 10 << 20)
    assert places_module.room(Path("/dev/shm")) == 5 << 20


def test_the_scenarios_of_an_image_are_known_by_any_template_of_it(
    config: MachineConfig, builder: Builder
) -> None:
    manifest = config.boot.parent / "manifest"
    assert known_table(manifest) == b""
    with template(config, about(config), builder):
        pass
    assert known_table(manifest) == TABLE
    manifest.write_text("another image, with other scenarios")
    assert known_table(manifest) == b""
    manifest.unlink()
    assert known_table(manifest) == b""

"""Templates as files: found, built, not believed, removed. The guest in them is made up."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from freeonce.errors import HostError
from freeonce.machine import template as module
from freeonce.machine.argv import MIB, MachineConfig, Window
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

    with pytest.raises(HostError, match="No space left"), template(config, about(config), fail):
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
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.1)
    place.mkdir()
    with (
        module._locked(place),
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
    prune(place, keep=many[0])
    assert {one.name for one in place.iterdir()} == set(many[:3])


def test_the_least_recently_used_goes_when_they_are_too_large(
    many: list[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(file.stat().st_blocks * 512 for file in (place / many[0]).iterdir())
    monkeypatch.setattr(module, "MOST_BYTES", 2 * size)
    prune(place, keep=many[0])
    assert {one.name for one in place.iterdir()} == set(many[:2])


def test_what_was_left_by_a_dead_keeper_is_removed_after_a_while(place: Path) -> None:
    place.mkdir()
    fresh, old = place / "freeonce-1", place / "freeonce-2"
    for folder in (fresh, old):
        folder.mkdir()
    os.utime(old, (1, 1))
    prune(place, keep="")
    assert list(place.iterdir()) == [fresh]


def test_a_folder_of_somebody_else_is_not_used(
    config: MachineConfig, builder: Builder, place: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="somebody else") as error:  # noqa: SIM117
        with template(config, about(config), builder):
            pass
    assert error.value.reason == "no-room"
    assert "FREEONCE_TEMPLATES" in str(error.value)
    assert builder.built == 0


def test_without_room_in_memory_it_lies_on_disk(
    config: MachineConfig, builder: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    monkeypatch.setattr(module, "places", lambda: (small, large))
    monkeypatch.setattr(module, "_lacks", lambda place, _: 1 << 20 if place == small else None)
    with template(config, about(config), builder):
        pass
    assert [one.name for one in large.iterdir()] == [about(config).key]


def test_without_room_anywhere_it_says_where_and_how_much(
    config: MachineConfig, builder: Builder, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_lacks", lambda *_: 3 << 20)
    with pytest.raises(HostError, match="room for 3 MiB only"):  # noqa: SIM117
        with template(config, about(config), builder):
            pass


def test_room_in_memory_is_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in /dev/shm is memory that the clones would miss."""
    monkeypatch.setattr(module, "free_memory", lambda: 10 << 20)
    assert module._lacks(Path("/dev/shm"), 6 << 20) == 5 << 20
    assert module._lacks(Path("/dev/shm"), 1) is None


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

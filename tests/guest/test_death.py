"""However the harness dies, nothing of its guest is left."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.death.kept import Kept
from tests.death.playing import UNDISTURBED, Playing
from tests.death.scenes import SCENES, Scene, prepare

GRACE_SECONDS = 15.0


def start() -> "tuple[subprocess.Popen[bytes], int, Path]":
    """A harness in the middle of a run, its QEMU's pid and its folder."""
    script = (
        "import signal, sys\n"
        # A shell that starts us in the background has SIGINT ignored, nohup SIGHUP: inherited.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "from freeonce.cli import main\n"
        "from freeonce.project.setting import Setting\n"
        "from freeonce import guest\n"
        "real = guest.Guest.run\n"
        "def slow(self, *args, **kwargs):\n"
        "    print(self.process.pid, self.monitor._folder, flush=True)\n"
        "    self.command('sleep 60', seconds=90)\n"
        "guest.Guest.run = slow\n"
        "sys.argv = ['freeonce', 'run', '--no-faults', 'c/pool', '--json', '/dev/null']\n"
        "main.main()\n"
    )
    harness = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert harness.stdout is not None
    line = harness.stdout.readline().decode()
    match = re.fullmatch(r"(\d+) (/tmp/freeonce-\S+)\n", line)
    assert match is not None, line
    return harness, int(match[1]), Path(match[2])


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def nothing_left(qemu: int, folder: Path) -> None:
    end = time.monotonic() + GRACE_SECONDS
    while (alive(qemu) or folder.exists()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(qemu)
    assert not folder.exists()


RUN = ["-m", "freeonce", "run", "--no-faults", "c/pool"]

# The machine of the KVM lane, with the guest's image in it: what it runs matters nothing here.
LANE = [
    "-c",
    "import sys\n"
    "from freeonce.cli import lane, main\n"
    "from freeonce.project.image import OuterImage, image_path, load_image\n"
    "image = load_image(image_path())\n"
    "lane.load_outer = lambda _: OuterImage(image.boot, image.release, image.initramfs)\n"
    "lane.where_kvm_runs = lambda _: 'outer'\n"
    "lane._run_here = lambda *_: {}\n"
    "sys.argv = ['freeonce', 'lane']\n"
    "main.main()\n",
]


def start_booting(what: list[str]) -> "tuple[subprocess.Popen[bytes], int, Path]":
    """A harness whose machine has only just begun to boot."""
    harness = subprocess.Popen(
        [sys.executable, *what],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < end:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
                command = (process / "cmdline").read_text()
            except (OSError, ValueError):
                continue
            folder = re.search(r"path=(/tmp/freeonce-[^/]+)/", command)
            if parent == harness.pid and folder:
                return harness, int(process.name), Path(folder[1])
        time.sleep(0.01)
    raise AssertionError("no QEMU was started")


@pytest.mark.parametrize("what", [RUN, LANE], ids=["run", "lane"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_harness_killed_while_the_guest_boots_leaves_nothing(
    number: signal.Signals, what: list[str]
) -> None:
    harness, qemu, folder = start_booting(what)
    os.kill(harness.pid, number)
    harness.wait(GRACE_SECONDS)
    nothing_left(qemu, folder)


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)],
)
def test_a_killed_harness_leaves_nothing(number: signal.Signals, status: int) -> None:
    harness, qemu, folder = start()
    assert alive(qemu)
    assert folder.is_dir()
    os.kill(harness.pid, number)
    assert harness.wait(GRACE_SECONDS) == status
    nothing_left(qemu, folder)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in, with the templates that runs need."""
    work = tmp_path_factory.mktemp("death")
    assert prepare(work, work / "templates") == []
    return work


@pytest.fixture(scope="module")
def playing(work: Path) -> Playing:
    """Measures each kind of life once."""
    return Playing(Kept("", random.randrange(1 << 32)), SCENES, work, 1)


@pytest.mark.xdist_group("death")
@pytest.mark.parametrize("scene", [one for one in SCENES if one.quick], ids=lambda one: one.name)
def test_whoever_dies_the_run_ends_rightly_and_nothing_is_left(
    scene: Scene, playing: Playing
) -> None:
    """At one random moment each; `make death` does it 200 times."""
    playing.play(scene, 1)
    rows = playing.kept.rows
    assert rows[scene.name].wrong == [], f"seed {playing.kept.seed}"
    assert rows[UNDISTURBED].wrong == []

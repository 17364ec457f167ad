"""What an audit costs the module that is audited: the same work bare and audited, in turns."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from freeonce.audit.model import Verdict
from freeonce.bench.figure import Figure
from freeonce.guest import boot
from freeonce.guest.bounded import run_bounded
from freeonce.guest.files import GuestFile, send
from freeonce.machine.template import Template
from freeonce.project.machine import Machine
from freeonce.project.setting import Setting, find_setting
from freeonce.run.audit import audit, ready
from freeonce.run.life import USE_MODPROBE, Limits
from freeonce.run.prepare import Wish, prepare, within_reach
from freeonce.subject.build import Headers, build
from freeonce.subject.module import read_module
from freeonce.subject.package import Package, load_order

SECONDS = 300.0
MEGABYTES = 16
TIMES = 4
VMRUNS = 20_000
"""As bench/vmruns has it."""
WRITE = """
while cat /proc/kallsyms; do :; done 2>/dev/null | head -c {bytes} >/tmp/data
now() {{ read -r up idle </proc/uptime; echo "${{up%.*}}${{up#*.}}"; }}
start=$(now)
for i in {times}; do dd if=/tmp/data of={disk} bs=64k conv=fsync 2>/dev/null; done
echo $(($(now) - start))
"""
"""What compresses as text does, written again and again; it prints hundredths of a second."""
MEMORY_DISK = """
mount -t configfs config /sys/kernel/config 2>/dev/null
cd /sys/kernel/config/nullb && mkdir disk && echo {size} >disk/size
echo 1 >disk/memory_backed; echo 1 >disk/power; {write}
echo 0 >disk/power; rmdir disk
"""


def _write(disk: str) -> str:
    times = " ".join(map(str, range(TIMES)))
    return WRITE.format(bytes=MEGABYTES << 20, times=times, disk=disk)


@dataclass(frozen=True)
class Work:
    """What a module is made to do. `command` prints how long, in units of `unit` seconds."""

    name: str
    module: str
    command: str
    goal: float
    parameters: str = ""
    unit: float = 0.01


WORKS = (
    Work(
        f"{TIMES * MEGABYTES} MiB written to null_blk",
        "null_blk",
        MEMORY_DISK.format(size=2 * MEGABYTES, write=_write("/dev/disk")),
        1.3,
        "nr_devices=0",
    ),
    Work(
        f"{TIMES * MEGABYTES} MiB written to zram",
        "zram",
        f"echo {2 * MEGABYTES}M >/sys/block/zram0/disksize\n{_write('/dev/zram0')}"
        "echo 1 >/sys/block/zram0/reset",
        1.3,
        "num_devices=1",
    ),
    Work(
        "100,000 pairs of kmalloc and kfree",
        "pairs",
        "cat /sys/module/pairs/parameters/nanoseconds",
        3.0,
        unit=1e-9,
    ),
    Work(
        f"{VMRUNS:,} VMRUNs of an unchanged VMCB",
        "vmruns",
        "cat /sys/module/vmruns/parameters/nanoseconds",
        1.2,
        unit=1e-9,
    ),
)
OURS = ("pairs", "vmruns")
"""Modules of our own, in folders of that name."""


COUNTED = ("-icount", "shift=0,sleep=off")
"""Each instruction of the guest's takes a nanosecond of its clock, and who waits takes none of ours
(docs/devel/tcg-icount.rst of QEMU)."""
COUNTED_SECONDS = 1e-9


def figures(setting: Setting, rounds: int) -> Iterator[Figure]:
    """What an audit takes as a whole, and what it costs the module that is audited."""
    yield from _programs(rounds)
    yield from _works(setting, rounds, WORKS)


def counted() -> Iterator[Figure]:
    """The same works by instructions, which no load of the host changes. A VMRUN is one,
    whatever the CPU does for it: so of that what an audit adds, and no ratio."""
    setting = find_setting("tcg", machine=Machine(cpus=1, qemu=COUNTED))
    works = [replace(one, name=f"{one.name}, counted") for one in WORKS]
    yield from _works(setting, 1, [one for one in works if one.module != "vmruns"])
    vmruns = _works(setting, 1, [one for one in works if one.module == "vmruns"])
    bare, audited = (each.samples[0] / VMRUNS / COUNTED_SECONDS for each in vmruns[:2])
    yield Figure("added to a VMRUN, counted", "instructions", (audited - bare,))


def _programs(rounds: int) -> Iterator[Figure]:
    """`freeonce audit zram`, with a template to be made first and with that one there."""
    samples = []
    for number in range(rounds):
        # Another command line is another template; the guest's kernel does not know the word.
        machine = ["--append", f"bench={os.getpid()}.{number}"]
        samples.append([_program(machine) for _ in range(2)])
    cold, warm = zip(*samples, strict=True)
    yield Figure("`freeonce audit zram`, the template made first", "s", cold)
    yield Figure("`freeonce audit zram`, with a template", "s", warm)


def _program(machine: list[str]) -> float:
    start = time.monotonic()
    words = [sys.executable, "-m", "freeonce", "audit", "zram", *machine]
    subprocess.run(words, check=True, capture_output=True)
    return time.monotonic() - start


def _works(setting: Setting, rounds: int, works: Iterable[Work]) -> list[Figure]:
    """Seconds of each work, bare and audited, and the ratio of the same round."""
    found = []
    with ready(setting) as (of_lives, source), TemporaryDirectory() as scratch:
        files = {name: our_module(name, setting, Path(scratch)) for name in OURS}
        for work in works:
            target = str(files.get(work.module, work.module))
            samples = [
                (_bare(of_lives, work, target), _audited(of_lives, source, work, target))
                for _ in range(rounds)
            ]
            bare, audited = zip(*samples, strict=True)
            ratios = tuple(one / other for other, one in samples)
            found += [
                Figure(f"{work.name}, bare", "s", bare),
                Figure(f"{work.name}, audited", "s", audited),
                Figure(f"{work.name}, x bare", "", ratios, work.goal),
            ]
    return found


def our_module(name: str, setting: Setting, scratch: Path) -> Path:
    """One of OURS. `pairs` takes and gives memory as often as its parameter of that name says."""
    headers = Headers(setting.image.headers, setting.image.headers_source)
    into = scratch / name
    into.mkdir()
    (made,) = build(Path(__file__).parent / name, headers, into).modules
    return made


def _seconds(work: Work, said: str) -> float:
    if not said.strip().isdecimal():
        raise AssertionError(f"{work.name}: the guest said {said!r}")
    return int(said) * work.unit


def _audited(setting: Setting, source: Template, work: Work, target: str) -> float:
    with TemporaryDirectory() as scratch:
        wish = Wish((target,), work.parameters, commands=(work.command,), limits=Limits(SECONDS))
        life = audit(setting, source, prepare(wish, setting.image, Path(scratch)))
    if life.result.judgement.verdict is not Verdict.CLEAN:
        raise AssertionError(f"{work.name}: {life.reasons} {life.result.judgement.reasons}")
    return _seconds(work, life.ran[0].output)


def _bare(setting: Setting, work: Work, target: str) -> float:
    """In a guest of the same make that has no instrument."""
    package = Package(setting.image.modules)
    path = Path(target)
    module = read_module(path) if path.is_file() else package.module(target)
    modules = load_order([module], [], package)
    with boot(setting.config(), setting.image, load=False) as guest:
        files = [GuestFile(f"/tmp/{one.name}.ko", one.elf.data) for one in modules]
        send(guest, [*files, *within_reach(modules, package, setting.image.release)])
        guest.command(USE_MODPROBE)
        for one in modules:
            parameters = shlex.split(work.parameters) if one is module else []
            guest.command(shlex.join(["insert", f"/tmp/{one.name}.ko", *parameters]), SECONDS)
        return _seconds(work, run_bounded(guest, work.command, SECONDS).output)

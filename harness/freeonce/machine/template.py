"""Templates: guests stopped when they were ready, kept as files that clones begin from.

A template is a cache. It is built in a scratch folder and appears by one rename; whoever
uses one holds its files open, so that removing it takes nothing from them.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from freeonce.errors import HostError
from freeonce.machine.argv import MIB, MachineConfig, Ram, qemu_argv
from freeonce.machine.folder import kept_folder
from freeonce.machine.place import (
    FOLDER_VARIABLE,
    KEY,
    distrusted,
    locked,
    places,
    refusal,
    remove,
    sweep,
)
from freeonce.machine.process import QemuEnded
from freeonce.project.host import Qemu

VERSION = 2
MOST = 8
"""Templates kept; the least recently used goes first."""
MOST_BYTES = 2 << 30
"""What all of them together may take of the disk or memory they lie in."""
ROOM = 64 * MIB
"""What is left free beside a new one."""
LOWEST_DESCRIPTOR = 3

STATE, TABLE, ABOUT = "state", "scenarios", "about.json"
RAMS = "rams"
"""In ABOUT: size and time of the last change of each file of memory."""


@dataclass(frozen=True)
class Origin:
    """What went into a template. `key`: of all of it; `manifest` and `digest`: the image's."""

    key: str
    manifest: str
    digest: str


@dataclass(frozen=True)
class Template:
    """An open template. `rams`, `state`: file descriptors; `table`: the guest's scenarios."""

    config: MachineConfig
    rams: tuple[int, ...]
    state: int
    table: bytes

    @property
    def ram(self) -> Ram:
        """The memory of a clone, for QEMU that inherits `rams`."""
        return Ram(tuple(f"/proc/self/fd/{ram}" for ram in self.rams), clone=True)

    @contextmanager
    def read_state(self) -> Iterator[int]:
        """The state, open from its beginning: a descriptor of one's own shares no position."""
        number = os.open(f"/proc/self/fd/{self.state}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield number
        finally:
            os.close(number)


Build = Callable[[Path], bytes]
"""Boots a guest whose memory is in `ram0`... of the folder, saves it into `state`; its table."""


def ram_files(config: MachineConfig, folder: Path) -> tuple[Path, ...]:
    """One a node."""
    return tuple(folder / f"ram{node}" for node in range(config.nodes))


def origin(config: MachineConfig, manifest: Path, qemu: Qemu) -> Origin:
    """The key of everything that a template depends on; another boot of this host, too."""
    digest = _digest(manifest)
    nowhere = Path("/")
    parts = {
        "version": VERSION,
        "image": digest,
        "qemu": [qemu.version, *_stamp(Path(qemu.path))],
        "kernel": [_stamp(config.boot), _stamp(config.initramfs)],
        "specimens": config.specimens,
        "argv": qemu_argv(config, nowhere, Ram(("",) * config.nodes, clone=False)),
        "host": Path("/proc/sys/kernel/random/boot_id").read_text(),
    }
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return Origin(key[:32], str(manifest.resolve()), digest)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _stamp(file: Path) -> tuple[str, int, int]:
    status = file.stat()
    return str(file.resolve()), status.st_size, status.st_mtime_ns


@contextmanager
def template(config: MachineConfig, about: Origin, build: Build) -> Iterator[Template]:
    """The template of this origin, built when there is none.

    Raises HostError `no-room` when no place bears it, `no-template` when one that is there cannot
    be opened, and what `build` raises; then nothing is left of it.
    """
    with ExitStack() as stack:
        yield _find(config, about, stack) or _make(config, about, build, stack)


def _find(config: MachineConfig, about: Origin, stack: ExitStack) -> Template | None:
    """Open it, in whichever place it is. One that is not whole is as none."""
    for place in places():
        found = None if distrusted(place) else _open(config, place / about.key, stack)
        if found is not None:
            return found
    return None


def _open(config: MachineConfig, folder: Path, stack: ExitStack) -> Template | None:
    """None when it is not there, or not whole. Raises HostError when that cannot be told."""
    with ExitStack() as files:
        try:
            found = _opened_whole(config, folder, files)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
            return None
        except OSError as error:
            # Too many open files, for one, says nothing of the template.
            message = f"cannot open the template {folder}: {error.strerror}"
            raise HostError("no-template", message) from error
        except (ValueError, KeyError, TypeError):
            return None
        if found is not None:
            stack.push(files.pop_all())
        return found


def _opened_whole(config: MachineConfig, folder: Path, files: ExitStack) -> Template | None:
    told = json.loads((folder / ABOUT).read_text())
    if any(_digest(folder / name) != told[name] for name in (STATE, TABLE)):
        return None
    rams = tuple(_opened(file, os.O_RDWR, files) for file in ram_files(config, folder))
    if told[RAMS] != [_written(os.fstat(ram)) for ram in rams]:
        return None
    state = _opened(folder / STATE, os.O_RDONLY, files)
    # Least recently used is by this.
    os.utime(folder)
    return Template(config, rams, state, (folder / TABLE).read_bytes())


def _written(status: os.stat_result) -> list[int]:
    """What tells that a file of memory is as we left it: to read all of it would take seconds."""
    return [status.st_size, status.st_mtime_ns]


def _opened(file: Path, flags: int, files: ExitStack) -> int:
    """A descriptor that QEMU can inherit: 0 to 2 it would replace by its own."""
    number = os.open(file, flags | os.O_CLOEXEC)
    try:
        kept = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR)
    finally:
        os.close(number)
    files.callback(os.close, kept)
    return kept


class _Refused(Exception):
    """No template in this place, but perhaps in another."""


def _make(config: MachineConfig, about: Origin, build: Build, stack: ExitStack) -> Template:
    """In the first place that bears it."""
    refused = []
    for place in places():
        try:
            return _make_in(place, config, about, build, stack)
        except _Refused as error:
            refused.append(str(error))
    raise _no_room(config, refused)


def _make_in(
    place: Path, config: MachineConfig, about: Origin, build: Build, stack: ExitStack
) -> Template:
    try:
        if wrong := refusal(place, 0):
            raise _Refused(wrong)
        with locked(place):
            # Another run may have built it while we waited.
            found = _open(config, place / about.key, stack)
            if found is None:
                _build(place, config, about, build)
                found = _open(config, place / about.key, stack)
    except OSError as error:
        raise _Refused(f"{place}: {error.strerror or error}") from error
    if found is None:
        raise HostError("no-template", f"the template that was just built in {place} is not whole")
    return found


def _build(place: Path, config: MachineConfig, about: Origin, build: Build) -> None:
    """In a folder that goes with us however we die; then it appears whole."""
    sweep(place)
    if wrong := refusal(place, _needs(config)):
        raise _Refused(wrong)
    with kept_folder(place) as scratch:
        made = scratch / about.key
        made.mkdir(mode=0o700)
        with _refused_when_full(place, config):
            (made / TABLE).write_bytes(build(made))
            told: dict[str, object] = {name: _digest(made / name) for name in (STATE, TABLE)}
            told[RAMS] = [_written(file.stat()) for file in ram_files(config, made)]
            (made / ABOUT).write_text(json.dumps({**asdict(about), **told}))
        # What goes, goes into it first: killed meanwhile we leave nothing half removed either.
        remove(place / about.key, scratch)
        made.rename(place / about.key)
        prune(place, scratch, keep=about.key)


@contextmanager
def _refused_when_full(place: Path, config: MachineConfig) -> Iterator[None]:
    """Others write there, too: room at the begin is no room at the end."""
    try:
        yield
    except Exception as error:
        free = shutil.disk_usage(place).free
        if not any(map(_is_full, _causes(error))) and free >= MIB:
            raise
        needs = f"it needs up to {_needs(config) // MIB} MiB, and {free // MIB} MiB are left"
        raise _Refused(f"{place} filled up while the template was made: {needs}") from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _is_full(error: BaseException) -> bool:
    """Memory in a file that finds no room ends its program by SIGBUS (mmap(2))."""
    if isinstance(error, QemuEnded):
        return error.status == -signal.SIGBUS
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _needs(config: MachineConfig) -> int:
    return config.memory + ROOM


def place_for(config: MachineConfig) -> Path:
    """The folder that a new template would lie in. Raises HostError `no-room`."""
    refused = []
    for place in places():
        wrong = refusal(place, _needs(config))
        if wrong is None:
            return place
        refused.append(wrong)
    raise _no_room(config, refused)


def _no_room(config: MachineConfig, refused: list[str]) -> HostError:
    return HostError(
        "no-room",
        f"no folder for a template of {config.memory // MIB} MiB ({'; '.join(refused)}); "
        f"name one with {FOLDER_VARIABLE}, or run with --shared-guest",
    )


def known_table(manifest: Path) -> bytes:
    """The scenarios of an image by a template of it that is there; empty when none is.

    Quick: no QEMU is asked, and of the template only the table is read.
    """
    for place in places():
        for folder in () if distrusted(place) else place.glob("*"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                told = json.loads((folder / ABOUT).read_text())
                made_of = told["manifest"], told["digest"]
                if made_of == (str(manifest.resolve()), _digest(manifest)):
                    table = (folder / TABLE).read_bytes()
                    # One without the specimens knows none.
                    if table:
                        return table
    return b""


def prune(place: Path, scratch: Path, keep: str) -> None:
    """Remove what is stale or over the limits; with the lock held. `scratch`: a kept folder."""
    count, total = 0, 0
    kept = [one for one in place.iterdir() if KEY.fullmatch(one.name)]
    for _, size, folder in sorted(map(_measured, kept)):
        if folder.name != keep and (
            _stale(folder) or count + 1 > MOST or total + size > MOST_BYTES
        ):
            remove(folder, scratch)
        else:
            count, total = count + 1, total + size


def _measured(folder: Path) -> tuple[float, int, Path]:
    """Seconds since it was last used, bytes that it takes. Others may be removing it."""
    try:
        age = time.time() - folder.stat().st_mtime
        return age, sum(file.stat().st_blocks * 512 for file in folder.iterdir()), folder
    except OSError:
        return 0.0, 0, folder


def _stale(folder: Path) -> bool:
    """Whether the image that it was made of is another now, or gone."""
    try:
        told = json.loads((folder / ABOUT).read_text())
        return bool(_digest(Path(told["manifest"])) != told["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return True

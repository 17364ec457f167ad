"""Templates: guests stopped when they were ready, kept as files that clones begin from.

A template is a cache. It is built in a scratch folder and appears by one rename; whoever
uses one holds its files open, so that removing it takes nothing from them.
"""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from freeonce.errors import HostError
from freeonce.machine.argv import MIB, MachineConfig, Ram, qemu_argv
from freeonce.machine.folder import SCRATCH, guest_folder
from freeonce.project.host import Qemu, free_memory

FOLDER_VARIABLE = "FREEONCE_TEMPLATES"
VERSION = 1
MOST = 8
"""Templates kept; the least recently used goes first."""
MOST_BYTES = 2 << 30
"""What all of them together may take of the disk or memory they lie in."""
ROOM = 64 * MIB
"""What is left free beside a new one."""
LOCK_SECONDS = 300.0
POLL_SECONDS = 0.02
ORPHAN_SECONDS = 3600.0

STATE, TABLE, ABOUT = "state", "scenarios", "about.json"


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


def places() -> tuple[Path, ...]:
    """Where templates may lie, the best first: $FREEONCE_TEMPLATES, or memory, then disk."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return (Path(named),)
    ours = f"freeonce-{os.getuid()}"
    return Path("/dev/shm") / ours, Path("/var/tmp") / ours


@contextmanager
def template(config: MachineConfig, about: Origin, build: Build) -> Iterator[Template]:
    """The template of this origin, built when there is none.

    Raises HostError `no-room`, and what `build` raises; then nothing is left of it.
    """
    with ExitStack() as stack:
        found = _find(config, about, stack)
        if found is None:
            place = place_for(config)
            with _locked(place):
                # Another run may have built it while we waited.
                found = _find(config, about, stack)
                if found is None:
                    try:
                        _build(place, about, build)
                    except OSError as error:
                        message = f"cannot write a template in {place}: {error}"
                        raise HostError("no-template", message) from error
                    found = _find(config, about, stack)
        if found is None:
            raise HostError("no-template", "the template just built is not whole")
        yield found


def _find(config: MachineConfig, about: Origin, stack: ExitStack) -> Template | None:
    """Open it, in whichever place it is. One that is not whole is removed."""
    for place in places():
        folder = place / about.key
        if not _ours(place) or not folder.is_dir():
            continue
        with ExitStack() as files:
            found = _open(config, folder, files)
            if found is not None:
                stack.push(files.pop_all())
                return found
            _remove(folder)
    return None


def _open(config: MachineConfig, folder: Path, files: ExitStack) -> Template | None:
    try:
        told = json.loads((folder / ABOUT).read_text())
        if any(_digest(folder / name) != told[name] for name in (STATE, TABLE)):
            return None
        rams = tuple(_opened(file, os.O_RDWR, files) for file in ram_files(config, folder))
        if any(os.fstat(ram).st_size != config.memory // config.nodes for ram in rams):
            return None
        state = _opened(folder / STATE, os.O_RDONLY, files)
        # Least recently used is by this.
        os.utime(folder)
        return Template(config, rams, state, (folder / TABLE).read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _opened(file: Path, flags: int, files: ExitStack) -> int:
    number = os.open(file, flags | os.O_CLOEXEC)
    files.callback(os.close, number)
    return number


def _ours(place: Path) -> bool:
    """Whether the folder is there, and nobody else's: others may write beside it."""
    with suppress(OSError):
        status = place.lstat()
        return place.is_dir() and not place.is_symlink() and status.st_uid == os.getuid()
    return False


def place_for(config: MachineConfig) -> Path:
    """A folder of ours with room for the whole memory of a guest. Raises HostError `no-room`."""
    refused = []
    for place in places():
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            refused.append(f"{place}: {error.strerror}")
            continue
        if not _ours(place):
            refused.append(f"{place} belongs to somebody else")
        elif (lacks := _lacks(place, config.memory + ROOM)) is not None:
            refused.append(f"{place} has room for {lacks // MIB} MiB only")
        else:
            return place
    raise HostError(
        "no-room",
        f"no folder for a template of {config.memory // MIB} MiB ({'; '.join(refused)}); "
        f"name one with {FOLDER_VARIABLE}, or run with --shared-guest",
    )


def _lacks(place: Path, size: int) -> int | None:
    """How many bytes there are when those are less than `size`."""
    free = shutil.disk_usage(place).free
    if place.is_relative_to("/dev/shm"):
        # What lies there is memory. Half of it stays for the clones.
        free = min(free, free_memory() // 2)
    return free if free < size else None


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """One build at a time in a place. The kernel opens the lock when we die.

    Raises HostError `template-busy` when another run does not get on.
    """
    end = time.monotonic() + LOCK_SECONDS
    lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while not _taken(lock):
            if time.monotonic() > end:
                message = f"another run builds a template in {place} for {LOCK_SECONDS:g} s now"
                raise HostError("template-busy", message)
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(lock)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _build(place: Path, about: Origin, build: Build) -> None:
    """In a folder that goes with us however we die; then it appears whole."""
    with guest_folder(place) as scratch:
        made = scratch / about.key
        made.mkdir(mode=0o700)
        (made / TABLE).write_bytes(build(made))
        told = {name: _digest(made / name) for name in (STATE, TABLE)}
        (made / ABOUT).write_text(json.dumps({**asdict(about), **told}))
        _remove(place / about.key)
        made.rename(place / about.key)
    prune(place, keep=about.key)


def known_table(manifest: Path) -> bytes:
    """The scenarios of an image by a template of it that is there; empty when none is.

    Quick: no QEMU is asked, and of the template only the table is read.
    """
    for place in places():
        for folder in place.glob("*") if _ours(place) else ():
            with suppress(OSError, ValueError, KeyError, TypeError):
                told = json.loads((folder / ABOUT).read_text())
                made_of = told["manifest"], told["digest"]
                if made_of == (str(manifest.resolve()), _digest(manifest)):
                    return (folder / TABLE).read_bytes()
    return b""


def prune(place: Path, keep: str) -> None:
    """Remove what is stale, left behind, or over the limits; with the lock held."""
    count, total = 0, 0
    for age, size, folder in sorted(_measured(one) for one in place.iterdir() if one.is_dir()):
        if folder.name.startswith(SCRATCH):
            # Its keeper removes it, unless somebody ended that one, too.
            if age > ORPHAN_SECONDS:
                _remove(folder)
        elif folder.name != keep and (
            _stale(folder) or count + 1 > MOST or total + size > MOST_BYTES
        ):
            _remove(folder)
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


def _remove(folder: Path) -> None:
    """Take it out of sight by one rename: half of it must not be found."""
    away = folder.with_name(f"{SCRATCH}{secrets.token_hex(8)}")
    with suppress(FileNotFoundError):
        folder.rename(away)
    shutil.rmtree(away, ignore_errors=True)

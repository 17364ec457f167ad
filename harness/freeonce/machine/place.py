"""The folders in which templates lie: which of them may be used, and how things go from them."""

import fcntl
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from freeonce.deadline import Deadline
from freeonce.errors import DeadlineExceeded, HostError
from freeonce.machine.argv import MIB
from freeonce.machine.folder import SCRATCH
from freeonce.project.host import free_memory

FOLDER_VARIABLE = "FREEONCE_TEMPLATES"
LOCK_SECONDS = 300.0
POLL_SECONDS = 0.02
KEY = re.compile("[0-9a-f]{32}")
OURS = re.compile(f"{SCRATCH}[0-9a-f]{{16}}")
"""Names of templates, and of scratch folders. Whatever else lies in a place is somebody's."""


def places() -> tuple[Path, ...]:
    """Where templates may lie, the best first: $FREEONCE_TEMPLATES, or memory, then disk."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return (Path(named).absolute(),)
    ours = f"freeonce-{os.getuid()}"
    return Path("/dev/shm") / ours, Path("/var/tmp") / ours


def distrusted(place: Path) -> str | None:
    """Why what lies in a folder need not be ours, or cannot be used; None when all is well.

    A symbolic link is as good as the folder it leads to, if both are ours.
    """
    try:
        link, folder = place.lstat(), place.stat()
    except OSError as error:
        return f"{place}: {error.strerror}"
    if not stat.S_ISDIR(folder.st_mode):
        return f"{place} is no folder"
    if {link.st_uid, folder.st_uid} != {os.getuid()}:
        return f"{place} belongs to somebody else"
    if folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = stat.S_IMODE(folder.st_mode)
        return f"others may write in {place}, whose mode is {mode:04o}: use 'chmod go-w'"
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        return f"{place} is not writable for you"
    return None


def refusal(place: Path, size: int) -> str | None:
    """Why no template of `size` bytes can be made in a place, which is made if it is missing."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return f"{place}: {error.strerror}"
    wrong = distrusted(place)
    if wrong is not None:
        return wrong
    free = room(place)
    return None if free >= size else f"{place} has room for {free // MIB} MiB only"


def room(place: Path) -> int:
    """Bytes that a new template may take there."""
    free = shutil.disk_usage(place).free
    if place.is_relative_to("/dev/shm"):
        # What lies there is memory. Half of it stays for the clones.
        free = min(free, free_memory() // 2)
    return free


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """One build at a time in a place. The kernel opens the lock when we die.

    Raises HostError `template-busy` when another run does not get on.
    """
    lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _take(lock, place)
        yield
    finally:
        os.close(lock)


def _take(lock: int, place: Path) -> None:
    deadline = Deadline(LOCK_SECONDS, "waiting for a lock")
    try:
        while not _taken(lock):
            time.sleep(min(POLL_SECONDS, deadline.left()))
    except DeadlineExceeded as error:
        message = f"another run builds a template in {place} for {deadline.seconds:g} s now"
        raise HostError("template-busy", message) from error


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sweep(place: Path) -> None:
    """Remove scratch folders; with the lock held, so that nobody builds in them any more."""
    for one in place.iterdir():
        if OURS.fullmatch(one.name):
            _delete(one)


def remove(what: Path, scratch: Path) -> None:
    """Take it out of sight by one rename: half of it must not be found, and never stays.

    `scratch`: a kept folder beside it.
    """
    away = scratch / secrets.token_hex(8)
    with suppress(FileNotFoundError):
        if what.is_dir() and not what.is_symlink():
            # A folder that we may not write in cannot be led to another (rename(2)).
            what.chmod(0o700)
        what.rename(away)
        _delete(away)


def _delete(what: Path) -> None:
    """A folder or a file, whatever its mode."""
    with suppress(OSError):
        if what.is_symlink() or not what.is_dir():
            what.unlink()
            return
        what.chmod(0o700)
        for folder, inner, _ in os.walk(what):
            for name in inner:
                (Path(folder) / name).chmod(0o700)
    shutil.rmtree(what, ignore_errors=True)

"""Where built things lie: the user's cache, or `build/` of a clone. What is there, and its end.

A name of 32 digits is a digest of what went into a thing, so nothing in it is ever out of date.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from freeonce.project import sources

MANIFEST = "manifest.json"
KINDS = (MANIFEST, "outer.json")
"""What each image has one of."""


def home() -> Path:
    """The user's cache, `$XDG_CACHE_HOME/freeonce`."""
    return platformdirs.user_cache_path("freeonce")


def builds() -> Path:
    """Where images of these sources are made, a folder each."""
    if sources.installed():
        return home() / "images" / sources.digest()
    return sources.CLONE / "build"


def projects() -> Path:
    """Where images with the scenarios of users' projects are made, a folder each."""
    return home() / "projects"


@dataclass(frozen=True)
class Entry:
    """An image that is kept. `size`: bytes on disk. `current`: of these sources."""

    folder: Path
    size: int
    current: bool


def entries() -> Iterator[Entry]:
    """All images: of these sources, of other versions of freeonce, of projects."""
    ours = builds()
    for folder in sorted({*_in(ours), *_in(home() / "images", 2), *_in(projects())}):
        yield Entry(folder, _size(folder), folder.is_relative_to(ours))


def _in(place: Path, depth: int = 1) -> Iterator[Path]:
    for file in place.glob("*/" * depth + "*.json"):
        if file.name in KINDS and not file.parent.is_symlink():
            yield file.parent


def clear(entry: Entry) -> None:
    """Remove an image; who makes one meanwhile is waited for. Raises OSError."""
    with locked(entry.folder.parent):
        shutil.rmtree(entry.folder)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Nobody else makes or removes images in a folder, which is made if it is missing.

    The same lock as the recipes' (flock(1) in images/Makefile).
    """
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _size(folder: Path) -> int:
    """Bytes on disk, each file once."""
    stats = (Path(path, name).lstat() for path, _, names in os.walk(folder) for name in names)
    return sum({one.st_ino: one.st_blocks * 512 for one in stats}.values())

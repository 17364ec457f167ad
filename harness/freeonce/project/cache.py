"""Where built things lie: the user's cache, or `build/` of a clone. What is there, and its end.

A name of 32 digits is a digest of the sources and settings that went into a thing. What came from
elsewhere, the kernel's package and the compiler, is not in it: `clear` is for these.
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
SOURCES = "sources"
"""In a project's image: the digest of the freeonce that made it."""
KEPT_PROJECTS = 8
"""Images of projects, those used last: each edit of a scenario makes another."""


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
    """An image that is kept, or half of one. `size`: bytes on disk. `current`: of these sources."""

    folder: Path
    size: int
    current: bool


def entries() -> Iterator[Entry]:
    """All images: of these sources, of other versions of freeonce, of projects."""
    ours = builds()
    for folder in sorted({*_images(ours), *_folders(home() / "images", 2), *_folders(projects())}):
        yield Entry(folder, _size(folder), folder.is_relative_to(ours) or _is_ours(folder))


def _images(place: Path) -> Iterator[Path]:
    """A clone's `build/` has other things too."""
    return (one for one in _folders(place) if any((one / kind).exists() for kind in KINDS))


def _folders(place: Path, depth: int = 1) -> Iterator[Path]:
    return (one for one in place.glob("/".join("*" * depth)) if _is_folder(one))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_ours(project: Path) -> bool:
    try:
        return (project / SOURCES).read_text() == sources.digest()
    except OSError:
        return False


def forget_projects() -> None:
    """Remove all but the images of projects that were used last. Their lock is held."""
    by_use = sorted(_folders(projects()), key=lambda one: one.stat().st_mtime)
    for folder in by_use[:-KEPT_PROJECTS]:
        shutil.rmtree(folder)


def clear(entry: Entry) -> None:
    """Remove an image; who makes one meanwhile is waited for. Raises OSError."""
    with locked(entry.folder.parent):
        shutil.rmtree(entry.folder)


@contextmanager
def locked(place: Path, name: str = "lock") -> Iterator[None]:
    """Nobody else holds the lock of that name in a folder, which is made if it is missing.

    Without a name: who makes or removes images there, as the recipes do (flock(1) in
    images/Makefile).
    """
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(place / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _size(folder: Path) -> int:
    """Bytes on disk, each file once."""
    stats = (Path(path, name).lstat() for path, _, names in os.walk(folder) for name in names)
    return sum({one.st_ino: one.st_blocks * 512 for one in stats}.values())

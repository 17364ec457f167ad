"""Where what guests are made of lies, in a clone and in an installed package alike.

A clone has `guest/`, `images/` and `ci/` in its root; a wheel has the same in `freeonce/sources`.
"""

import hashlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from freeonce import __version__

PACKAGE = Path(__file__).resolve().parents[1]
INSTALLED = PACKAGE / "sources"
CLONE = PACKAGE.parents[1]


def installed() -> bool:
    """Whether this is a package somewhere, not a clone."""
    return INSTALLED.is_dir()


def root() -> Path:
    """The folder that has `guest/`, `images/` and `ci/` in it."""
    return INSTALLED if installed() else CLONE


@cache
def digest() -> str:
    """A name for all that goes into an image: the guest's sources, recipes, and what redirects."""
    folders = (root() / "guest", root() / "images", PACKAGE / "subject")
    return digest_of(*folders, words=(__version__,))


def digest_of(*folders: Path, words: tuple[str, ...] = ()) -> str:
    """Of the files in folders, by their paths in them and their contents. Raises OSError.

    What is hidden is left out: editors keep locks and copies so. And folders that say they are a
    cache, as cargo's target does.
    """
    whole = hashlib.sha256()
    for word in words:
        _add(whole, word.encode(errors="surrogateescape"))
    for folder in folders:
        for file in sorted(_files(folder)):
            _add(whole, str(file.relative_to(folder)).encode(errors="surrogateescape"))
            _add(whole, file.read_bytes())
    return whole.hexdigest()[:32]


def _files(folder: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(folder):
        here = Path(path)
        folders[:] = [one for one in folders if not (_hidden(one) or (here / one / CACHE).exists())]
        yield from (here / one for one in names if not _hidden(one) and (here / one).is_file())


CACHE = "CACHEDIR.TAG"
"""In a folder that whoever made it can make again (bford.info/cachedir)."""


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"


def _add(whole: "hashlib._Hash", part: bytes) -> None:
    """With its length before it: no two lists of parts are the same bytes."""
    whole.update(len(part).to_bytes(8))
    whole.update(part)

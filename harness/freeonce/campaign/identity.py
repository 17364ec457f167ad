"""What makes two hosts' results comparable: digests of the harness and of files."""

import fnmatch
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import gettempdir

import freeonce
from freeonce.errors import HostError, UsageError
from freeonce.given import cannot_read, digest_of_file, given_bytes
from freeonce.machine.folder import kept_folder
from freeonce.project.image import Image
from freeonce.run.exercise import libraries, sources_of
from freeonce.subject.build import BUILT, Headers, is_source
from freeonce.subject.toolchain import ASKED, tools_of, versions_of

PACKAGE = Path(freeonce.__file__).parent
NOT_OURS = {"__pycache__", "sources"}
"""Folders of an installed package that judge nothing; of `sources` images are made, which have
digests of their own.
"""


@cache
def harness() -> str:
    """Version and SHA-256 of this harness's own source and data: two that differ may judge
    otherwise.
    """
    return f"{freeonce.__version__}+{package_digest(PACKAGE)[:16]}"


def package_digest(package: Path) -> str:
    """SHA-256 of all files of a Python package with their names."""
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*")):
        name = file.relative_to(package)
        if NOT_OURS.isdisjoint(name.parts) and file.is_file():
            digest.update(str(name).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, or of all files in a folder with their names: and which may be executed.

    Raises UsageError when there is none.
    """
    digest = hashlib.sha256()
    try:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() or file == path:
                name = str(file.relative_to(path)).encode()
                runs = b"x" if os.access(file, os.X_OK) else b"-"
                digest.update(name + b"\0" + runs + digest_of_file(file))
    except (OSError, ValueError) as error:
        raise cannot_read(path, error) from error
    return digest.hexdigest()


MOST_FILES = 5_000
"""Sources that lie beside a module's folder and may be a part of it."""
_SOURCES = ("*.c", "*.h", "*.S", "*.s", "*.rs", "*.inc", "*.lds", "*.o_shipped")
_MAKES = ("Kbuild*", "Makefile*", "*.mk")
# In a source two dots alone may be a range, or a name that is compared.
_OUT = {_SOURCES: re.compile(rb"(?<![.\w])\.\./"), _MAKES: re.compile(rb"(?<![.\w])\.\.(?![.\w])")}


def subject_digest(path: Path) -> str:
    """SHA-256 of a module's file, or of the folder that it is built in. Of a folder that names
    `..` somewhere all sources beside it are a part, and of any those that it has links to.

    Raises UsageError when there is none, or too much beside it.
    """
    digest = hashlib.sha256(file_digest(path).encode())
    try:
        if path.is_dir() and is_source(path):
            real = path.resolve()
            for number, file in enumerate(_from_outside(real)):
                if number >= MOST_FILES:
                    raise UsageError(
                        f"{path} names files in '..', and more than {MOST_FILES} sources lie "
                        "there; give it and what it needs a folder of their own"
                    )
                digest.update(str(file.relative_to(real.parent)).encode() + b"\0")
                digest.update(file_digest(file).encode())
    except OSError as error:
        raise UsageError(f"cannot read all of {str(path)!r}: {error}") from error
    return digest.hexdigest()


def _from_outside(folder: Path) -> Iterator[Path]:
    links = (one for one in sorted(folder.rglob("*")) if one.is_symlink() and one.is_dir())
    for link in links:
        yield from _sources(link)
    if any(
        out.search(given_bytes(one))
        for patterns, out in _OUT.items()
        for pattern in patterns
        for one in folder.rglob(pattern)
        if one.is_file()
    ):
        for beside in sorted(folder.parent.iterdir()):
            if beside.name != folder.name:
                yield from _sources(beside)


def _sources(path: Path) -> Iterator[Path]:
    """Those in a folder, which may be a link, or a file that is one."""
    if path.is_file() and _is_source(path.name):
        yield path
    for top, folders, names in os.walk(path):
        folders[:] = sorted(one for one in folders if not _built(one))
        files = (Path(top, name) for name in sorted(names) if _is_source(name))
        yield from (one for one in files if one.is_file())


def _is_source(name: str) -> bool:
    return not _built(name) and any(fnmatch.fnmatch(name, one) for one in (*_SOURCES, *_MAKES))


def _built(name: str) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in BUILT)


def library_digests(exercises: Sequence[str], carried: Sequence[str]) -> dict[str, str]:
    """SHA-256 of what exercises and carried files (HOST[:GUEST]) are linked with on this host,
    by path: it goes into the guest with them. Raises UsageError for what is not there.
    """
    try:
        found = libraries(sources_of(map(Path, exercises), carried))
    except OSError as error:
        raise UsageError(f"cannot read an exercise: {error}") from error
    return {str(one): file_digest(one) for one in sorted(found)}


def built_by(subjects: Sequence[str], image: Image) -> dict[str, str]:
    """What builds those of the subjects that are folders, on this host, by kbuild's names. Empty
    where nothing is built.

    Raises HostError `no-tool`.
    """
    if not any(Path(one).is_dir() for one in subjects):
        return {}
    asked = tuple(os.environ.get(name, "") for name in ASKED)
    return versions_of(_tools(image.headers, image.headers_source, asked))


@cache
def _tools(headers: Path, source: Path | None, _asked: tuple[str, ...]) -> Mapping[str, str]:
    with kept_folder(Path(gettempdir())) as folder:
        # Below it: by that its keeper knows what is begun.
        scratch = folder / "tools"
        scratch.mkdir()
        return tools_of(Headers(headers, source), scratch)


def kernel_digest(image: Image) -> str:
    """SHA-256 of an image's kernel package, of which its manifest has none: modules, and what
    others are built against. Raises HostError `no-image` when it cannot be read.
    """
    try:
        trees = (image.modules, image.headers, image.headers_source)
        return " ".join(_tree_digest(tree) for tree in trees if tree and tree.is_dir())
    except OSError as error:
        raise HostError("no-image", f"cannot read the kernel package: {error}") from error


KNOWN: dict[str, str] = {}
"""Digests of trees by their paths, and by when these were made: each process reads a tree once, and
workers that it begins on this machine are told what it knows.
"""


def _tree_digest(tree: Path) -> str:
    made = tree.stat()
    path = f"{tree.resolve()} {made.st_ino} {made.st_mtime_ns}"
    if path not in KNOWN:
        digest = hashlib.sha256()
        for file in files_of(tree):
            name = str(file.relative_to(tree)).encode()
            digest.update(name + b"\0" + hashlib.sha256(file.read_bytes()).digest())
        KNOWN[path] = digest.hexdigest()[:32]
    return KNOWN[path]


def files_of(tree: Path) -> Iterator[Path]:
    """Of a folder, which may be a link. What links in it lead out of it is not ours."""
    for path, folders, names in os.walk(tree):
        folders.sort()
        yield from (one for one in (Path(path, name) for name in sorted(names)) if one.is_file())

"""Images by what they are: the SHA-256 of a manifest, which has those of its files.

A worker finds the campaign's among those made on its host, in a folder that hosts share, or is
sent it. An image of the same sources that was made elsewhere is another: it has keys of its own.
"""

import gzip
import io
import os
import shutil
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from freeonce.campaign.identity import file_digest, files_of, kernel_digest
from freeonce.errors import FreeonceError, HostError
from freeonce.machine.folder import kept_folder
from freeonce.project import cache
from freeonce.project.chosen import chosen_image
from freeonce.project.image import load_image

SHARED = "FREEONCE_IMAGES"
"""In the environment: a folder that hosts share, with images in folders of any name."""
PIECE = 4 * 1024 * 1024
"""Bytes that are sent at a time."""
HALF = "image.tar.gz"
"""What was sent of one."""
HALF_SECONDS = 3600
"""After which nobody sends the rest of it any more."""


def received() -> Path:
    """Where images that were sent are kept, each in a folder with its digest's name."""
    return cache.home() / "received"


def find(digest: str) -> Path | None:
    """The manifest of the image with that digest, None when this host has none."""
    # What is looked at first costs the least.
    for manifest in _here(digest):
        with suppress(FreeonceError):
            if file_digest(manifest) == digest:
                return manifest
    return None


def state(manifest: Path) -> object:
    """Another when something was changed in an image's folder. Raises HostError `no-image`."""
    try:
        with os.scandir(manifest.parent) as entries:
            found = [(one.name, one.stat()) for one in entries]
    except OSError as error:
        raise HostError("no-image", f"{manifest.parent} cannot be read: {error}") from error
    return tuple(sorted((name, it.st_ino, it.st_size, it.st_mtime_ns) for name, it in found))


def _here(digest: str) -> Iterator[Path]:
    yield received() / digest / cache.MANIFEST
    for scenarios in (False, True):
        with suppress(FreeonceError):
            yield chosen_image(scenarios=scenarios)
    places = [cache.builds(), cache.projects()]
    if shared := os.environ.get(SHARED):
        places.append(Path(shared))
    for place in places:
        yield from sorted(place.glob(f"*/{cache.MANIFEST}"))


def packed(manifest: Path) -> Iterator[bytes]:
    """An image as pieces of a compressed archive: all that its manifest names.

    Raises OSError.
    """
    image = load_image(manifest)
    folder = manifest.parent
    files = (image.boot, image.initramfs, image.module, image.symvers, image.specimens)
    keys = (image.client_key, image.host_key)
    trees = (image.modules, image.headers, image.headers_source)
    made = _Pieces()
    with (
        gzip.GzipFile("", "wb", 1, made, mtime=0) as packing,
        tarfile.open(fileobj=packing, mode="w|") as archive,
    ):
        named = (manifest, *files, *keys, image.families)
        inside = (one for tree in trees if tree for one in files_of(tree))
        for one in chain(named, inside):
            archive.add(one.resolve(), str(one.relative_to(folder)))
            yield from made.whole()
    yield bytes(made.ready)


class _Pieces(io.RawIOBase):
    """A file that is written to, and taken from in pieces."""

    def __init__(self) -> None:
        self.ready = bytearray()

    def write(self, data: Any) -> int:
        """Part of the archive."""
        self.ready += data
        return len(data)

    def whole(self) -> Iterator[bytes]:
        """The pieces that are full."""
        while len(self.ready) >= PIECE:
            yield bytes(self.ready[:PIECE])
            del self.ready[:PIECE]


def begin(digest: str, package: str) -> bool:
    """On a worker: whether it must be sent an image. One that was sent and is not whole any more
    goes. `package`: the digest of its kernel package.
    """
    if (manifest := find(digest)) is None:
        return True
    with suppress(FreeonceError):
        if kernel_digest(load_image(manifest)) == package:
            return False
    shutil.rmtree(received() / digest, ignore_errors=True)
    return True


def place(folder: Path) -> str:
    """On a worker: where one sender's pieces go, below a folder that goes with the worker."""
    for half in folder.glob(f"*/{HALF}"):
        with suppress(OSError):
            # Of who was killed, or else of who is sending now.
            if time.time() - half.stat().st_mtime > HALF_SECONDS:
                drop(str(half.parent))
    return tempfile.mkdtemp(dir=folder)


def take(folder: str, piece: bytes) -> None:
    """On a worker: the next piece."""
    with Path(folder, HALF).open("ab") as file:
        file.write(piece)


def drop(folder: str) -> None:
    """On a worker: what was sent is not to be used."""
    shutil.rmtree(folder, ignore_errors=True)


def end(folder: str, digest: str, package: str) -> None:
    """On a worker: all pieces were sent. The image is there whole, or not at all.

    Raises HostError `no-image` when it is not what was meant.
    """
    received().mkdir(mode=0o700, parents=True, exist_ok=True)
    # Its keeper removes it when we are killed.
    with kept_folder(received()) as scratch:
        new = scratch / digest
        try:
            with tarfile.open(Path(folder, HALF), "r:gz") as packed_files:
                packed_files.extractall(new, filter="data")
            manifest = new / cache.MANIFEST
            if file_digest(manifest) != digest:
                raise HostError("no-image", f"what was sent is not the image {digest}")
            if kernel_digest(load_image(manifest)) != package:
                raise HostError("no-image", f"the kernel package sent is not that of {digest}")
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise HostError("no-image", f"what was sent is no image: {error}") from error
        finally:
            drop(folder)
        # Another worker of this host may have been sent it, too.
        with suppress(OSError):
            new.rename(received() / digest)

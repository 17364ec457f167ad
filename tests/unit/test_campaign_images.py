"""Images by what they are: found, sent in pieces, and kept only when they are what was meant."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from freeonce.campaign import identity, images
from freeonce.campaign.identity import file_digest, kernel_digest
from freeonce.errors import HostError
from freeonce.project import cache
from freeonce.project.image import load_image

FILES = ("kernel", "initramfs", "module", "symvers", "specimens", "client_key", "host_key")


def image(folder: Path) -> Path:
    """A manifest with all its files, and a kernel package behind a link."""
    folder.mkdir(parents=True)
    manifest: dict[str, Any] = {"schema": "freeonce/image/1"}
    for name in FILES:
        (folder / name).write_bytes(os.urandom(3000))
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        manifest[name] = {"path": name, "sha256": digest}
    manifest["kernel"] |= {"protocol": "pvh", "release": "6.1"}
    manifest["rust"] = {"version": "1.96", "rustc": "/usr/bin/rustc"}
    (folder / "families.json").write_text("{}")
    digest = hashlib.sha256(b"{}").hexdigest()
    manifest["families"] = {"path": "families.json", "sha256": digest}
    (folder / "root/modules").mkdir(parents=True)
    (folder / "root/modules/loop.ko").write_text("a module")
    (folder / "root/modules/build").symlink_to("/gone")
    (folder / "root/headers").mkdir()
    (folder / "root/headers/run").write_text("#!/bin/sh")
    (folder / "root/headers/run").chmod(0o755)
    (folder / "kernel.d").mkdir()
    (folder / "kernel.d/modules").symlink_to("../root/modules")
    (folder / "kernel.d/headers").symlink_to("../root/headers")
    manifest["package"] = {"modules": "kernel.d/modules", "headers": "kernel.d/headers"}
    file = folder / cache.MANIFEST
    file.write_text(json.dumps(manifest))
    return file


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host without any image."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "host"))
    monkeypatch.setattr(cache, "builds", lambda: tmp_path / "host/builds")
    monkeypatch.delenv("FREEONCE_IMAGE", raising=False)
    return tmp_path / "host"


def sent(digest: str, package: str, pieces: Iterable[bytes], folder: Path) -> None:
    """`folder`: the worker's own, with nothing in it before and after."""
    assert images.begin(digest, package)
    folder.mkdir(exist_ok=True)
    place = images.place(folder)
    for piece in pieces:
        images.take(place, piece)
    try:
        images.end(place, digest, package)
    finally:
        assert list(folder.iterdir()) == []


def test_an_image_that_was_sent_is_the_same(
    host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "PIECE", 1000)
    manifest = image(tmp_path / "theirs")
    digest = file_digest(manifest)
    assert images.find(digest) is None
    pieces = list(images.packed(manifest))
    assert len(pieces) > 3
    package = kernel_digest(load_image(manifest))
    sent(digest, package, pieces, tmp_path / "worker")
    found = images.find(digest)
    assert found is not None
    assert found.is_relative_to(host)
    ours, theirs = load_image(found), load_image(manifest)
    assert ours.boot.read_bytes() == theirs.boot.read_bytes()
    assert (ours.modules / "loop.ko").read_text() == "a module"
    assert os.access(ours.headers / "run", os.X_OK)
    assert not images.begin(digest, package)
    assert [one.name for one in images.received().iterdir()] == [digest]


def test_what_is_not_the_image_that_was_meant_is_not_kept(host: Path, tmp_path: Path) -> None:
    manifest = image(tmp_path / "theirs")
    digest = file_digest(manifest)
    package = kernel_digest(load_image(manifest))
    pieces = b"".join(images.packed(manifest))
    for wrong in (b"nonsense", pieces[: len(pieces) // 2], pieces[:900] + pieces[910:]):
        with pytest.raises(HostError) as caught:
            sent(digest, package, [wrong], tmp_path / "worker")
        assert caught.value.reason == "no-image"
    with pytest.raises(HostError, match="is not the image"):
        sent("f" * 64, package, [pieces], tmp_path / "worker")
    with pytest.raises(HostError, match="kernel package"):
        sent(digest, "another", [pieces], tmp_path / "worker")
    assert list(images.received().iterdir()) == []
    assert images.find(digest) is None


@pytest.mark.parametrize("name", ["module", "families.json"])
def test_an_image_that_is_not_whole_is_not_sent(tmp_path: Path, name: str) -> None:
    manifest = image(tmp_path / "theirs")
    (manifest.parent / name).write_bytes(b"another")
    with pytest.raises(HostError, match=f"{name} is not the file"):
        list(images.packed(manifest))


@pytest.mark.parametrize("name", ["root/modules/loop.ko", "root/headers/run"])
def test_the_kernel_package_of_an_image_has_a_digest(tmp_path: Path, name: str) -> None:
    one, other = image(tmp_path / "one"), tmp_path / "other"
    shutil.copytree(one.parent, other, symlinks=True)
    digests = {kernel_digest(load_image(one)), kernel_digest(load_image(other / one.name))}
    assert len(digests) == 1
    shutil.copytree(other, tmp_path / "third", symlinks=True)
    (tmp_path / "third" / name).write_text("another")
    assert kernel_digest(load_image(tmp_path / "third" / one.name)) not in digests


def test_a_folder_that_hosts_share_is_looked_at(
    host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = image(tmp_path / "shared/any name")
    monkeypatch.setenv(images.SHARED, str(tmp_path / "shared"))
    assert images.find(file_digest(manifest)) == manifest
    assert images.find("another") is None


@pytest.mark.parametrize("name", ["module", "kernel.d/modules/loop.ko"])
def test_an_image_that_is_not_whole_any_more_is_sent_again(
    host: Path, tmp_path: Path, name: str
) -> None:
    manifest = image(tmp_path / "theirs")
    digest, package = file_digest(manifest), kernel_digest(load_image(manifest))
    pieces = list(images.packed(manifest))
    sent(digest, package, pieces, tmp_path / "worker")
    found = images.find(digest)
    assert found is not None
    (found.parent / name).write_bytes(b"damaged")
    # Another process looks.
    identity.KNOWN.clear()
    sent(digest, package, pieces, tmp_path / "worker")
    assert not images.begin(digest, package)


def test_an_image_of_a_users_own_is_never_removed(host: Path, tmp_path: Path) -> None:
    manifest = image(host / "builds/cloud")
    digest = file_digest(manifest)
    package = kernel_digest(load_image(manifest))
    (manifest.parent / "module").write_bytes(b"damaged")
    assert images.begin(digest, package)
    assert (manifest.parent / "module").read_bytes() == b"damaged"


def test_what_is_changed_in_an_image_is_seen(tmp_path: Path) -> None:
    manifest = image(tmp_path / "one")
    before = images.state(manifest)
    assert images.state(manifest) == before
    new = tmp_path / "new"
    new.write_bytes((manifest.parent / "module").read_bytes())
    new.rename(manifest.parent / "module")
    assert images.state(manifest) != before
    shutil.rmtree(manifest.parent)
    with pytest.raises(HostError, match="cannot be read"):
        images.state(manifest)


def test_what_a_killed_sender_left_is_in_nobodys_way_and_goes(host: Path, tmp_path: Path) -> None:
    manifest = image(tmp_path / "theirs")
    digest, package = file_digest(manifest), kernel_digest(load_image(manifest))
    half, other = images.place(tmp_path), images.place(tmp_path)
    images.take(half, b"half of one")
    for piece in images.packed(manifest):
        images.take(other, piece)
    images.end(other, digest, package)
    assert images.find(digest) is not None
    os.utime(Path(half, images.HALF), (0, 0))
    images.drop(images.place(tmp_path))
    assert {one.name for one in tmp_path.iterdir()} == {"theirs", "host"}

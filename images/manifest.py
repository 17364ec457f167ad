#!/usr/bin/env python3
"""Describe an image in one file: the only thing that images and harness share.

Usage: manifest.py write FOLDER TOOLCHAIN      writes FOLDER/manifest.json, of a guest
       manifest.py outer FOLDER                writes FOLDER/outer.json, of an outer machine
       manifest.py verify FOLDER               removes what is not as these say

Paths are relative to the manifest. Every file that a guest is made of has its sha256.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

SCHEMA = "freeonce/image/1"
OUTER_SCHEMA = "freeonce/outer/1"


def described(folder: Path, name: str) -> dict[str, str]:
    with (folder / name).open("rb") as file:
        return {"path": name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def kernel(folder: Path) -> dict[str, str]:
    with (folder / "boot").open("rb") as file:
        protocol = "pvh" if file.read(4) == b"\x7fELF" else "bzimage"
    return {
        "release": (folder / "kernel/release").read_text().strip(),
        "protocol": protocol,
        **described(folder, "boot"),
    }


def package(folder: Path) -> dict[str, str]:
    """Folders of the kernel's package: its modules, and what others are built against.

    `source`: where the headers were made of, when they lie in two folders.
    """
    kernel = folder / "kernel"
    names = {"modules": "modules", "headers": "headers", "source": "headers-source"}
    return {key: f"kernel/{name}" for key, name in names.items() if (kernel / name).exists()}


def manifest(folder: Path, toolchain: Path) -> dict[str, object]:
    rust = json.loads(toolchain.read_text())
    return {
        "schema": SCHEMA,
        "kernel": kernel(folder),
        "package": package(folder),
        "initramfs": described(folder, "initramfs.cpio"),
        "module": described(folder, "freeonce.ko"),
        "families": described(folder, "families.json"),
        "symvers": described(folder, "freeonce.symvers"),
        "specimens": described(folder, "specimens.ko"),
        "client_key": described(folder, "keys/client"),
        "host_key": described(folder, "keys/host.pub"),
        "rust": {"rustc": rust["rustc"], "version": rust["version"]},
    }


def outer_manifest(folder: Path) -> dict[str, object]:
    return {
        "schema": OUTER_SCHEMA,
        "kernel": kernel(folder),
        "initramfs": described(folder, "outer.cpio"),
    }


def put(path: Path, document: dict[str, object]) -> None:
    scratch = path.with_suffix(f".{os.getpid()}")
    scratch.write_text(json.dumps(document, indent=1) + "\n")
    scratch.rename(path)


def write(folder: str, toolchain: str) -> None:
    put(Path(folder) / "manifest.json", manifest(Path(folder), Path(toolchain)))


def outer(folder: str) -> None:
    put(Path(folder) / "outer.json", outer_manifest(Path(folder)))


def verify(folder: str) -> None:
    """Remove files that are not as described, with what belongs to them, so that make makes them.

    Make itself only compares times: it would never find out.
    """
    for name in ("manifest.json", "outer.json"):
        verify_one(Path(folder), Path(folder) / name)


def verify_one(folder: Path, described_by: Path) -> None:
    try:
        entries = json.loads(described_by.read_text()).values()
        told = {one["path"]: one["sha256"] for one in entries if "sha256" in one}
    except (OSError, ValueError, AttributeError):
        described_by.unlink(missing_ok=True)
        return
    for path, sha256 in told.items():
        try:
            if described(folder, path)["sha256"] == sha256:
                continue
        except OSError:
            pass
        print(f"images: {path} is not what the manifest says; making it again")
        # A pair of keys is made together.
        wrong = (folder / path).parent.glob("*") if path.startswith("keys/") else [folder / path]
        for file in wrong:
            file.unlink(missing_ok=True)
        described_by.unlink(missing_ok=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", folder, toolchain]:
            write(folder, toolchain)
        case ["outer", folder]:
            outer(folder)
        case ["verify", folder]:
            verify(folder)
        case _:
            sys.exit(__doc__)

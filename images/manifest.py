#!/usr/bin/env python3
"""Describe an image in one file: the only thing that images and harness share.

Usage: manifest.py FOLDER TOOLCHAIN      writes FOLDER/manifest.json

Paths are relative to the manifest. Every file that a guest is made of has its sha256.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

SCHEMA = "freeonce/image/1"


def described(folder: Path, name: str) -> dict[str, str]:
    with (folder / name).open("rb") as file:
        return {"path": name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def manifest(folder: Path, toolchain: Path) -> dict[str, object]:
    with (folder / "boot").open("rb") as file:
        protocol = "pvh" if file.read(4) == b"\x7fELF" else "bzimage"
    rust = json.loads(toolchain.read_text())
    return {
        "schema": SCHEMA,
        "kernel": {
            "release": (folder / "kernel/release").read_text().strip(),
            "protocol": protocol,
            **described(folder, "boot"),
        },
        "initramfs": described(folder, "initramfs.cpio"),
        "module": described(folder, "freeonce.ko"),
        "client_key": described(folder, "keys/client"),
        "host_key": described(folder, "keys/host.pub"),
        "rust": {"rustc": rust["rustc"], "version": rust["version"]},
    }


def main(folder: str, toolchain: str) -> None:
    path = Path(folder) / "manifest.json"
    scratch = path.with_suffix(f".{os.getpid()}")
    text = json.dumps(manifest(Path(folder), Path(toolchain)), indent=1)
    scratch.write_text(text + "\n")
    scratch.rename(path)


if __name__ == "__main__":
    main(*sys.argv[1:])

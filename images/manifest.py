#!/usr/bin/env python3
"""Describe an image in one file: the only thing that images and harness share.

Usage: manifest.py write FOLDER TOOLCHAIN      writes FOLDER/manifest.json
       manifest.py verify FOLDER               removes what is not as it says

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


def write(folder: str, toolchain: str) -> None:
    path = Path(folder) / "manifest.json"
    scratch = path.with_suffix(f".{os.getpid()}")
    text = json.dumps(manifest(Path(folder), Path(toolchain)), indent=1)
    scratch.write_text(text + "\n")
    scratch.rename(path)


def verify(name: str) -> None:
    """Remove files that are not as described, with what belongs to them, so that make makes them.

    Make itself only compares times: it would never find out.
    """
    folder = Path(name)
    try:
        entries = json.loads((folder / "manifest.json").read_text()).values()
        told = {one["path"]: one["sha256"] for one in entries if "sha256" in one}
    except (OSError, ValueError, AttributeError):
        (folder / "manifest.json").unlink(missing_ok=True)
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
        (folder / "manifest.json").unlink(missing_ok=True)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(*sys.argv[2:])
    else:
        verify(*sys.argv[2:])

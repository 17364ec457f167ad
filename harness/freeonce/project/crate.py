"""A user's cargo package: the cargo that builds it, and all that goes into it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from freeonce.errors import HostError, UsageError
from freeonce.project import sources

OLDEST = (1, 85)
"""As rustc (images/rust-toolchain.py): our own crate is of edition 2024."""
INSTALL = (
    "install it: 'apt-get install cargo-web' (Debian 12), 'apt-get install cargo' (Debian 13, "
    "Ubuntu), 'dnf install cargo' (Fedora), 'pacman -S rust' (Arch), 'zypper install cargo' "
    "(openSUSE), or rustup; CARGO names another one"
)


def find_cargo() -> Path:
    """$CARGO, or the first on the PATH that is new enough. Raises HostError `no-cargo`."""
    named = os.environ.get("CARGO")
    asked = [named] if named else ["cargo"]
    found = next(filter(None, map(shutil.which, asked)), None)
    if found is None:
        raise HostError(
            "no-cargo", f"a crate needs {named or 'cargo'}, which is not installed; {INSTALL}"
        )
    said = _run([found, "--version"], Path.cwd()).stdout
    version = re.match(r"cargo (\d+)\.(\d+)\.", said)
    if version is None:
        raise HostError("no-cargo", f"{found} does not answer --version; {INSTALL}")
    if (int(version[1]), int(version[2])) < OLDEST:
        need = ".".join(map(str, OLDEST))
        raise HostError("no-cargo", f"{found}: {said.strip()} is older than {need}; {INSTALL}")
    return Path(found)


@dataclass(frozen=True)
class Crate:
    """A package in a folder, its cargo, and the folder from which findings name its files."""

    folder: Path
    project: Path
    cargo: Path

    def digest(self) -> str:
        """A name for all of it that lies on this machine: its own files, and of what it names by
        path. What comes from a registry is named in its lock file.

        Raises UsageError when cargo cannot tell, with its words.
        """
        told = json.loads(self._asked(*METADATA))
        packages = (one for one in told["packages"] if one["source"] is None)
        folders = sorted({Path(one["manifest_path"]).parent for one in packages})
        root = Path(told["workspace_root"])
        files = [
            *(root / name for name in ("Cargo.toml", "Cargo.lock", ".cargo/config.toml")),
            self.folder / ".cargo/config.toml",
        ]
        words = [
            self._asked("--version"),
            str(self.folder),
            str(self.project),
            *map(str, folders),
            *map(_text, files),
        ]
        return sources.digest_of(*folders, words=tuple(words))

    def fetch(self) -> None:
        """Have cargo download what it names, if that is not here. Raises UsageError."""
        try:
            self._asked(*METADATA)
        except UsageError:
            self._asked("fetch", f"--target={TARGET}")

    def _asked(self, *words: str) -> str:
        patch = [] if words == ("--version",) else [f"--config={patch_of(sources.root())}"]
        done = _run([str(self.cargo), *words, *patch], self.folder)
        if done.returncode:
            raise UsageError(f"cargo {words[0]} in {os.path.relpath(self.folder)}:\n{done.stderr}")
        return done.stdout


TARGET = "x86_64-unknown-none"
METADATA = ("metadata", "--format-version=1", "--offline")


def patch_of(root: Path) -> str:
    """What tells cargo where `freeonce` lies, which is in no registry. A setting of its own."""
    return f"patch.crates-io.freeonce.path='{root / 'guest/rust'}'"


def _run(command: Sequence[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="surrogateescape")
    except FileNotFoundError:
        return ""

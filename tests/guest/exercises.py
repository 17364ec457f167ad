"""What tests/debian does with modules, as wishes for lives; and what Debian has as source."""

import os
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from freeonce.run.life import Limits
from freeonce.run.prepare import Wish
from tests.guest.lives import TESTS, compiled, made_once

DEBIAN = TESTS / "debian"
EXERCISES: Mapping[str, Mapping[str, Any]] = tomllib.loads((DEBIAN / "exercises.toml").read_text())
SECONDS = 300.0


def unpacked(package: str, session: Path) -> Path:
    """A package of Debian's, whose scripts nobody runs."""

    def make(into: Path) -> None:
        # apt's own user may not reach our folder.
        user = ["-o", "APT::Sandbox::User=root"] if os.getuid() == 0 else []
        subprocess.run(["apt-get", "-qq", *user, "download", package], cwd=into, check=True)
        (archive,) = into.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, into], check=True)

    return made_once(session, package, make)


def source_of(package: str, session: Path) -> Path:
    """The source that a package of Debian brings for dkms, which is not asked to build it."""
    (folder,) = unpacked(package, session).glob("usr/src/*")
    return folder


def program(name: str, programs: Path) -> Path:
    """Ours, or the host's."""
    ours = programs / name
    found = ours if ours.exists() else shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    assert found, f"{name} is not installed"
    return Path(found)


def wish(name: str, session: Path) -> Wish:
    about = EXERCISES[name]
    programs = made_once(session, "programs", lambda into: compiled(DEBIAN / "programs", into))
    source = about.get("source")
    targets = [str(source_of(source, session))] if source else about.get("targets", [name])
    return Wish(
        targets=tuple(targets),
        parameters=about.get("params", ""),
        dependencies=tuple(about.get("deps", [])),
        exercises=(DEBIAN / f"{name}.sh",),
        carried=tuple(str(program(one, programs)) for one in about.get("files", [])),
        limits=Limits(exercise=SECONDS),
    )

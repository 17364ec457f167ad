"""What tests/debian does with modules, as wishes for lives; and what Debian has as source."""

import os
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from freeonce.project.image import Image
from freeonce.project.machine import Machine
from freeonce.run.life import Limits
from freeonce.run.prepare import Wish
from tests.guest.lives import TESTS, compiled, made_once

DEBIAN = TESTS / "debian"
EXERCISES: Mapping[str, Mapping[str, Any]] = tomllib.loads((DEBIAN / "exercises.toml").read_text())
SECONDS = 300.0
FIRMWARE = (Path("/usr/share/seabios"), Path("/usr/share/qemu"))


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


def programs_of(session: Path) -> Path:
    """Ours, compiled."""
    return made_once(session, "programs", lambda into: compiled(DEBIAN / "programs", into))


def program(name: str, programs: Path) -> Path:
    """Ours, or the host's."""
    ours = programs / name
    found = ours if ours.exists() else shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    assert found, f"{name} is not installed"
    return Path(found)


def firmware(name: str) -> str:
    """A file of QEMU's, with the folder where the exercise has it."""
    (found,) = (file for folder in FIRMWARE if (file := folder / name).exists())
    return f"{found}:/audit/firmware/{name}"


def machine_of(name: str) -> Machine:
    """What it needs."""
    about = EXERCISES[name]
    return Machine(**{key: about[key] for key in ("cpus", "memory") if key in about})


def wish(name: str, session: Path, image: Image) -> Wish:
    """`image`: the guest's own, whose files an exercise may boot an L2 of."""
    about = EXERCISES[name]
    carried = [
        *(str(program(one, programs_of(session))) for one in about.get("files", [])),
        *map(firmware, about.get("firmware", [])),
        *(f"{getattr(image, one)}:/audit/{one}" for one in about.get("image", [])),
    ]
    source = about.get("source")
    targets = [str(source_of(source, session))] if source else about.get("targets", [name])
    return Wish(
        targets=tuple(targets),
        parameters=about.get("params", ""),
        dependencies=tuple(about.get("deps", [])),
        exercises=(DEBIAN / f"{name}.sh",),
        carried=tuple(carried),
        limits=Limits(exercise=about.get("seconds", SECONDS)),
    )

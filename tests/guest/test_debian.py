"""Whole lives of Debian's own modules, and of some that it has as source, each with an exercise."""

import os
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from freeonce.project.machine import Machine
from freeonce.project.setting import find_setting
from freeonce.run.audit import ready
from freeonce.run.life import Limits
from freeonce.run.prepare import Wish
from tests.guest.lives import TESTS, Place, check_whole, compiled, lead, made_once, shared

DEBIAN = TESTS / "debian"
EXERCISES: Mapping[str, Mapping[str, Any]] = tomllib.loads((DEBIAN / "exercises.toml").read_text())
SECONDS = 300.0


@pytest.fixture(scope="session")
def places() -> Iterator[Callable[[int], Place]]:
    """Where lives are led, by the number of CPUs. kvm-amd is one that needs SVM."""
    with ExitStack() as stack:

        @cache
        def found(cpus: int) -> Place:
            return stack.enter_context(ready(find_setting("auto", machine=Machine(cpus=cpus))))

        yield found


@pytest.fixture(scope="session")
def session(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    return shared(tmp_path_factory.getbasetemp(), worker_id)


def source_of(package: str, session: Path) -> Path:
    """The source that a package of Debian brings for dkms, which is not asked to build it."""

    def make(into: Path) -> None:
        # apt's own user may not reach our folder.
        user = ["-o", "APT::Sandbox::User=root"] if os.getuid() == 0 else []
        subprocess.run(["apt-get", "-qq", *user, "download", package], cwd=into, check=True)
        (archive,) = into.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, into], check=True)

    (folder,) = made_once(session, package, make).glob("usr/src/*")
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


QUICK = ("brd", "kvm", "tun", "zram", "acpi-call-odd")
NAMED = [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in EXERCISES]


@pytest.mark.parametrize("name", NAMED)
def test_a_life_comes_to_what_is_known_of_it(
    name: str, places: Callable[[int], Place], session: Path
) -> None:
    about = EXERCISES[name]
    setting, source = places(about.get("cpus", Machine.cpus))
    if "package" in about and "cloud" in setting.image.release:
        pytest.skip(f"what it needs is a module in {about['package']} only")
    if "source" in about and not shutil.which("apt-get"):
        pytest.skip("its source is a package of Debian")
    check_whole(lead(setting, source, wish(name, session)), about.get("finds", []))

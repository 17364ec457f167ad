"""Which image guests boot: $FREEONCE_IMAGE, or the project's that we stand in, or the last made."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache as once
from pathlib import Path

from freeonce.errors import UsageError
from freeonce.given import given_text
from freeonce.project import cache, sources
from freeonce.project.crate import Crate, find_cargo
from freeonce.project.file import NAME, Project, find_project, load_project
from freeonce.project.image import PATH_VARIABLE, image_path
from freeonce.project.making import image_of

VARIANT = "scenarios.sh"
FAMILIES = "families.sh"
COMPILING = ("RUST_OPT", "RUST_LTO")
"""What images/rust-crate.sh takes from the environment."""


@once
def project() -> Project | None:
    """The project that we stand in. Raises UsageError when its file is wrong."""
    file = find_project(Path.cwd())
    return None if file is None else load_project(file)


def chosen_image(*, scenarios: bool, kernel: str | None = None) -> Path:
    """The manifest of the image. `scenarios`: whether guests need the project's own.

    `kernel`: of the project's kernels another than its first.

    Those are compiled when they are not what they were. Raises UsageError when they do not,
    HostError for want of a tool.
    """
    ours = project()
    if os.environ.get(PATH_VARIABLE) or ours is None:
        return image_path()
    return with_project(image_of(kernel or ours.kernels[0]), scenarios=scenarios)


def with_project(base: Path, *, scenarios: bool) -> Path:
    """An image with the families of the project that we stand in, its scenarios and its crate.

    As it is where it is not there, or there is no project. Otherwise as `chosen_image`.
    """
    ours = project()
    if ours is None:
        return base
    if base.exists() and ours.families:
        base = with_families(base, ours)
    if not (scenarios and base.exists() and (ours.scenarios or ours.crate)):
        return base
    return with_scenarios(base, ours.scenarios, crate_of(ours))


def crate_of(ours: Project) -> Crate | None:
    """The project's cargo package, if it has one. Raises HostError `no-cargo`, UsageError."""
    if ours.crate is None:
        return None
    if not (ours.crate / "Cargo.toml").is_file():
        raise UsageError(f"crate: {os.path.relpath(ours.crate)} has no Cargo.toml")
    return Crate(ours.crate.resolve(), ours.folder.resolve(), find_cargo())


def with_scenarios(base: Path, folder: Path | None, crate: Crate | None = None) -> Path:
    """An image like another with the scenarios of a folder, and of a crate.

    It is made once for all that went into it.
    """
    words = [given_text(base)]
    words += [str(folder.resolve()), sources.digest_of(folder)] if folder else ["", ""]
    words += [crate.digest()] if crate else [""]
    words += [os.environ.get(name, "") for name in COMPILING]
    return _made_once(words, lambda dest: _compile(base.parent, folder, crate, dest))


def with_families(base: Path, ours: Project) -> Path:
    """An image like another, whose instrument knows a project's own functions too."""
    words = [given_text(base), json.dumps(ours.families)]
    return _made_once(words, lambda dest: _instrument(base.parent, ours.folder / NAME, dest))


def _made_once(words: list[str], make: Callable[[Path], None]) -> Path:
    """The manifest of the image for all that went into it."""
    made = cache.projects() / sources.digest_of(words=tuple(words)) / cache.MANIFEST
    # One makes it; others wait, and find it.
    with cache.locked(cache.projects()):
        if not made.exists():
            make(made.parent)
            (made.parent / cache.SOURCES).write_text(sources.digest())
        os.utime(made.parent)
        cache.forget_projects()
    return made


def _instrument(base: Path, file: Path, dest: Path) -> None:
    shown = os.path.relpath(file)
    print(f"building the instrument with the families in {shown}", file=sys.stderr)
    recipe = sources.root() / "images" / FAMILIES
    toolchain = cache.builds() / "rust-toolchain.json"
    done = subprocess.run(
        [recipe, toolchain, base.resolve(), file, dest],
        env={**os.environ, "PYTHON": sys.executable},
        stdout=sys.stderr,
        check=False,
    )
    if done.returncode:
        raise UsageError(f"the instrument with the families in {shown} cannot be built; see above")


def _compile(base: Path, folder: Path | None, crate: Crate | None, dest: Path) -> None:
    recipe = sources.root() / "images" / VARIANT
    toolchain = cache.builds() / "rust-toolchain.json"
    what = (folder, crate and crate.folder)
    shown = " and ".join(os.path.relpath(one) for one in what if one)
    print(f"compiling the scenarios in {shown}", file=sys.stderr)
    command = [recipe, toolchain, base.resolve(), folder or "-", dest]
    environment = {**os.environ, "PYTHON": sys.executable}
    if crate is not None:
        command += [crate.folder, crate.project]
        environment["CARGO"] = str(crate.cargo)
    done = subprocess.run(command, env=environment, stdout=sys.stderr, check=False)
    if done.returncode:
        raise UsageError(f"the scenarios in {shown} do not compile; see above")

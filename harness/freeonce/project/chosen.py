"""Which image guests boot: $FREEONCE_IMAGE, or the project's that we stand in, or the last made."""

import os
import subprocess
import sys
from functools import cache as once
from pathlib import Path

from freeonce.errors import UsageError
from freeonce.project import cache, sources
from freeonce.project.file import SCENARIOS, Project, find_project, load_project
from freeonce.project.image import PATH_VARIABLE, image_path
from freeonce.project.making import image_of

VARIANT = "scenarios.sh"


@once
def project() -> Project | None:
    """The project that we stand in. Raises UsageError when its file is wrong."""
    file = find_project(Path.cwd())
    return None if file is None else load_project(file)


def chosen_image(*, scenarios: bool) -> Path:
    """The manifest of the image. `scenarios`: whether guests need the project's own.

    Those are compiled when they are not what they were. Raises UsageError when they do not.
    """
    ours = project()
    if os.environ.get(PATH_VARIABLE) or ours is None:
        return image_path()
    base = image_of(ours.kernels[0])
    if not scenarios or ours.scenarios is None or not base.exists():
        return base
    return with_scenarios(base, ours.scenarios)


def with_scenarios(base: Path, folder: Path) -> Path:
    """An image like another with the scenarios of a folder: made once for all that went into it."""
    files = [one for one in folder.iterdir() if one.suffix in (*SCENARIOS, ".h")]
    words = [base.read_text(), str(folder.resolve())]
    words += [f"{one.name}\0{one.read_text(errors='surrogateescape')}" for one in sorted(files)]
    made = cache.projects() / sources.digest_of(words=tuple(words)) / cache.MANIFEST
    # One makes it; others wait, and find it.
    with cache.locked(cache.projects()):
        if not made.exists():
            _compile(base.parent, folder, made.parent)
    return made


def _compile(base: Path, folder: Path, dest: Path) -> None:
    recipe = sources.root() / "images" / VARIANT
    toolchain = cache.builds() / "rust-toolchain.json"
    print(f"compiling the scenarios in {os.path.relpath(folder)}", file=sys.stderr)
    done = subprocess.run(
        [recipe, toolchain, base.resolve(), folder, dest],
        env={**os.environ, "PYTHON": sys.executable},
        stdout=sys.stderr,
        check=False,
    )
    if done.returncode:
        raise UsageError(f"the scenarios in {os.path.relpath(folder)} do not compile; see above")

"""Images made by the recipes in images/, and the system packages that these need."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from freeonce.errors import HostError
from freeonce.project import cache, sources

KERNEL = "cloud"
"""The distribution's cloud kernel: what guests boot when nothing else is asked for."""
MISSING = 3
"""What ci/install-deps ends with when something is missing."""


def need_packages(kernel: str, *, install: bool, crate: bool = False) -> None:
    """Look whether the system's packages are there that images are made with.

    `install`: those that are not are installed, by apt. `crate`: cargo is one of them. Raises
    HostError `missing-packages`; what to install is on stderr.
    """
    words = ["run"] if install else ["run", "--list"]
    command = [
        "env",
        *(["NEEDS_CARGO=1"] if crate else []),
        str(sources.root() / "ci/install-deps"),
    ]
    done = _run([*command, *words], kernel)
    if done:
        raise HostError(
            "missing-packages", "something that is needed to make images is not installed"
        )


def make_image(kernel: str, target: str = "image") -> Path:
    """The image of a kernel, made if it is missing or out of date: its manifest.

    `target`: `outer` for an outer machine of the KVM lane. What is made is told on stdout.
    Raises HostError `no-image`.
    """
    builds = cache.builds()
    builds.mkdir(mode=0o700, parents=True, exist_ok=True)
    recipes = [*_make(kernel), target]
    if _run(recipes, kernel):
        raise HostError("no-image", f"the image for the kernel {kernel} cannot be made; see above")
    return image_of(kernel).with_name("outer.json" if target == "outer" else cache.MANIFEST)


def image_of(kernel: str) -> Path:
    """Where the manifest of a kernel's image is, or will be."""
    asked = subprocess.run(
        [*_make(kernel), "name"],
        capture_output=True,
        text=True,
        env=_environment(kernel),
        check=True,
    )
    return cache.builds() / asked.stdout.strip() / cache.MANIFEST


def _make(kernel: str) -> list[str]:
    folder = str(sources.root() / "images")
    variables = [f"KERNEL={kernel}", f"PYTHON={sys.executable}", f"BUILD={cache.builds()}"]
    return ["make", "--no-print-directory", "-C", folder, *variables]


def _run(command: Sequence[str], kernel: str) -> int:
    try:
        return subprocess.run(command, env=_environment(kernel), check=False).returncode
    except OSError as error:
        message = f"{command[0]}: {error.strerror}; 'freeonce setup' says what to install"
        raise HostError("no-tool", message) from error


def _environment(kernel: str) -> dict[str, str]:
    """Ours, without what a make that called us wants of its own children."""
    theirs = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"}
    ours = {name: value for name, value in os.environ.items() if name not in theirs}
    return {**ours, "PYTHON": sys.executable, "KERNEL": kernel}

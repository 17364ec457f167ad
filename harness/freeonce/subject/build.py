"""A folder with a Kbuild file to modules, built against the image's headers in a scratch copy."""

import os
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from freeonce.deadline import patience
from freeonce.errors import HostError, Obstacle, SubjectError, UsageError
from freeonce.subject.places import USERS

SECONDS = 600.0
BUILT = ("*.o", "*.ko", "*.cmd", "*.mod", "*.mod.c", "modules.order", "Module.symvers", ".git")
"""What an earlier build left, for whichever kernel."""
WORDS = 20_000
"""Characters of a compiler's words that are shown."""
MAKES_OWN = re.compile(r"make(\[\d+\])?: \*\*\* ")


@dataclass(frozen=True)
class Headers:
    """What modules are built against. `source`: where `headers` were made of, None if the same.

    Unpacked packages: their Makefile names the place where they would be installed.
    """

    headers: Path
    source: Path | None = None

    @property
    def arguments(self) -> list[str]:
        """For make."""
        if self.source is None:
            return ["-C", str(self.headers)]
        return ["-C", str(self.source.resolve()), f"O={self.headers.resolve()}"]


@dataclass(frozen=True)
class Built:
    """The modules of a folder, and the compiler's warnings."""

    modules: tuple[Path, ...]
    warnings: tuple[str, ...]


def is_source(folder: Path) -> bool:
    """Whether kbuild can build it."""
    return any((folder / name).is_file() for name in ("Kbuild", "Makefile"))


def build(folder: Path, headers: Headers, scratch: Path) -> Built:
    """Build a copy of the folder in `scratch`, where its modules then are.

    Its debug info, and what the compiler says, name the user's own files. Raises
    SubjectError `does-not-build` with the compiler's words, UsageError for a folder
    without Kbuild and Makefile.
    """
    if not is_source(folder):
        raise UsageError(f"{folder} has neither Kbuild nor Makefile; give a module's folder")
    copy = _copy(folder, scratch)
    said = _make(copy, folder, headers)
    modules = tuple(sorted(copy.rglob("*.ko")))
    if not modules:
        message = f"{folder} builds, but makes no module: its Kbuild has no 'obj-m += NAME.o'"
        raise SubjectError(Obstacle.DOES_NOT_BUILD, message)
    return Built(modules, tuple(line for line in said.splitlines() if "warning:" in line.lower()))


def _copy(folder: Path, scratch: Path) -> Path:
    """A copy that has the same neighbours: a Kbuild may name files in `../`."""
    real = folder.resolve()
    copy = scratch / real.name
    for neighbour in real.parent.iterdir():
        if neighbour.name != real.name:
            (scratch / neighbour.name).symlink_to(neighbour)
    try:
        shutil.copytree(real, copy, symlinks=True, ignore=shutil.ignore_patterns(*BUILT))
    except shutil.Error as error:
        problems = "; ".join(sorted({str(why) for _, _, why in error.args[0]}))
        raise UsageError(f"cannot copy {folder}: {problems}") from error
    return copy


def _make(copy: Path, folder: Path, headers: Headers) -> str:
    """What make said, with the user's paths."""
    # A relative name in debug info would be taken from the kernel's folder.
    names = f"-fdebug-prefix-map={copy}={USERS}{folder} -fmacro-prefix-map={copy}={folder}"
    options = [f"M={copy}", "CONFIG_DEBUG_INFO_BTF_MODULES=", f"KCFLAGS=-g {names}"]
    argv = ["make", "-s", f"-j{len(os.sched_getaffinity(0))}", *headers.arguments, *options]
    try:
        status, words = run_make([*argv, "modules"], str(copy.parent), SECONDS * patience())
    except subprocess.TimeoutExpired as error:
        message = f"{folder}: its build took more than {SECONDS:g} s"
        raise SubjectError(Obstacle.DOES_NOT_BUILD, message) from error
    said = words.decode("utf-8", "replace").replace(str(copy), str(folder))
    if status:
        raise SubjectError(
            Obstacle.DOES_NOT_BUILD, f"{folder} does not build:\n{_reason(said)[-WORDS:]}"
        )
    return said


def run_make(argv: list[str], temporary: str, seconds: float) -> tuple[int, bytes]:
    """The exit status and all words of a make that leaves no children when it is broken off.

    `temporary`: a folder; what is killed leaves nothing elsewhere, and by this the folder's keeper
    knows what is ours. Raises HostError `no-tool`, TimeoutExpired.
    """
    # A make that called us has a job server that our own children cannot reach.
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFL"))}
    try:
        process = subprocess.Popen(
            argv,
            env={**ours, "LC_ALL": "C", "TMPDIR": temporary},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise HostError("no-tool", "make is not installed; run 'freeonce setup'") from error
    with process:
        try:
            said, _ = process.communicate(timeout=seconds)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, said


def _reason(said: str) -> str:
    """Without make's own last words, unless there are no others: they name the kernel's files."""
    others = [line for line in said.splitlines() if not MAKES_OWN.match(line)]
    return "\n".join(others).strip() or said

"""What is done to a loaded subject: scripts, programs and commands, with all that they need.

Everything lies in one folder of the guest, which is also where exercises run and first in
their PATH; libraries lie where the loader looks for them.
"""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from freeonce.errors import UsageError
from freeonce.given import given_bytes
from freeonce.guest.files import GuestFile
from freeonce.subject.tool import ToolFailed, run_tool

FOLDER = "/audit"
MOST_BYTES = 512 << 20
MOST_FILES = 1_000


@dataclass(frozen=True)
class Exercise:
    """One command of the guest's shell, and the name that reports call it by."""

    name: str
    command: str


def of_commands(commands: Iterable[str]) -> list[Exercise]:
    """An exercise for each `-c COMMAND`."""
    return [Exercise(command, command) for command in commands]


def of_files(paths: Iterable[Path]) -> tuple[list[Exercise], list[GuestFile]]:
    """An exercise for each file, and for each program of a folder by name, with the files.

    Raises UsageError for what is not there, or too much.
    """
    exercises: list[Exercise] = []
    files: list[GuestFile] = []
    for path in paths:
        top = f"{FOLDER}/{path.resolve().name}"
        if not path.is_dir():
            files.append(_carried(path, top, executable=True))
            exercises.append(Exercise(path.name, shlex.quote(top)))
            continue
        inside = [file for file in sorted(path.rglob("*")) if file.is_file()]
        files += [_carried(file, f"{top}/{file.relative_to(path)}") for file in inside]
        programs = [file for file in inside if file.parent == path and _is_program(file)]
        if not programs:
            raise UsageError(f"nothing in {path} is executable; 'chmod +x' the programs to run")
        exercises += [
            Exercise(f"{path.name}/{file.name}", shlex.quote(f"{top}/{file.name}"))
            for file in programs
        ]
    return exercises, files


def of_carried(arguments: Iterable[str]) -> list[GuestFile]:
    """The files of `--file HOST[:GUEST]`; without GUEST they lie beside the exercises."""
    files = []
    for argument in arguments:
        host, _, guest = argument.partition(":")
        if not host:
            raise UsageError(f"--file {argument!r}: no file of this machine is named")
        if guest and not guest.startswith("/"):
            raise UsageError(f"--file {argument}: {guest} is not the whole path in the guest")
        files.append(_carried(Path(host), guest or f"{FOLDER}/{Path(host).name}"))
    return files


def with_libraries(files: Iterable[GuestFile], sources: Iterable[Path]) -> list[GuestFile]:
    """The files, and the libraries that the programs among `sources` are linked with.

    Raises UsageError when it is too much for a guest.
    """
    by_path = {file.path: file for file in files}
    for library in libraries(sources):
        by_path.setdefault(str(library), _carried(library, str(library), executable=True))
    total = sum(len(file.data) for file in by_path.values())
    if total > MOST_BYTES or len(by_path) > MOST_FILES:
        message = f"{len(by_path)} files of {total >> 20} MiB are too much for a guest"
        raise UsageError(f"{message}: at most {MOST_FILES} of {MOST_BYTES >> 20} MiB")
    return list(by_path.values())


def sources_of(exercises: Iterable[Path], carried: Iterable[str]) -> Iterator[Path]:
    """The files of this machine that `of_files` and `of_carried` take, and folders of these."""
    yield from (Path(argument.partition(":")[0]) for argument in carried)
    for path in exercises:
        yield path
        yield from path.rglob("*")


def libraries(sources: Iterable[Path]) -> set[Path]:
    """What the programs among these are linked with. Raises UsageError for one that is missing."""
    return {library for source in sources for library in _libraries(source)}


def _carried(path: Path, guest: str, executable: bool = False) -> GuestFile:
    data = given_bytes(path)
    return GuestFile(guest, data, executable or _is_program(path))


def _is_program(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o111)


def _libraries(program: Path) -> Iterator[Path]:
    """What the loader would load. A script and a static program have none."""
    if not program.is_file() or not _is_program(program):
        return
    with program.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            return
    try:
        said = run_tool(["ldd", str(program)], package="libc-bin").decode("utf-8", "replace")
    except ToolFailed:
        return
    if missing := re.findall(r"(\S+) => not found", said):
        raise UsageError(f"{program} needs {', '.join(missing)}, which this machine does not have")
    yield from map(Path, re.findall(r"(/\S+) \(0x", said))

"""What is done to a loaded subject: scripts, programs and commands, with all that they need.

Everything lies in one folder of the guest, which is also where exercises run and first in
their PATH; libraries lie where the loader looks for them.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from freeonce.errors import UsageError
from freeonce.given import cannot_read, first_bytes
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
            files.append(_carried(path, top, files, executable=True))
            exercises.append(Exercise(path.name, shlex.quote(top)))
            continue
        inside = [file for file in sorted(path.rglob("*")) if file.is_file()]
        for file in inside:
            files.append(_carried(file, f"{top}/{file.relative_to(path)}", files))
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
    files: list[GuestFile] = []
    for argument in arguments:
        host, _, guest = argument.partition(":")
        if not host:
            raise UsageError(f"--file {argument!r}: no file of this machine is named")
        if guest and not guest.startswith("/"):
            raise UsageError(f"--file {argument}: {guest} is not the whole path in the guest")
        files.append(_carried(Path(host), guest or f"{FOLDER}/{Path(host).name}", files))
    return files


def with_libraries(files: Iterable[GuestFile], sources: Iterable[Path]) -> list[GuestFile]:
    """The files, and the libraries that the programs among `sources` are linked with.

    Raises UsageError when it is too much for a guest.
    """
    by_path = {file.path: file for file in files}
    for library in libraries(sources).difference(map(Path, by_path)):
        name = str(library)
        by_path[name] = _carried(library, name, list(by_path.values()), executable=True)
    if len(by_path) > MOST_FILES or _bytes_of(by_path.values()) > MOST_BYTES:
        raise _too_much()
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


def _carried(
    path: Path, guest: str, before: Sequence[GuestFile], executable: bool = False
) -> GuestFile:
    """One more, as far as there is room behind those of `before`."""
    left = MOST_BYTES - _bytes_of(before)
    data = first_bytes(path, left + 1)
    if len(data) > left or len(before) >= MOST_FILES:
        raise _too_much()
    try:
        return GuestFile(guest, data, executable or _is_program(path))
    except OSError as error:
        raise cannot_read(path, error) from error


def _bytes_of(files: Iterable[GuestFile]) -> int:
    return sum(len(file.data) for file in files)


def _too_much() -> UsageError:
    most = f"{MOST_FILES} files and {MOST_BYTES >> 20} MiB"
    return UsageError(f"the files are too much for a guest: it takes at most {most}")


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

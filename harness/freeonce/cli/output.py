"""Files that a verb writes: refused before the work when they could not be written after it."""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from freeonce.cli import streams
from freeonce.errors import HostError

STDOUT = Path("-")


def writable(file: Path) -> None:
    """Refuse before the run what could not be written after it."""
    # An attempt must not take a link for the file that it leads to.
    real = file.resolve()
    if not real.parent.is_dir():
        raise click.UsageError(f"cannot write {file}: there is no folder {real.parent}")
    there = real.exists()
    if there and not real.is_file():
        # A pipe's reader would take an attempt for the end.
        if real.is_dir() or not os.access(real, os.W_OK):
            raise click.UsageError(f"cannot write {file}: it is a folder, or you may not write it")
        return
    try:
        # Permissions do not tell all: not root's, and not those of every file system.
        real.open("ab").close()
    except OSError as error:
        raise click.UsageError(f"cannot write {file}: {error.strerror}") from error
    if not there:
        real.unlink()


def write(file: Path, text: str | bytes | Iterable[str]) -> None:
    """Write to a file, or to standard output for `-`. Raises HostError `cannot-write`.

    `text`: or its parts, asked for one by one. A file has all of it or is what it was.
    """
    parts = (text,) if isinstance(text, str | bytes) else text
    if file == STDOUT:
        with written_out():
            for part in parts:
                click.echo(part, nl=False)
        return
    try:
        _put(file.resolve(), (one.encode() if isinstance(one, str) else one for one in parts))
    except OSError as error:
        raise HostError("cannot-write", f"cannot write {file}: {error.strerror}") from error


def _put(file: Path, parts: Iterable[bytes]) -> None:
    """All of it by one rename, or what was there before: also when we are ended meanwhile."""
    if file.exists() and not file.is_file():
        # A pipe or a device: there is nothing to keep whole.
        with file.open("wb") as pipe:
            pipe.writelines(parts)
        return
    scratch = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        opened = scratch.open("wb")
    except PermissionError:
        # The file is ours to write and its folder is not: nothing of it before all is there.
        file.write_bytes(b"".join(parts))
        return
    try:
        with opened:
            opened.writelines(parts)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    if file.exists():
        shutil.copymode(file, scratch)
    scratch.rename(file)


@contextmanager
def written_out() -> Iterator[None]:
    """Raises HostError `cannot-write` when standard output is full or has no reader."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        streams.give_up()
        message = f"cannot write standard output: {error.strerror}"
        raise HostError("cannot-write", message) from error


class Out(Console):
    """A console of rich whose reader may leave: that is no verdict, as rich's status 1 would be.

    Words are printed as they are: `[bold]` and `:bomb:` in a name are no markup. In a file or a
    pipe no line ends in blanks, which rich leaves where it breaks one.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich's."""
        if self.is_terminal:
            super().print(*objects, **options)
            return
        with self.capture() as plain:
            super().print(*objects, **options)
        said = re.sub(r" +$", "", plain.get(), flags=re.MULTILINE)
        super().print(Text(said), soft_wrap=True, end="")

    def on_broken_pipe(self) -> None:
        """Raises HostError `cannot-write`."""
        streams.give_up()
        raise HostError("cannot-write", "the reader of the output is gone")

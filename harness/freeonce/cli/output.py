"""Files that a verb writes: refused before the work when they could not be written after it."""

import os
from pathlib import Path

import click

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
            raise click.UsageError(f"cannot write {file}: it is a folder, or not ours to write")
        return
    try:
        # Permissions do not tell all: not root's, and not those of every file system.
        real.open("ab").close()
    except OSError as error:
        raise click.UsageError(f"cannot write {file}: {error.strerror}") from error
    if not there:
        real.unlink()


def write(file: Path, text: str | bytes) -> None:
    """Write to a file, or to standard output for `-`. Raises HostError `cannot-write`."""
    if file == STDOUT:
        click.echo(text, nl=False)
        return
    try:
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    except OSError as error:
        raise HostError("cannot-write", f"cannot write {file}: {error.strerror}") from error

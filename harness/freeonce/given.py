"""Files that a user names: of bounded size, since any may have no end, as /dev/zero has none.

A pipe that nobody writes to is waited for, as cat(1) waits: `<(command)` in a shell is one.
"""

import hashlib
from pathlib import Path

from freeonce.errors import UsageError

MOST_TEXT = 64 << 20
"""Bytes that a text may have."""
MOST_BYTES = 512 << 20
"""Bytes that any other file may have that is held in memory."""
PIECE = 1 << 20


def given_text(file: Path) -> str:
    """All of a text in UTF-8. Raises UsageError when it cannot be read, or is too large."""
    data = given_bytes(file, MOST_TEXT)
    try:
        # As Path.read_text() has it.
        return data.decode().replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise cannot_read(file, error) from error


def given_bytes(file: Path, most: int | None = None) -> bytes:
    """All of a file. Raises UsageError when it cannot be read, or has more than `most` bytes."""
    most = MOST_BYTES if most is None else most
    data = first_bytes(file, most + 1)
    if len(data) > most:
        raise UsageError(f"{file} is larger than {most >> 20} MiB")
    return data


def first_bytes(file: Path, most: int) -> bytes:
    """At most so many. Raises UsageError when it cannot be read."""
    data = bytearray()
    try:
        with file.open("rb") as opened:
            # In pieces: who asks for many bytes at once is given room for all of them.
            while piece := opened.read(min(PIECE, most - len(data))):
                data += piece
    except (OSError, ValueError) as error:
        raise cannot_read(file, error) from error
    return bytes(data)


def digest_of_file(file: Path) -> bytes:
    """SHA-256 of a regular file, however large. Raises UsageError for any other."""
    try:
        if file.exists() and not file.is_file():
            raise UsageError(f"{file} is no regular file")
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").digest()
    except (OSError, ValueError) as error:
        raise cannot_read(file, error) from error


def cannot_read(file: Path, error: Exception) -> UsageError:
    """Why, in the system's words. (ValueError: it is no UTF-8, or has a null byte in its name.)"""
    which = getattr(error, "filename", None) or file
    return UsageError(f"cannot read {str(which)!r}: {getattr(error, 'strerror', None) or error}")

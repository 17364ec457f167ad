"""Files that a user names: read within a bound, since any may be endless, as /dev/zero is."""

from pathlib import Path

from freeonce.errors import UsageError

MOST_TEXT = 64 << 20
"""Characters that a file of text may have."""
MOST_BYTES = 512 << 20
"""Bytes that any other file may have."""


def given_text(file: Path) -> str:
    """All of a text in UTF-8. Raises UsageError when it cannot be read, or is too large."""
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(MOST_TEXT + 1)
    except (OSError, ValueError) as error:
        raise cannot_read(file, error) from error
    if len(text) > MOST_TEXT:
        raise UsageError(f"{file} has more than {MOST_TEXT >> 20} million characters")
    return text


def given_bytes(file: Path) -> bytes:
    """All of a file. Raises UsageError when it cannot be read, or is too large."""
    data = first_bytes(file, MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UsageError(f"{file} has more than {MOST_BYTES >> 20} MiB")
    return data


def first_bytes(file: Path, most: int) -> bytes:
    """At most so many. Raises UsageError when it cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(most)
    except (OSError, ValueError) as error:
        raise cannot_read(file, error) from error


def cannot_read(file: Path, error: Exception) -> UsageError:
    """Why, in the system's words. (ValueError: it is no UTF-8, or has a null byte in its name.)"""
    return UsageError(f"cannot read {str(file)!r}: {getattr(error, 'strerror', None) or error}")

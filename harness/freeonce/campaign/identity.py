"""What makes two hosts' results comparable: digests of the harness and of files."""

import hashlib
import os
from functools import cache
from pathlib import Path

import freeonce
from freeonce.errors import UsageError

PACKAGE = Path(freeonce.__file__).parent


@cache
def harness() -> str:
    """Version and SHA-256 of this harness's own source: two that differ may judge otherwise."""
    digest = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.py")):
        digest.update(str(file.relative_to(PACKAGE)).encode() + b"\0" + file.read_bytes())
    return f"{freeonce.__version__}+{digest.hexdigest()[:16]}"


def file_digest(path: Path) -> str:
    """SHA-256 of a file, or of all files in a folder with their names: and which may be executed.

    Raises UsageError when there is none.
    """
    digest = hashlib.sha256()
    try:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() or file == path:
                name = str(file.relative_to(path)).encode()
                runs = b"x" if os.access(file, os.X_OK) else b"-"
                digest.update(name + b"\0" + runs + hashlib.sha256(file.read_bytes()).digest())
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {str(path)!r}: {error}") from error
    return digest.hexdigest()

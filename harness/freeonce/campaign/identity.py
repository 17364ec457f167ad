"""What makes two hosts' results comparable: digests of the harness and of files."""

import hashlib
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
    """SHA-256 of a file, or of all files in a folder with their names.

    Raises UsageError when there is none.
    """
    digest = hashlib.sha256()
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    try:
        for file in files:
            if file.is_file() or file == path:
                name = str(file.relative_to(path)).encode()
                digest.update(name + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from error
    return digest.hexdigest()

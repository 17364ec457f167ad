"""Files for a guest: one archive of them all, unpacked there by one command."""

import gzip
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field

from freeonce.errors import CommandFailed
from freeonce.guest.guest import COMMAND_SECONDS, Guest

BYTES_A_SECOND = 1 << 20
"""What SSH to an emulated guest carries at the very least."""
UNPACK = "set -o pipefail; tar -x -z -v -C / -f - | wc -l"
"""tar names a file before it writes it: a count alone does not say that the last one is whole."""


@dataclass(frozen=True)
class GuestFile:
    """A file and where it goes. `path`: absolute, in the guest."""

    path: str
    data: bytes = field(repr=False)
    executable: bool = False


def send(guest: Guest, files: Iterable[GuestFile]) -> None:
    """Write the files; a file that is there is replaced, not written over: somebody may run it.

    Raises CommandFailed when not all of them arrive.
    """
    everything = list(files)
    archive = packed(everything)
    seconds = COMMAND_SECONDS + len(archive) / BYTES_A_SECOND
    said = guest.command(UNPACK, seconds, archive)
    if said.strip() != b"%d" % len(everything):
        message = f"{len(everything)} files were sent to the guest, and it has {said[:20]!r}"
        raise CommandFailed(message)


def packed(files: Iterable[GuestFile]) -> bytes:
    """An archive of the files, compressed: to decrypt a byte costs an emulated guest more. Pure."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in files:
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.size = len(file.data)
            entry.mode = 0o755 if file.executable else 0o644
            archive.addfile(entry, io.BytesIO(file.data))
    return gzip.compress(out.getvalue(), compresslevel=1, mtime=0)

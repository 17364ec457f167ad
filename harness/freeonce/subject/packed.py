"""Module files as distributions ship them: .ko, .ko.xz, .ko.zst, .ko.gz, each within a bound."""

import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

from freeonce.errors import Obstacle, SubjectError
from freeonce.given import first_bytes
from freeonce.subject.tool import ToolFailed, TooMuch, run_tool

LIMIT = 256 << 20
"""Bytes that a module may have, packed and unpacked."""
XZ_MEMORY = 256 << 20
ENDINGS = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")


def read_packed(path: Path, limit: int = LIMIT) -> bytes:
    """The module's own bytes. Its first bytes tell how it is packed, not its name.

    Raises SubjectError `too-big`, `damaged`, UsageError for a file that we may not read,
    and HostError `no-tool` for want of zstd.
    """
    data = first_bytes(path, limit + 1)
    unpack = next((one for magic, one in UNPACKERS.items() if data.startswith(magic)), None)
    try:
        data = unpack(data, limit) if unpack and len(data) <= limit else data
    except TooMuch:
        data = bytes(limit + 1)
    except (lzma.LZMAError, zlib.error, EOFError, ToolFailed) as error:
        raise SubjectError(Obstacle.DAMAGED, f"{path} cannot be unpacked: {error}") from error
    if len(data) > limit:
        message = f"{path} has more than {limit >> 20} MiB; 'strip -g' takes its debug info away"
        raise SubjectError(Obstacle.TOO_BIG, message)
    return data


def _xz(data: bytes, limit: int) -> bytes:
    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY)
    return _whole(stream.decompress(data, limit + 1), stream.eof, limit)


def _gzip(data: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    return _whole(stream.decompress(data, limit + 1), stream.eof, limit)


def _whole(unpacked: bytes, ended: bool, limit: int) -> bytes:
    if not ended and len(unpacked) <= limit:
        raise EOFError("it ends too early")
    return unpacked


def _zstd(data: bytes, limit: int) -> bytes:
    return run_tool(["zstd", "-dcq"], data, package="zstd", output=limit + 1)


UNPACKERS: dict[bytes, Callable[[bytes, int], bytes]] = {
    b"\xfd7zXZ\0": _xz,
    b"\x1f\x8b": _gzip,
    b"\x28\xb5\x2f\xfd": _zstd,
}

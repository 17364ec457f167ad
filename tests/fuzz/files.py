"""A subject's file: the module's ELF, packed and not, led to the wrappers; and page tables."""

import lzma
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from freeonce.errors import SubjectError
from freeonce.evidence.ledger import RECORD_BYTES
from freeonce.evidence.paging import translate
from freeonce.evidence.snapshot import Extent, Snapshot
from freeonce.report.inspect import hex_lines, vmcb_lines
from freeonce.subject.families import Wrapper
from freeonce.subject.module import check_release, parse_module
from freeonce.subject.packed import _gzip, _xz
from freeonce.subject.redirect import redirect

LIMIT = 1 << 20
WRAPPERS = {
    name: Wrapper(number, name, f"freeonce_wrap_{name}", number, "slab", "acquire")
    for number, name in enumerate(("kmalloc_trace", "kfree", "kmem_cache_create"))
}


def module(data: bytes) -> None:
    """An ELF file from elsewhere."""
    try:
        read = parse_module(data, Path("sample.ko"))
        read.text_sections()
        done = redirect(read, WRAPPERS)
        assert len(done.data) < 4 * len(data) + LIMIT
        check_release(read, "6.1.0-test")
    except SubjectError:
        return


def packed(data: bytes) -> None:
    """The same as distributions pack it, within a bound."""
    for unpack in (_xz, _gzip):
        with suppress(lzma.LZMAError, zlib.error, EOFError):
            assert len(unpack(data, LIMIT)) <= LIMIT + 1


def tables(data: bytes) -> None:
    """Page tables that the guest wrote, and pages shown as they are."""
    root = int.from_bytes(data[:8], "little")
    gvas = [int.from_bytes(data[at : at + 8], "little") for at in range(8, 72, 8)]
    pages = data[72:]
    reads = 0

    def read(_: Sequence[Extent]) -> Snapshot:
        nonlocal reads
        reads += 1
        at = int.from_bytes(data[:4], "little") & ~0xFFF
        return Snapshot([(at, pages)])

    for levels in (4, 5):
        found = translate(gvas, root, levels, read)
        assert set(found) == set(gvas)
    assert reads == 9
    list(hex_lines(root, pages[: 4 * RECORD_BYTES]))
    list(vmcb_lines(root, pages[:4096].ljust(4096, b"\0")))

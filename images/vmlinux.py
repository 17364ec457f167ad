#!/usr/bin/env python3
"""Unpack the vmlinux of a bzImage when QEMU can boot it by PVH, else keep the bzImage.

Usage: vmlinux.py BZIMAGE DEST

An unpacked kernel saves the guest the unpacking, which costs seconds under TCG.
Sources: Documentation/arch/x86/boot.rst (payload_offset, payload_length), the Xen
ELF note XEN_ELFNOTE_PHYS32_ENTRY that QEMU looks for.
"""

import bz2
import lzma
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

XEN_ELFNOTE_PHYS32_ENTRY = 18
PT_NOTE = 4


def by_command(*command: str) -> Callable[[bytes], bytes]:
    def unpack(packed: bytes) -> bytes:
        # Its exit status tells nothing: the size behind the data reads as trailing garbage.
        return subprocess.run(command, input=packed, capture_output=True, check=False).stdout

    return unpack


UNPACK: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": lambda packed: zlib.decompressobj(wbits=31).decompress(packed),
    b"BZh": lambda packed: bz2.BZ2Decompressor().decompress(packed),
    b"\xfd7zXZ": lambda packed: lzma.LZMADecompressor().decompress(packed),
    b"\x5d\x00\x00": lambda packed: lzma.LZMADecompressor().decompress(packed),
    b"\x02\x21\x4c\x18": by_command("lz4", "-d", "-c", "-q"),
    b"\x28\xb5\x2f\xfd": by_command("zstd", "-d", "-c", "-q"),
}


def payload(bzimage: bytes) -> bytes:
    """The packed kernel inside a bzImage. Raises ValueError when it is none."""
    if bzimage[0x202:0x206] != b"HdrS":
        raise ValueError("not a bzImage: no HdrS at offset 0x202")
    setup_sectors = bzimage[0x1F1] or 4
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    return bzimage[start : start + length]


def unpack(packed: bytes) -> bytes | None:
    """The ELF file in it; None when its packing is unknown or its tool is missing.

    Whole or not at all: the payload's last four bytes are the unpacked size.
    """
    (size,) = struct.unpack("<I", packed[-4:])
    for magic, function in UNPACK.items():
        if packed.startswith(magic):
            try:
                unpacked = function(packed)
            except (OSError, EOFError, zlib.error, lzma.LZMAError):
                return None
            whole = len(unpacked) == size and unpacked.startswith(b"\x7fELF\x02\x01")
            return unpacked if whole else None
    return None


def has_pvh(elf: bytes) -> bool:
    """Whether a 64-bit ELF file has the note with the PVH entry point."""
    (table,) = struct.unpack_from("<Q", elf, 0x20)
    size, count = struct.unpack_from("<HH", elf, 0x36)
    for index in range(count):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", elf, table + index * size)
        end = offset + length
        while kind == PT_NOTE and offset + 12 <= end:
            name, described, note = struct.unpack_from("<III", elf, offset)
            if note == XEN_ELFNOTE_PHYS32_ENTRY and elf[offset + 12 : offset + 15] == b"Xen":
                return True
            offset += 12 + (name + 3 & ~3) + (described + 3 & ~3)
    return False


def main(source: str, destination: str) -> None:
    bzimage = Path(source).read_bytes()
    elf = unpack(payload(bzimage))
    scratch = Path(f"{destination}.{os.getpid()}")
    try:
        scratch.write_bytes(elf if elf is not None and has_pvh(elf) else bzimage)
        scratch.rename(destination)
    finally:
        scratch.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError, struct.error) as error:
        sys.exit(f"vmlinux.py: {sys.argv[1]}: {error}")

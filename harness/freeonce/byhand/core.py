"""A core file of a guest: QEMU's ELF of its memory, with the kernel's VMCOREINFO as a note.

QEMU writes that note itself only for a guest with a device for it, and drgn opens no core of a
kernel without it. The kernel keeps it ready in its memory as an ELF note
(Documentation/ABI/testing/sysfs-kernel-vmcoreinfo).
"""

import os
import struct
from contextlib import suppress
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from freeonce.errors import EvidenceError, HostError
from freeonce.evidence.snapshot import Extent
from freeonce.guest import Guest

WHERE = "cat /sys/kernel/vmcoreinfo"
NAME = b"VMCOREINFO\0"
NOTE = struct.Struct("<III")
MAX_NOTE = 64 << 10

# ELF-64 program header (System V ABI): type, flags, offset, vaddr, paddr, filesz, memsz, align.
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")


def vmcoreinfo_at(said: bytes) -> Extent:
    """Where the note lies: "ADDRESS SIZE" as the guest says, hexadecimal. Raises EvidenceError."""
    try:
        gpa, size = (int(word, 16) for word in said.split())
    except ValueError:
        raise EvidenceError("the guest's kernel does not say where its VMCOREINFO is") from None
    if not NOTE.size < size <= MAX_NOTE:
        raise EvidenceError(f"the guest's VMCOREINFO would be {size} bytes")
    return Extent(gpa, size)


def trimmed(note: bytes) -> bytes:
    """The ELF note without what stands behind it. Raises EvidenceError when it is none."""
    name_bytes, bytes_, _ = NOTE.unpack_from(note)
    start = NOTE.size + len(NAME) + (-len(NAME) % 4)
    if name_bytes != len(NAME) or note[NOTE.size : NOTE.size + len(NAME)] != NAME:
        raise EvidenceError("the guest's VMCOREINFO is not valid")
    if start + bytes_ > len(note):
        raise EvidenceError("the guest's VMCOREINFO is cut off")
    return note[: start + bytes_] + bytes(-bytes_ % 4)


def read_vmcoreinfo(guest: Guest) -> bytes:
    """The kernel's note, from memory. Raises EvidenceError, CommandFailed or GuestLost."""
    where = vmcoreinfo_at(guest.command(WHERE))
    note = guest.look([where]).read(where.gpa, where.size)
    if note is None:
        raise EvidenceError("the guest's VMCOREINFO lies outside of its memory")
    return trimmed(note)


def add_note(core: Path, note: bytes) -> None:
    """Put a note behind those that an ELF core has, which move to its end.

    Raises HostError `no-core` when it is no such file.
    """
    with core.open("r+b") as file:
        try:
            elf = ELFFile(file)
            types = [segment["p_type"] for segment in elf.iter_segments()]
            index = types.index("PT_NOTE")
            notes = elf.get_segment(index).data() + note
            place = elf["e_phoff"] + index * elf["e_phentsize"]
        except (ELFError, ValueError) as error:
            raise HostError("no-core", f"{core} is no ELF core with notes: {error}") from error
        end = file.seek(0, 2)
        offset = end + -end % 4
        file.write(bytes(offset - end) + notes)
        file.seek(place)
        file.write(PROGRAM_HEADER.pack(4, 0, offset, 0, 0, len(notes), len(notes), 0))


def write_core(guest: Guest, note: bytes, file: Path) -> None:
    """Write the guest's whole memory and registers to `file`, by one rename.

    On an error the file is what it was before. Raises HostError `cannot-write` when QEMU cannot
    write it, GuestLost when QEMU is gone.
    """
    real = file.resolve()
    if real.exists() and not real.is_file():
        raise HostError("cannot-write", f"cannot write {file}: a core needs a regular file")
    scratch = real.with_name(f".{real.name}.{os.getpid()}.new")
    try:
        _dump(guest, scratch, file)
        add_note(scratch, note)
        scratch.rename(real)
    except OSError as error:
        raise HostError("cannot-write", f"cannot write {file}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            scratch.unlink()


def _dump(guest: Guest, scratch: Path, file: Path) -> None:
    arguments = {"paging": False, "protocol": f"file:{scratch}"}
    answer = guest.monitor.answer({"execute": "dump-guest-memory", "arguments": arguments})
    if "error" in answer:
        error = answer["error"]
        said = error.get("desc", error) if isinstance(error, dict) else error
        raise HostError("cannot-write", f"QEMU cannot write {file}: {said}")
    guest.process.check()

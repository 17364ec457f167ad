"""The VMCOREINFO note of a core: from a hostile guest, and into QEMU's ELF."""

import os
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import NoteSegment

from freeonce.byhand.core import add_note, trimmed, vmcoreinfo_at, write_core
from freeonce.errors import EvidenceError, HostError
from freeonce.evidence.snapshot import Extent
from freeonce.guest import Guest

# Documentation/ABI/testing/sysfs-kernel-vmcoreinfo: an ELF note.
NOTE = struct.pack("<III", 11, 5, 0) + b"VMCOREINFO\0\0" + b"A=1\nB" + bytes(3)


def test_the_guest_says_where_the_note_is() -> None:
    assert vmcoreinfo_at(b"0x0000000003de8000 1024\n") == Extent(0x3DE8000, 0x1024)


@pytest.mark.parametrize("said", [b"", b"0x1000", b"x y", b"0x1000 0", b"0x1000 fffffff", b"1 2 3"])
def test_a_guest_that_says_something_else_is_not_believed(said: bytes) -> None:
    with pytest.raises(EvidenceError):
        vmcoreinfo_at(said)


def test_a_note_ends_where_it_says() -> None:
    assert trimmed(NOTE + bytes(100)) == NOTE


@pytest.mark.parametrize(
    "note",
    [
        bytes(100),
        NOTE.replace(b"VMCOREINFO", b"vmcoreinfo"),
        struct.pack("<III", 11, 1 << 30, 0) + NOTE[12:],
        struct.pack("<III", 12, 5, 0) + NOTE[12:],
        NOTE[:20],
    ],
)
def test_what_is_no_note_is_refused(note: bytes) -> None:
    with pytest.raises(EvidenceError):
        trimmed(note)


def core_of(notes: bytes) -> bytes:
    """A little-endian ELF-64 core (System V ABI) with one PT_NOTE and nothing else."""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    program = struct.pack("<IIQQQQQQ", 4, 0, 120, 0, 0, len(notes), len(notes), 0)
    return header + program + notes


def test_the_note_joins_those_that_a_core_has(tmp_path: Path) -> None:
    first = struct.pack("<III", 5, 4, 9) + b"OTHER\0\0\0" + b"data"
    core = tmp_path / "core"
    # What follows makes the end of the file unaligned.
    core.write_bytes(core_of(first) + b"x")
    add_note(core, NOTE)
    with core.open("rb") as file:
        segment = ELFFile(file).get_segment(0)
        assert isinstance(segment, NoteSegment)
        assert segment["p_offset"] % 4 == 0
        assert segment.data() == first + NOTE
        names = [note["n_name"] for note in segment.iter_notes()]
    assert names == ["OTHER", "VMCOREINFO"]


def test_a_file_that_is_no_core_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "core"
    file.write_bytes(b"no core")
    with pytest.raises(HostError, match="no ELF core"):
        add_note(file, NOTE)


def dumping(answer: dict[str, Any], data: bytes) -> Guest:
    """A guest whose QEMU writes this, and then answers so."""

    def answered(command: dict[str, Any]) -> dict[str, Any]:
        Path(command["arguments"]["protocol"].removeprefix("file:")).write_bytes(data)
        return answer

    monitor, process = SimpleNamespace(answer=answered), SimpleNamespace(check=lambda: None)
    return cast(Guest, SimpleNamespace(monitor=monitor, process=process))


REFUSED = {"error": {"class": "GenericError", "desc": "dump: no space"}}


@pytest.mark.parametrize("before", [None, b"an earlier core"])
def test_a_dump_that_fails_leaves_what_was_there(tmp_path: Path, before: bytes | None) -> None:
    core = tmp_path / "core"
    if before is not None:
        core.write_bytes(before)
    with pytest.raises(HostError, match=r"QEMU cannot write .*core: dump: no space$"):
        write_core(dumping(REFUSED, b"half"), NOTE, core)
    with pytest.raises(HostError, match="no ELF core"):
        write_core(dumping({}, b"no core"), NOTE, core)
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [before] * (before is not None)
    write_core(dumping({}, core_of(b"")), NOTE, core)
    assert [one.name for one in tmp_path.iterdir()] == ["core"]
    assert core.read_bytes() != before


def test_what_is_no_regular_file_is_left_alone(tmp_path: Path) -> None:
    """A device, as /dev/full is one, would be removed when the dump fails."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(HostError, match="regular file"):
        write_core(dumping(REFUSED, b""), NOTE, pipe)
    assert pipe.is_fifo()

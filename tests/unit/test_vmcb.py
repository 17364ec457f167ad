"""Where a VMCB's fields stand: AMD manual volume 2, appendix B, and what the guest itself uses."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from freeonce.evidence.exits import exit_name
from freeonce.evidence.vmcb import CONTROL_AREA, FIELDS, STATE_SAVE_AREA, VMCB_BYTES, Field

ROOT = Path(__file__).resolve().parents[2]
C_HEADER = (ROOT / "guest/instrument/cpu/vmcb.h").read_text()
RUST = (ROOT / "guest/rust/src/svm/vmcb.rs").read_text()
RUST_BYTES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "Segment": 16}
PLACES = {field.name: (field.offset, field.size) for field in FIELDS}
OFFSETS = {field.name.removesuffix(".selector"): field.offset for field in FIELDS}

# What Rust has no field for, by the manual: in the state save area counted from its begin on.
CONTROL_OF_MANUAL = {
    "intercept_5": (0x14, 4),
    "pause_filter_threshold": (0x3C, 2),
    "pause_filter_count": (0x3E, 2),
    "avic_apic_bar": (0x98, 8),
    "ghcb": (0xA0, 8),
    "lbr_virtualization": (0xB8, 8),
    "clean_bits": (0xC0, 4),
    "next_rip": (0xC8, 8),
    "fetched_bytes": (0xD0, 1),
    "instruction_bytes": (0xD1, 15),
    "avic_backing_page": (0xE0, 8),
    "avic_logical_table": (0xF0, 8),
    "avic_physical_table": (0xF8, 8),
    "vmsa": (0x108, 8),
}
STATE_OF_MANUAL = {
    **{"s_cet": 0x1E0, "ssp": 0x1E8, "isst_addr": 0x1F0},
    **{"star": 0x200, "lstar": 0x208, "cstar": 0x210, "sfmask": 0x218, "kernel_gs_base": 0x220},
    **{"sysenter_cs": 0x228, "sysenter_esp": 0x230, "sysenter_eip": 0x238, "cr2": 0x240},
    **{"dbgctl": 0x270, "br_from": 0x278, "br_to": 0x280},
    **{"last_excp_from": 0x288, "last_excp_to": 0x290},
}


@pytest.mark.parametrize(
    ("number", "segment"),
    list(enumerate(("es", "cs", "ss", "ds", "fs", "gs", "gdtr", "ldtr", "idtr", "tr"))),
)
def test_segments_follow_each_other_by_16_bytes(number: int, segment: str) -> None:
    found = {name: place for name, place in PLACES.items() if name.startswith(f"{segment}.")}
    start = 0x400 + 16 * number
    # Selector, attributes, limit, base.
    assert sorted(found.values()) == [(start, 2), (start + 2, 2), (start + 4, 4), (start + 8, 8)]


def c_offsets() -> list[tuple[str, int]]:
    found = re.findall(r"#define VMCB_(\w+) (0x[0-9a-f]+)$", C_HEADER, re.MULTILINE)
    return [(name.lower(), int(offset, 16)) for name, offset in found]


def rust_layout() -> list[tuple[str, int, int]]:
    """Name, offset and size of each field of `Vmcb`, which is repr(C) and has no holes."""
    body = RUST.split("pub struct Vmcb {")[1].split("\n}")[0]
    at, found = 0, []
    for name, kind in re.findall(r"(\w+): (\[u8; \w+\]|\w+),", body):
        array = re.fullmatch(r"\[u8; (\w+)\]", kind)
        size = int(array[1], 0) if array else RUST_BYTES[kind]
        found.append((name, at, size))
        at += size
    assert at == VMCB_BYTES
    return [one for one in found if not one[0].startswith("_reserved")]


def test_the_offsets_are_those_of_the_c_header() -> None:
    wanted = c_offsets()
    assert len(wanted) > 25
    assert [(name, OFFSETS.get(name)) for name, _ in wanted] == wanted


def test_offsets_and_sizes_are_those_of_the_rust_type() -> None:
    wanted = rust_layout()
    assert len(wanted) > 30
    for name, offset, size in wanted:
        assert OFFSETS.get(name) == offset, name
        if name in PLACES:
            assert PLACES[name][1] == size, name


def test_what_rust_does_not_use_stands_where_the_manual_says() -> None:
    of_rust = {name for name, *_ in rust_layout()}
    in_control = {name: PLACES[name] for name in CONTROL_OF_MANUAL}
    in_state = {name: PLACES[name] for name in STATE_OF_MANUAL}
    assert in_control == CONTROL_OF_MANUAL
    assert in_state == {name: (0x400 + at, 8) for name, at in STATE_OF_MANUAL.items()}
    told = {name.partition(".")[0] for name in PLACES}
    assert told == of_rust | CONTROL_OF_MANUAL.keys() | STATE_OF_MANUAL.keys()


def test_a_field_is_its_bytes_little_endian() -> None:
    assert Field("some", 2, 3).value(bytes(range(8))) == 0x040302


def test_no_two_fields_share_a_byte() -> None:
    for one, other in pairwise(sorted(FIELDS, key=lambda field: field.offset)):
        assert one.offset + one.size <= other.offset, (one.name, other.name)


def test_the_state_begins_behind_the_control_area() -> None:
    assert max(field.offset + field.size for field in CONTROL_AREA) <= 0x400
    assert min(field.offset for field in STATE_SAVE_AREA) == 0x400


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0x00, "VMEXIT_CR0_READ"),
        (0x04, "VMEXIT_CR4_READ"),
        (0x13, "VMEXIT_CR3_WRITE"),
        (0x27, "VMEXIT_DR7_READ"),
        (0x72, "VMEXIT_CPUID"),
        (0x400, "VMEXIT_NPF"),
        (0x410, "0x410"),
    ],
)
def test_an_exit_has_the_number_of_its_register(code: int, name: str) -> None:
    """Appendix C."""
    assert exit_name(code) == name


def test_a_vmexit_has_the_name_of_its_low_half() -> None:
    assert exit_name(0xFFFFFFFFFFFFFFFF) == exit_name(0xFFFFFFFF) == "VMEXIT_INVALID"

"""LEDGER.md, the C header, the Rust side and the numpy types say the same."""

import re
import subprocess
from enum import IntEnum
from pathlib import Path

import numpy as np
import pytest

from freeonce.evidence import ledger

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "guest/LEDGER.md").read_text()
C_HEADER = ROOT / "guest/instrument/ledger/format.h"
HEADERS = "".join(path.read_text() for path in (ROOT / "guest/instrument").rglob("*.h"))

WIDTHS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading of LEDGER.md."""
    section = DOCUMENT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def fields(heading: str) -> dict[str, tuple[int, int]]:
    """Offset and width in bytes by field name."""
    return {
        name: (int(offset), WIDTHS.get(kind) or int(kind.split()[0]))
        for name, offset, kind, _ in table(heading)
    }


def said_by_c(tmp_path: Path, statements: str) -> bytes:
    """What C prints that has the header."""
    source = tmp_path / "format.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdio.h>\n"
        f'#include "{C_HEADER}"\nint main(void) {{ {statements} return 0; }}\n'
    )
    program = tmp_path / "format"
    subprocess.run(["gcc", "-o", program, source], check=True)
    return subprocess.run([program], check=True, capture_output=True).stdout


def from_c(tmp_path: Path, lines: list[str]) -> dict[str, int]:
    """Values of C expressions over the header, by name."""
    prints = "\n".join(
        f'printf("{name} %lu\\n", (unsigned long)({text}));'
        for name, text in (line.split("=", 1) for line in lines)
    )
    said = said_by_c(tmp_path, prints).decode()
    return {name: int(value) for name, value in (line.split() for line in said.splitlines())}


@pytest.mark.parametrize(
    ("heading", "struct", "dtype"),
    [("Header", "ledger_header", ledger.HEADER), ("Record", "ledger_record", ledger.RECORD)],
)
def test_layouts_agree(
    heading: str, struct: str, dtype: "np.dtype[np.void]", tmp_path: Path
) -> None:
    documented = fields(heading)
    assert dtype.fields is not None
    ours = {name: (value[1], value[0].itemsize) for name, value in dtype.fields.items()}
    assert ours == documented
    in_c = from_c(
        tmp_path,
        [f"{name}.offset=offsetof(struct {struct}, {name})" for name in documented]
        + [f"{name}.width=sizeof(((struct {struct} *)0)->{name})" for name in documented],
    )
    assert {name: (in_c[f"{name}.offset"], in_c[f"{name}.width"]) for name in documented} == (
        documented
    )


def test_record_is_64_bytes() -> None:
    assert ledger.RECORD.itemsize == ledger.RECORD_BYTES == 64


def test_types_agree(tmp_path: Path) -> None:
    documented = {name.upper(): int(number) for name, number, _ in table("Types")}
    assert {member.name: member.value for member in ledger.Type} == documented
    assert from_c(tmp_path, [f"{name}=LEDGER_{name}" for name in documented]) == documented


def test_families_agree(tmp_path: Path) -> None:
    documented = {name.upper(): int(number) for name, number, _ in table("Families")}
    assert {member.name: member.value for member in ledger.Family if member} == documented
    assert from_c(tmp_path, [f"{name}=FAMILY_{name}" for name in documented]) == documented


def numbers(ours: type[IntEnum]) -> dict[str, int]:
    """By name, those that share one among them."""
    return {name: one.value for name, one in ours.__members__.items()}


@pytest.mark.parametrize(
    ("ours", "record"),
    [
        (ledger.Phase, "phase"),
        (ledger.Broken, "broken"),
        (ledger.Blind, "blind"),
        (ledger.Quiesced, "quiesced"),
    ],
)
def test_what_detail_says_is_that_of_c(ours: type[IntEnum], record: str, tmp_path: Path) -> None:
    values = numbers(ours)
    assert from_c(tmp_path, [f"{name}={record.upper()}_{name}" for name in values]) == values
    (row,) = (carries for name, _, carries in table("Types") if name == record)
    assert {int(number) for number in re.findall(r"\b(\d)\b ", row.split("detail:")[1])} >= set(
        values.values()
    )


def test_structures_agree(tmp_path: Path) -> None:
    rows = table("Addresses given to the CPU")
    documented = {name.upper(): int(number) for name, number in rows}
    assert {member.name: member.value for member in ledger.Structure} == documented
    assert from_c(tmp_path, [f"{name}=STRUCTURE_{name}" for name in documented]) == documented


def test_the_hosts_registers_are_as_many_and_in_one_order(tmp_path: Path) -> None:
    told = DOCUMENT.split("registers count from 0:")[1].split(" (before")[0]
    documented = [name.strip() for name in " ".join(told.split()).split(",")]
    assert documented == list(ledger.HOST_REGISTERS)
    some = {"HOST_CR0": "CR0", "HOST_CR8": "CR8", "HOST_DR7": "DR7", "HOST_FS_BASE": "FS.base"}
    some |= {"HOST_PAT": "PAT", "HOST_TR": "TR", "HOST_FPU": "FPU"}
    in_c = from_c(tmp_path, [f"{name}={name}" for name in (*some, "HOST_REGISTERS")])
    assert in_c.pop("HOST_REGISTERS") == len(documented)
    assert {some[name]: number for name, number in in_c.items()} == {
        name: documented.index(name) for name in some.values()
    }


@pytest.mark.parametrize("ours", [ledger.Flag, ledger.Witness, ledger.Field])
def test_numbers_are_those_of_c(ours: type[IntEnum], tmp_path: Path) -> None:
    values = numbers(ours)
    prefix = ours.__name__.upper()
    assert from_c(tmp_path, [f"{name}={prefix}_{name}" for name in values]) == values


def test_a_header_is_read_as_c_writes_it(tmp_path: Path) -> None:
    raw = said_by_c(
        tmp_path,
        """struct ledger_header header = {
            .magic = LEDGER_MAGIC, .version = LEDGER_VERSION,
            .record_size = sizeof(struct ledger_record), .capacity = 15, .appended = 23,
            .release = "6.1", .page_offset = 0xffff888000000000, .drained = 7,
        };
        fwrite(&header, sizeof(header), 1, stdout);""",
    )
    window = ledger.HEADER_BYTES + 15 * ledger.RECORD_BYTES
    assert ledger.parse_header(raw.ljust(ledger.HEADER_BYTES, b"\0"), window) == ledger.Header(
        capacity=15, appended=23, release="6.1", page_offset=0xFFFF_8880_0000_0000, drained=7
    )


def test_constants_agree(tmp_path: Path) -> None:
    assert ledger.GUARD.fields is not None
    in_c = from_c(
        tmp_path,
        [
            "version=LEDGER_VERSION",
            "header=LEDGER_HEADER_SIZE",
            "text=LEDGER_TEXT_SIZE",
            "prime=LEDGER_CHECK_PRIME",
            "align=LEDGER_ALIGN_INVALID",
            "pool=KIND_POOL",
            "contiguous=KIND_CONTIGUOUS",
            "guard=sizeof(struct ledger_guard)",
            "guard_pattern=offsetof(struct ledger_guard, pattern)",
            "live=GUARD_LIVE",
            "released=GUARD_RELEASED",
            "poison=POISON_RELEASED",
            "gif=CPU_STATE_GIF",
            "silent=CPU_STATE_SILENT",
            "flush_by_asid=CPU_STATE_FLUSH_BY_ASID",
            "sev_es=CPU_STATE_SEV_ES",
        ],
    )
    assert in_c == {
        "version": ledger.VERSION,
        "header": ledger.HEADER_BYTES,
        "text": ledger.TEXT_BYTES,
        "prime": ledger.CHECK_PRIME,
        "align": ledger.ALIGN_INVALID,
        "pool": ledger.Kind.POOL,
        "contiguous": ledger.Kind.CONTIGUOUS,
        "guard": ledger.GUARD_BYTES,
        "guard_pattern": ledger.GUARD.fields["pattern"][1],
        "live": ledger.GUARD_LIVE,
        "released": ledger.GUARD_RELEASED,
        "poison": ledger.POISON_RELEASED,
        "gif": ledger.CPU_STATE_GIF,
        "silent": ledger.CPU_STATE_SILENT,
        "flush_by_asid": ledger.CPU_STATE_FLUSH_BY_ASID,
        "sev_es": ledger.CPU_STATE_SEV_ES,
    }
    meanings = {name: meaning for name, *_, meaning in table("Header")}
    assert meanings["version"] == str(ledger.VERSION)
    assert meanings["record_size"] == str(ledger.RECORD_BYTES)
    assert DOCUMENT.startswith(f"# The ledger, version {ledger.VERSION}\n")
    assert f"0x{ledger.CHECK_PRIME:x}" in DOCUMENT
    assert f"{ledger.HEADER_BYTES} bytes" in DOCUMENT


def members(text: str, struct: str) -> list[str]:
    """Names of a struct's members, in C or in Rust."""
    body = re.search(rf"struct {struct} {{(.*?)\n}}", text, re.DOTALL)
    assert body is not None
    code = re.sub(r"/\*.*?\*/|//.*", "", body[1])
    if ":" in code:
        return re.findall(r"(\w+): ", code)
    return re.findall(r"(\w+)(?:\[\d+\])?\s*(?:\)\([^)]*\))?;", code)


@pytest.mark.parametrize(
    ("rust", "struct", "c_struct"),
    [
        ("kernel.rs", "ContiguousRequest", "contiguous_request"),
        ("kernel.rs", "Vcpu", "vcpu"),
        ("kernel.rs", "World", "world"),
        ("scenario.rs", "Expectation", "expectation"),
    ],
)
def test_rust_structs_have_the_members_of_c(rust: str, struct: str, c_struct: str) -> None:
    source = (ROOT / "guest/rust/src" / rust).read_text()
    assert members(source, struct) == members(HEADERS, c_struct)


def test_rust_constants_are_those_of_c() -> None:
    source = (ROOT / "guest/rust/src/kernel.rs").read_text()
    for ours, theirs in (
        ("CACHE_WRITE_BACK", "CACHE_WB"),
        ("MISPLACE_SHIFT", "MISPLACE_SHIFT"),
        ("VCPU_IDENTITY", "VCPU_IDENTITY"),
    ):
        in_rust = re.search(rf"const {ours}: u32 = (\d+);", source)
        in_c = re.search(rf"{theirs} = (\d+),", HEADERS)
        assert in_rust is not None
        assert in_c is not None
        assert in_rust[1] == in_c[1]

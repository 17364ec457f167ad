"""What gdb is told: nothing that a guest could have written into it."""

import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from freeonce.byhand.debugger import (
    Loaded,
    commands,
    kernel_source,
    section_addresses,
    sections_folder,
)
from freeonce.errors import EvidenceError

SECTIONS = sections_folder("specimens")
TEXT = f"{SECTIONS}/.text:0xffffffffc0250000\n"


def test_only_sections_of_the_modules_own_file_are_taken() -> None:
    said = TEXT + f"{SECTIONS}/.data:0xffffffffc0260000\n{SECTIONS}/.evil:0xffffffffc0270000\n"
    said += f"{sections_folder('freeonce')}/.bss:0xffffffffc0280000\n"
    assert section_addresses(said, "specimens", [".text", ".data", ".bss"]) == {
        ".text": 0xFFFFFFFFC0250000,
        ".data": 0xFFFFFFFFC0260000,
    }


@pytest.mark.parametrize("said", ["", "shell rm -rf /", f"{SECTIONS}/.text:0x1; shell date"])
def test_a_guest_that_does_not_tell_where_the_text_is_is_refused(said: str) -> None:
    with pytest.raises(EvidenceError):
        section_addresses(said, "specimens", [".text"])


def test_the_kernels_symbols_are_an_object_with_code_where_the_guest_has_it(tmp_path: Path) -> None:
    said = (
        "ffffffff81000000 T _stext\n"
        "ffffffff81000010 t one.isra.0\n"
        "ffffffff82000000 D some_data\n"
        "ffffffffc0250000 t of_a_module\t[freeonce]\n"
        '0000000000000000 T "; .incbin "/etc/passwd\n'
        "0000000000000000 T hidden\n"
    )
    file = tmp_path / "kernel.o"
    source = kernel_source(said)
    subprocess.run(["as", "--64", "-o", file, "-"], input=source, text=True, check=True)
    assert "passwd" not in source
    with file.open("rb") as opened:
        table = ELFFile(opened).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        found = {one.name: one["st_value"] for one in table.iter_symbols() if one.name}
    # Offsets from 0xffffffff80000000, where the object's .text is laid.
    assert found == {"start": 0, "_stext": 0x1000000, "one.isra.0": 0x1000010}


def test_the_commands_end_with_the_breakpoint_before_the_guest_runs() -> None:
    modules = [
        Loaded(Path("m.ko"), {".text": 1, ".data": 2}),
        Loaded(Path("n.ko"), {".text": 3, ".bss": 4}),
    ]
    told = list(commands(modules, Path("k.o"), Path("s"), "there"))
    assert "add-symbol-file m.ko 0x1 -s .data 0x2" in told
    assert "add-symbol-file n.ko 0x3 -s .bss 0x4" in told
    assert told[-3:] == ["target remote s", "break there", "continue"]

"""What gdb is told: nothing that a guest could have written into it."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from freeonce.byhand.debugger import (
    Loaded,
    commands,
    kernel_source,
    section_addresses,
    sections_folder,
    subject_commands,
)
from freeonce.errors import EvidenceError
from freeonce.evidence.stacks import Section, Told
from freeonce.subject.module import Module, read_module
from tests.unit.modules import compiled

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


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Module:
    second = "int second(void) { return 2; }"
    return read_module(compiled(tmp_path_factory.mktemp("modules"), more=second))


def test_a_subjects_symbols_lie_where_the_ledger_puts_its_sections(module: Module) -> None:
    elf = module.elf
    text = elf.index_of(".text")
    assert text is not None
    named = np.flatnonzero((elf.symbols["section"] == text) & (elf.symbols["value"] > 0))
    symbol = int(named[0])
    gva = 0xFFFF_FFFF_C000_0000
    there = Section(1, 3, text, gva + int(elf.symbols[symbol]["value"]), symbol)
    lies = Section(2, 3, 999, 1, 0), Section(3, 3, text, 1, 1 << 30), Section(4, 9, text, 1, symbol)
    told = Told(sections=(there, *lies), names={3: module.name, 4: "nobody; shell date"})
    (line,) = subject_commands({module.name: module}, told)
    assert line == f"add-symbol-file {module.path} -s .text {gva:#x}"


def test_commands_wait_for_the_symbols_of_what_is_loaded_later() -> None:
    told = list(commands([], Path("k.o"), Path("s"), "there", Path("later.gdb")))
    at = told.index("continue")
    assert told[at - 1] == "break there"
    assert "later.gdb" in told[at + 1]
    assert told[at + 2 :] == ["set logging on", "source later.gdb", "set logging off", "backtrace"]

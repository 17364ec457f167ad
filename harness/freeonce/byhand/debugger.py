"""What gdb needs for a guest: symbols where they lie in it, and where to stop. Pure.

Whatever the guest says goes into no command as it is: numbers are parsed, names are our own.
"""

import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from freeonce.errors import EvidenceError
from freeonce.evidence.stacks import Told
from freeonce.project import sources
from freeonce.subject.module import Module

SOURCE = "/freeonce"
"""What the recipes call our source in the modules' debug info."""
SYMBOLS = "/proc/kallsyms"
BEFORE_RUN = "scenario_run"
BEFORE_VMRUN = "freeonce_svm_run"
BEFORE_LIFE = "life_begin"
BEFORE_FAILURE = "acquisition_is_made_to_fail"

# Documentation/x86/x86_64/mm.rst: the kernel's text mapping; modules come behind it.
KERNEL_TEXT = range(0xFFFFFFFF80000000, 0xFFFFFFFFC0000000)
SECTION_NAMES = set(string.ascii_letters + string.digits + "._")
"""Letters of a section's name that gdb takes as it is."""
SYMBOL = re.compile(r"([0-9a-f]{16}) [tTwW] ([A-Za-z_.][\w.]*)")
"""A line of code's symbol in kallsyms; those of modules have one more field."""


@dataclass(frozen=True)
class Loaded:
    """A module's file, and where each of its sections lies in the guest."""

    file: Path
    sections: Mapping[str, int]


def sections_folder(module: str) -> str:
    """Where the guest's kernel tells the addresses of a loaded module's sections."""
    return f"/sys/module/{module}/sections"


def section_addresses(said: str, module: str, names: Iterable[str]) -> dict[str, int]:
    """Where each section lies that the module's file has, by `grep -r . FOLDER` of it.

    Raises EvidenceError when there is not even a `.text`.
    """
    wanted = set(names)
    told = re.compile(rf"{sections_folder(module)}/(\S+):(0x[0-9a-f]{{16}})")
    matches = (told.fullmatch(line) for line in said.splitlines())
    found = {one[1]: int(one[2], 16) for one in matches if one and one[1] in wanted}
    if ".text" not in found:
        raise EvidenceError(f"the guest does not say where the .text of {module} lies")
    return found


def subject_sections(module: Module, load: int, told: Told) -> dict[str, int]:
    """Where each section lies that the ledger tells of a subject's load, by its name."""
    found = {}
    for one in told.sections:
        here = one.load == load and one.index < len(module.elf.sections)
        if here and one.symbol < len(module.elf.symbols):
            symbol = module.elf.symbols[one.symbol]
            if symbol["section"] == one.index:
                found[module.elf.section_names[one.index]] = one.gva - int(symbol["value"])
    return found


def subject_commands(modules: Mapping[str, Module], told: Told) -> Iterator[str]:
    """gdb's commands for the symbols of the subjects that the ledger tells of, by their names."""
    for load, name in told.names.items():
        if name in modules:
            sections = subject_sections(modules[name], load, told)
            plain = {one: gva for one, gva in sections.items() if SECTION_NAMES.issuperset(one)}
            places = " ".join(f"-s {one} {gva:#x}" for one, gva in plain.items())
            yield f"add-symbol-file {modules[name].path} {places}"


def kernel_source(said: str) -> str:
    """Assembler text for an object whose `.text`, at KERNEL_TEXT.start, has the kernel's symbols.

    The image's kernel has no debug info; kallsyms has at least the names.
    """
    matches = (SYMBOL.fullmatch(line) for line in said.splitlines())
    places = {one[2]: int(one[1], 16) for one in matches if one}
    lines = ['.section .text,"ax",@nobits', "start:"]
    for name, gva in places.items():
        if gva in KERNEL_TEXT and name != "start":
            lines += [f'.globl "{name}"', f'.type "{name}", @function']
            lines += [f'.set "{name}", start + {gva - KERNEL_TEXT.start:#x}']
    return "\n".join([*lines, f".skip {len(KERNEL_TEXT):#x}", ""])


def commands(
    modules: Sequence[Loaded],
    kernel: Path,
    server: Path,
    stop: str | None,
    subjects: Path | None = None,
) -> Iterator[str]:
    """gdb's commands: the symbols, the connection, and on to the first stop if there is one.

    `subjects`: a file of commands that appears when the guest stands there.
    """
    yield "set confirm off"
    yield "set pagination off"
    yield "set architecture i386:x86-64"
    yield f"set substitute-path {SOURCE} {sources.root()}"
    # It tells hundreds of sections one by one. The older words: newer gdbs know them, too.
    yield from ("set logging file /dev/null", "set logging redirect on", "set logging on")
    yield f"add-symbol-file {kernel} {KERNEL_TEXT.start:#x}"
    for one in modules:
        others = (item for item in one.sections.items() if item[0] != ".text")
        places = " ".join(f"-s {name} {gva:#x}" for name, gva in others)
        yield f"add-symbol-file {one.file} {one.sections['.text']:#x} {places}"
    yield "set logging off"
    yield f"target remote {server}"
    if stop is not None:
        yield from (f"break {stop}", "continue")
    if subjects is not None:
        yield f"shell while [ ! -e {subjects} ]; do sleep 0.05; done"
        yield from ("set logging on", f"source {subjects}", "set logging off", "backtrace")

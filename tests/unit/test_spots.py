"""Stacks in the ledger to functions and lines: by the module's file, whoever has its addresses."""

import re
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freeonce.errors import SubjectError
from freeonce.evidence.ledger import RECORD, Records, Type
from freeonce.evidence.stacks import STACK_FIELD, Told, told
from freeonce.subject.module import Module, read_module
from freeonce.subject.places import Frame, Place, choose, lines_of, parse, source_of
from freeonce.subject.spots import Spot, spots
from tests.unit.modules import compiled

TEXT, INIT = 0xFFFF_FFFF_C010_0000, 0xFFFF_FFFF_C020_0000
FOREIGN = 0xFFFF_FFFF_8123_4567


def records(*rows: dict[str, int | bytes]) -> Records:
    """Records with these fields, numbered in order. `text`: what bytes 16 to 39 hold."""
    table = np.zeros(len(rows), RECORD)
    for index, row in enumerate(rows):
        table[index]["sequence"] = index + 1
        for name, value in row.items():
            if name == "text":
                words = np.frombuffer(bytes(value).ljust(24, b"\0"), "<u8")
                for field, word in zip(("pointer", "physical", "size"), words, strict=True):
                    table[index][field] = word
            else:
                table[index][name] = value
    return table


def stack(number: int, *frames: int) -> Iterable[dict[str, int | bytes]]:
    for first in range(0, len(frames), 3):
        three = [*frames[first : first + 3], 0, 0][:3]
        yield {
            "type": Type.STACK,
            STACK_FIELD: number,
            "detail": first,
            **dict(zip(("pointer", "physical", "size"), three, strict=True)),
        }


def name(load: int, text: str) -> Iterable[dict[str, int | bytes]]:
    for piece, first in enumerate(range(0, len(text), 24)):
        part = text[first : first + 24].encode()
        yield {"type": Type.SUBJECT, "serial": load, "detail": piece, "text": part}


def kernel(gva: int, text: str) -> Iterable[dict[str, int | bytes]]:
    for piece, first in enumerate(range(0, len(text), 24)):
        yield {
            "type": Type.SYMBOL,
            "serial": gva & 0xFFFF_FFFF,
            STACK_FIELD: gva >> 32,
            "detail": piece,
            "text": text[first : first + 24].encode(),
        }


def section(module: Module, load: int, of: str, start: int) -> dict[str, int | bytes]:
    """As the instrument tells it: some symbol of the section, and where that is now."""
    index = module.elf.section_names.index(of)
    symbol = int(np.flatnonzero(module.elf.symbols["section"] == index)[-1])
    gva = start + int(module.elf.symbols[symbol]["value"])
    return {
        "type": Type.SECTION,
        "serial": load,
        "detail": index,
        "pointer": gva,
        "size": symbol,
    }


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Module:
    return read_module(compiled(tmp_path_factory.mktemp("modules")))


def returns(module: Module, of: str, caller: str, callee: str) -> int:
    """The return address of a call, as objdump has it: an offset in its section."""
    said = subprocess.run(
        ["objdump", "-dr", "--section", of, module.path],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    body = re.search(rf"<{caller}>:\n(.*?)(\n\n|\Z)", said, re.DOTALL)
    assert body is not None
    found = re.search(rf"([0-9a-f]+): R_X86_64_PLT32\s+{callee}-0x4", body[1])
    assert found is not None
    # The relocation is of the last four bytes of the call.
    return int(found[1], 16) + 4


def test_a_stack_leads_to_functions_and_lines(module: Module) -> None:
    in_takes = returns(module, ".text", "takes", "kmalloc_trace")
    in_init = returns(module, ".init.text", "starts", "takes")
    rows = records(
        *name(7, "sample"),
        section(module, 7, ".text", TEXT),
        section(module, 7, ".init.text", INIT),
        *kernel(FOREIGN, "do_one_initcall_of_long_name+0x56"),
        *stack(1, TEXT + in_takes, INIT + in_init, FOREIGN, FOREIGN + 1),
    )
    (found,) = spots(told(rows), {"sample": module}).values()
    assert [one.module for one in found] == ["sample", "sample", "", ""]
    frames = lines_of(found, {"sample": source_of(module)})
    inlined, takes = frames[found[0]]
    assert (inlined.function, takes.function) == ("inlined", "takes")
    source = module.path.with_suffix(".c").read_text().splitlines()
    assert "kmalloc_trace(0, 0, size)" in source[(inlined.line or 0) - 1]
    assert "inlined(size)" in source[(takes.line or 0) - 1]
    (starts,) = frames[found[1]]
    assert (starts.function, starts.offset) == ("starts", in_init)
    assert frames[found[2]] == (Frame("do_one_initcall_of_long_name", 0x56),)
    assert frames[found[3]] == (Frame(f"{FOREIGN + 1:#x}"),)


def test_without_debug_info_there_are_function_and_offset(module: Module, tmp_path: Path) -> None:
    bare = tmp_path / "bare.ko"
    subprocess.run(["strip", "--strip-debug", "-o", bare, module.path], check=True)
    stripped = read_module(bare)
    index = stripped.elf.section_names.index(".text")
    at = returns(stripped, ".text", "takes", "kmalloc_trace")
    spot = Spot("sample", index, at)
    (frame,) = lines_of([spot], {"sample": source_of(stripped)})[spot]
    assert (frame.function, frame.file, frame.line) == ("takes", None, None)
    assert str(frame) == f"takes+{frame.offset:#x} [sample]"
    # The same file's debug info, kept apart; and that of another build.
    assert lines_of([spot], {"sample": source_of(stripped, module.path)})[spot][-1].line
    assert source_of(stripped, module.path.parent).debug is not None


def test_debug_info_of_another_build_is_refused(module: Module, tmp_path: Path) -> None:
    builds = [tmp_path / "one.debug", tmp_path / "other.debug"]
    for number, build in enumerate(builds):
        argv = ["ld", "-r", f"--build-id=0x1{number}", "-o", str(build)]
        subprocess.run([*argv, str(module.path)], check=True)
    subprocess.run(["strip", "-g", "-o", tmp_path / "bare.ko", builds[0]], check=True)
    bare = read_module(tmp_path / "bare.ko")
    assert source_of(bare, builds[0]).debug is not None
    with pytest.raises(SubjectError, match="build IDs differ"):
        source_of(bare, builds[1])


def test_an_address_is_whose_it_was_when_the_stack_was_told(module: Module) -> None:
    other = replace(module, name="other")
    rows = records(
        *name(1, "sample"),
        section(module, 1, ".init.text", INIT),
        *stack(1, INIT + 8),
        *name(2, "other"),
        section(module, 2, ".text", INIT - 0x10),
        *stack(2, INIT + 8),
    )
    found = spots(told(rows), {"sample": module, "other": other})
    assert [found[number][0].module for number in (1, 2)] == ["sample", "other"]


@pytest.mark.parametrize(
    "lie",
    [
        {"size": 1 << 40},
        {"detail": 1 << 31},
        {"serial": 99},
        {"pointer": 0},
        {"size": 0},
    ],
)
def test_a_lie_about_a_section_names_no_place(module: Module, lie: dict[str, int]) -> None:
    rows = records(
        *name(1, "sample"), {**section(module, 1, ".text", TEXT), **lie}, *stack(1, TEXT + 8)
    )
    ((spot,),) = spots(told(rows), {"sample": module}).values()
    assert spot == Spot("", symbol=f"{TEXT + 8:#x}")


def test_stacks_that_contradict_themselves_are_cut_short() -> None:
    again = records(*stack(1, 1, 2, 3, 4), *stack(1, 5, 6, 7))
    assert told(again).stacks[1].frames == (1, 2, 3, 4)
    gap = records(*stack(1, 1, 2, 3), {"type": Type.STACK, STACK_FIELD: 1, "detail": 9})
    assert told(gap).stacks[1].frames == (1, 2, 3)
    long = records(*stack(1, *range(1, 1000)))
    assert len(told(long).stacks[1].frames) < 100
    assert told(records()) == Told()


SAID = """0x000000000000007e
freeonce_rust::scenarios::allocated_memory::example
/usr/lib/rustlib/src/rust/library/core/src/ptr/non_null.rs:270
alloc_zeroed
/freeonce/guest/rust/src/allocated_memory/storage.rs:26 (discriminator 3)
example
/freeonce/guest/rust/src/scenarios/allocated_memory.rs:21
0x0000000000000010
probe
/freeonce-subject//home/me/driver.c:9
0x0000000000000010
??
??:0
0x0000000000000020
f
??:?
"""


def test_the_words_of_addr2line() -> None:
    first, users, unknown, neither = parse(SAID)
    assert [(frame.file, frame.line) for frame in first[1:]] == [
        ("guest/rust/src/allocated_memory/storage.rs", 26),
        ("guest/rust/src/scenarios/allocated_memory.rs", 21),
    ]
    assert [frame.file for frame in users] == ["/home/me/driver.c"]
    assert unknown == neither == ()


def at(file: str, module: str = "m") -> Frame:
    return Frame("f", None, module, file, 1)


KERNEL = Frame("kmalloc_trace", 5)
INLINE = at("/usr/src/linux-headers-6.1.0-56-common/include/linux/slab.h")
LIBRARY = at("/usr/lib/rustlib/src/rust/library/core/src/ptr/non_null.rs")
SHIM = at("guest/rust/src/physical.rs")
OWNER = at("guest/rust/src/svm/npt.rs")
SCENARIO = at("guest/rust/src/scenarios/svm.rs")
USERS = at("/home/me/driver/include/mine.h")
BARE = Frame("probe", 0x20, "m")


@pytest.mark.parametrize(
    ("frames", "chosen"),
    [
        ((KERNEL, LIBRARY, SHIM, OWNER, SCENARIO), SCENARIO),
        ((LIBRARY, SHIM, OWNER), OWNER),
        ((LIBRARY, SHIM), LIBRARY),
        ((KERNEL, INLINE, USERS), USERS),
        ((KERNEL, BARE, KERNEL), BARE),
        ((KERNEL,), KERNEL),
    ],
)
def test_the_authors_own_line_goes_first(frames: tuple[Frame, ...], chosen: Frame) -> None:
    assert choose(frames) == Place(chosen, frames)


def test_without_a_frame_there_is_no_place() -> None:
    assert choose(()) is None

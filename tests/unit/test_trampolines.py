"""Instructions that give the CPU memory: each found, led through calls, or left with the reason."""

import subprocess
from pathlib import Path

import pytest

from freeonce.subject.families import Hook
from freeonce.subject.instructions import HOOKS
from freeonce.subject.module import Module, read_module
from freeonce.subject.redirect import Redirected, redirect
from freeonce.subject.relocations import Relocations
from tests.unit.modules import compiled

NAMES = sorted({hook for pair in HOOKS.values() for hook in pair if hook})
CALLED = {of: Hook(f"freeonce_hook_{of}", 0x1000 + at) for at, of in enumerate(NAMES)}


def module(folder: Path, assembly: str) -> Module:
    text = assembly.replace("\n", "\\n").replace('"', '\\"')
    return read_module(compiled(folder, more=f'asm("{text}");'))


def led(folder: Path, body: str, more: str = "") -> tuple[Redirected, list[str]]:
    """A function of that code, and how it goes on: what is met when every jump is followed."""
    begin = ".text\n.type enters, @function\nenters: call _printk\n"
    before = module(folder, f"{begin}{body}\nret\n.size enters, . - enters\n{more}")
    done = redirect(before, {}, CALLED)
    made = folder / "led.ko"
    made.write_bytes(done.data)
    return done, followed(made)


def followed(made: Path) -> list[str]:
    """By binutils' disassembler, of a function without branches."""
    shown = subprocess.run(
        ["objdump", "-dr", "--no-show-raw-insn", "-j", ".text", made],
        *(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    code: dict[int, str] = {}
    at = start = 0
    for line in shown.splitlines():
        place, colon, rest = line.strip().partition(":")
        if line.endswith("<enters>:"):
            start = int(line.split()[0], 16)
        elif "R_X86_64" in rest:
            code[at] = f"call {rest.split()[-1].split('-')[0]}"
        elif colon and rest.startswith("\t"):
            at = int(place, 16)
            code[at] = " ".join(rest.split("#")[0].split("<")[0].split())
    places = sorted(code)
    met, at = [], start
    while True:
        one = code[at]
        if one.startswith("jmp"):
            at = int(one.split()[1], 16)
            continue
        met.append(one)
        if one.startswith("ret"):
            return met
        at = places[places.index(at) + 1]


def why(done: Redirected) -> list[tuple[str, str]]:
    return [(one.name, one.left) for one in done.instructions]


def test_a_vmrun_and_what_follows_it_go_on_as_before_between_two_calls(tmp_path: Path) -> None:
    done, met = led(tmp_path, "vmrun %rax\npop %rax\nmov %rcx, 0x130(%rax)\nnop")
    assert why(done) == [("vmrun", "")]
    assert met == [
        "call _printk",
        *("call freeonce_hook_vmrun", "vmrun", "call freeonce_hook_vmexit"),
        *("pop %rax", "mov %rcx,0x130(%rax)", "nop", "ret"),
    ]


@pytest.mark.parametrize("name", HOOKS)
def test_each_is_told_by_its_hook_before_it_or_behind(name: str, tmp_path: Path) -> None:
    operand = {"invlpga": " %rax, %ecx", "vmrun": " %rax", "vmload": " %rax", "vmsave": " %rax"}
    done, met = led(tmp_path, f"{name}{operand.get(name, '')}\nmov $1, %eax")
    before, behind = HOOKS[name]
    calls = [f"call freeonce_hook_{hook}" if hook else None for hook in (before, behind)]
    place = met.index(next(one for one in met if one.startswith(name)))
    assert met[place - 1] == (calls[0] or "call _printk")
    assert met[place + 1] == (calls[1] or "mov $0x1,%eax")
    assert why(done) == [(name, "")]


def test_what_stands_before_it_moves_when_what_follows_cannot(tmp_path: Path) -> None:
    done, met = led(tmp_path, "mov $0xc0000080, %ecx\nwrmsr\ncall _printk")
    assert why(done) == [("wrmsr", "")]
    assert met == [
        *("call _printk", "mov $0xc0000080,%ecx", "wrmsr", "call freeonce_hook_wrmsr"),
        *("call _printk", "ret"),
    ]


def test_two_that_stand_together_move_together(tmp_path: Path) -> None:
    done, met = led(tmp_path, "vmsave %rax\npop %rax\nvmload %rax\ncall _printk")
    assert why(done) == [("vmsave", ""), ("vmload", "")]
    assert met[1:6] == [
        *("call freeonce_hook_save_area", "vmsave", "pop %rax"),
        *("call freeonce_hook_save_area", "vmload"),
    ]


def test_a_long_jump_to_what_moves_is_aimed_anew(tmp_path: Path) -> None:
    body = "vmrun %rax\n1: pop %rax\nmov $1, %eax\nret\n.skip 200, 0x90\njmp 1b"
    done, _ = led(tmp_path, body)
    assert why(done) == [("vmrun", "")]
    shown = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", tmp_path / "led.ko"],
        *(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    (target,) = {
        line.split()[2] for line in shown if "\tjmp" in line and "enters+0x5" not in line
    } & {line.split(":")[0].strip() for line in shown if line.endswith("pop    %rax")}
    assert int(target, 16) > 200


def test_exceptions_are_met_where_it_stands_now(tmp_path: Path) -> None:
    table = '.section __ex_table,"a"\n.long 1b - ., 2b - ., 0\n.text\n'
    done, _ = led(tmp_path, "1: stgi\n2: mov $1, %eax", table)
    assert why(done) == [("stgi", "")]
    elf = done.module.elf
    text = elf.index_of(".text")
    assert text is not None
    table_index = elf.index_of("__ex_table")
    old = len(read_module(tmp_path / "sample.ko").elf.content(text))
    named = [
        one.target
        for one in Relocations.of(elf).to(text, 0, len(elf.content(text)))
        if one.section == table_index
    ]
    assert len(named) == 2
    assert all(target >= old for target in named)
    assert elf.content(text)[named[0] : named[0] + 3] == b"\x0f\x01\xdc"


def test_a_jump_that_moves_is_aimed_at_what_moves_too(tmp_path: Path) -> None:
    body = "vmrun %rax\n{disp32} jmp 2f\nnop\nclgi\n2: vmload %rax\nmov $1, %eax"
    done, met = led(tmp_path, body)
    assert why(done) == [("vmrun", ""), ("clgi", ""), ("vmload", "")]
    assert met[1:] == [
        *("call freeonce_hook_vmrun", "vmrun", "call freeonce_hook_vmexit"),
        *("call freeonce_hook_save_area", "vmload", "mov $0x1,%eax", "ret"),
    ]


def test_code_that_cannot_be_read_is_told_and_nothing_moves_in_its_function(
    tmp_path: Path,
) -> None:
    ud1 = ".byte 0x67, 0x0f, 0xb9, 0x40, 0x02"
    done, _ = led(tmp_path, f"vmrun %rax\nmov $1, %eax\nret\n{ud1}\nvmload %rax")
    assert why(done) == [
        ("vmrun", "code of its function cannot be read"),
        ("vmload", "the code around it cannot be read"),
    ]
    other = f".type other, @function\nother: {ud1}\nstgi"
    done, _ = led(tmp_path, "vmrun %rax\nmov $1, %eax", other)
    assert why(done) == [("vmrun", ""), ("stgi", "the code around it cannot be read")]


@pytest.mark.parametrize("jump", ["jmp", "{disp32} jmp", "{disp32} jz"])
def test_code_that_cannot_be_read_may_jump(jump: str, tmp_path: Path) -> None:
    body = "1: jmp 1b\nvmrun %rax\n2: mov $1, %eax"
    other = f".type other, @function\nother: .byte 0x0f, 0x04\n{jump} 2b"
    whole = f".text\n.type enters, @function\nenters: {body}\nret\n{other}"
    done = redirect(module(tmp_path, whole), {}, CALLED)
    assert why(done) == [("vmrun", "code that cannot be read may lead to what stands beside it")]


def test_interrupts_that_a_clgi_keeps_out_need_no_sti(tmp_path: Path) -> None:
    done, _ = led(tmp_path, "clgi\nmov $1, %eax\ncall _printk\nsti\nvmrun %rax\ncli\nnop")
    assert why(done) == [("clgi", ""), ("vmrun", "")]


LEFT = {
    "middle": (
        "1: jmp 1b\nvmrun %rax\n.byte 0xf0\n2: incl (%rax)\nret\n.skip 200, 0x90\njmp 2b",
        "a jump leads into what stands beside it",
    ),
    "no instruction": (
        "1: jmp 1b\nvmrun %rax\n{disp32} jmp 2f\n.byte 0xf0\n2: incl (%rax)",
        "jmp beside it cannot move",
    ),
    "data": (
        "1: jmp 1b\nvmrun %rax\n2: nop\nnop\nret\nlea 2b(%rip), %rcx",
        "an instruction names what stands beside it as data",
    ),
    "sti": (
        "1: jmp 1b\nsti\nvmrun %rax\ncli\nnop",
        "interrupts are to stay out behind an STI or a load of SS beside it",
    ),
    "ss": (
        "mov %eax, %ss\nvmrun %rax\nnop\nnop",
        "interrupts are to stay out behind an STI or a load of SS beside it",
    ),
    "ret": ("vmrun %rax\nret", "ret beside it cannot move"),
    "relocation": (
        "jmp 1f\n1: vmrun %rax\nmov _printk(%rip), %eax",
        "what stands beside it is relative to its own address",
    ),
    "short jump": (
        "1: jmp 1b\nvmrun %rax\n2: nop\nnop\njmp 2b",
        "a short jump leads to what stands beside it",
    ),
    "prefix": ("vmrun %eax\nmov $1, %eax", "it has a prefix"),
    "symbol": (
        "1: jmp 1b\nvmrun %rax\nalso: nop\nnop\nnop",
        "a symbol names what stands beside it",
    ),
}


@pytest.mark.parametrize(("body", "reason"), LEFT.values(), ids=LEFT)
def test_what_cannot_move_is_left_and_the_reason_told(
    body: str, reason: str, tmp_path: Path
) -> None:
    whole = f".text\n.type enters, @function\nenters: {body}\nret\n"
    before = module(tmp_path, whole)
    done = redirect(before, {}, CALLED)
    assert why(done) == [("vmrun", reason)]
    # Nothing is called, so nothing is needed of the instrument.
    assert done.module.undefined == before.undefined
    for index in before.text_sections():
        assert done.module.elf.content(index) == before.elf.content(index)


def test_what_the_kernel_patches_is_left(tmp_path: Path) -> None:
    table = '.section __jump_table,"aw"\n.long 1b - ., 1b - .\n.quad 0\n.text\n'
    whole = f".text\nenters: 2: jmp 2b\nvmrun %rax\n1: .nops 5\nret\n{table}"
    done = redirect(module(tmp_path, whole), {}, CALLED)
    assert why(done) == [("vmrun", "__jump_table of the module names what stands beside it")]


def test_bytes_of_another_instruction_are_none(tmp_path: Path) -> None:
    done, _ = led(tmp_path, "mov $0xd8010f, %eax")
    assert done.instructions == ()


def test_the_hooks_checksums_stand_in_versions(tmp_path: Path) -> None:
    done, _ = led(tmp_path, "vmrun %rax\npop %rax\nmov %rcx, 0x130(%rax)")
    entries = done.module.elf.named("__versions")
    said = {
        entries[at + 8 : at + 64].rstrip(b"\0").decode(): int.from_bytes(
            entries[at : at + 8], "little"
        )
        for at in range(0, len(entries), 64)
    }
    assert {one.name: one.crc for one in CALLED.values()}.items() <= said.items()
    assert [name for name in done.module.undefined if name in said][-len(CALLED) :] == [
        one.name for one in CALLED.values()
    ]


def test_without_hooks_all_are_left(tmp_path: Path) -> None:
    whole = ".text\nenters: clgi\nmov $1, %eax\nret\n"
    done = redirect(module(tmp_path, whole), {})
    assert why(done) == [("clgi", "the instrument has no clgi")]

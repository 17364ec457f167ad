"""WRMSRs that write no register of SVM's: nobody is to be told of them, and only of them."""

from pathlib import Path

import pytest

from tests.unit.test_trampolines import led

ROOM = "nop; nop; nop; nop"


def found(folder: Path, body: str, more: str = "") -> list[str]:
    done, _ = led(folder, f"{body}\n{ROOM}", more)
    return [one.section for one in done.instructions if one.name == "wrmsr"]


@pytest.mark.parametrize(
    "body",
    [
        "mov $0x49, %ecx\nwrmsr",
        "mov $0xc0000081, %ecx\nmov %rax, %rdx\nshr $32, %rdx\nwrmsr",
        "mov $0x49, %ecx\ntest %eax, %eax\nje 1f\nxor %edx, %edx\nwrmsr\n1:",
    ],
)
def test_one_that_surely_writes_another_msr_is_none_of_svms(tmp_path: Path, body: str) -> None:
    assert found(tmp_path, body) == []


@pytest.mark.parametrize(
    "body",
    [
        "mov $0xc0000080, %ecx\nwrmsr",
        "mov $0xc0010117, %rcx\nwrmsr",
        "mov %ebp, %ecx\nwrmsr",
        "mov $0x49, %ecx\nmov $0x80, %cl\nwrmsr",
        "mov $0x49, %ecx\npop %rcx\nwrmsr",
        "mov $0x49, %ecx\nxchg %rax, %rcx\nwrmsr",
        "mov $0x49, %ecx\ncall _printk\nwrmsr",
        "mov $0x49, %ecx\nnop\n1: wrmsr\nmov %ebp, %ecx\nje 1b",
        "jmp 1f\nmov $0x49, %ecx\n1: nop\nwrmsr",
        "wrmsr",
    ],
)
def test_one_that_may_write_svms_is_told_of(tmp_path: Path, body: str) -> None:
    assert found(tmp_path, body) == [".text"]


RUNS_BEFORE = "mov $0x49, %ecx\nnop\n1: nop\nwrmsr\nmov %ebp, %ecx"


@pytest.mark.parametrize(
    "names",
    [
        '.section .text.unlikely,"ax"\nmov $0xc0000080, %ecx\njmp 1b',
        '.section __jump_table,"aw"\n.long enters - ., 1b - .\n.quad 0',
        '.section .rodata,"a"\n.quad 1b',
        '.section __ex_table,"a"\n.long enters - ., 1b - ., 0',
        '.section .altinstructions,"a"\n.long 1b - ., enters - .\n.word 0\n.byte 1, 1',
    ],
    ids=["cold", "static key", "switch", "fix-up", "written over"],
)
def test_one_is_told_of_when_another_section_names_code_before_it(
    tmp_path: Path, names: str
) -> None:
    assert found(tmp_path / "none", RUNS_BEFORE) == []
    assert found(tmp_path / "some", RUNS_BEFORE, f"{names}\n.text\n") == [".text"]


def test_that_one_may_fault_or_is_written_over_itself_says_nothing_of_the_code_before_it(
    tmp_path: Path,
) -> None:
    faults = '.pushsection __ex_table,"a"\n.long 8b - ., 9f - ., 8\n.popsection\n'
    over = (
        '.pushsection .altinstructions,"a"\n.long 8b - ., enters - .\n.word 0\n'
        ".byte 2, 2\n.popsection\n"
    )
    body = f"mov $0x49, %ecx\n8: wrmsr\n{faults}{over}9: nop"
    assert found(tmp_path, body) == []


def test_a_number_that_is_filled_in_or_written_over_may_be_svms(tmp_path: Path) -> None:
    filled = "mov $_printk, %ecx\nwrmsr"
    assert found(tmp_path / "filled", filled) == [".text"]
    over = '.section .altinstructions,"a"\n.long 8b - ., enters - .\n.word 0\n.byte 5, 5\n.text\n'
    body = "8: mov $0x49, %ecx\nwrmsr\nmov %ebp, %ecx"
    assert found(tmp_path / "over", body, over) == [".text"]


def test_what_the_kernel_copies_to_one_place_does_not_run_before_what_it_copies_to_another(
    tmp_path: Path,
) -> None:
    two = (
        '.section .altinstructions,"a"\n'
        ".long 7b - ., 5f - .\n.word 0\n.byte 5, 5\n"
        ".long 8b - ., 6f - .\n.word 0\n.byte 2, 2\n"
        '.section .altinstr_replacement,"ax"\n5: mov $0x49, %ecx\n6: wrmsr\n.text\n'
    )
    room = "7: nop; nop; nop; nop; nop\nmov %ebp, %ecx\n8: nop; nop"
    assert found(tmp_path, room, two) == [".altinstr_replacement"]


def alternative(at: str, length: int = 2) -> str:
    """One as the kernel's ALTERNATIVE() makes it, with a WRMSR to be written over that place."""
    return (
        '.pushsection .altinstructions,"a"\n'
        f".long {at} - ., 9f - .\n.word 0\n.byte 2, {length}\n"
        ".popsection\n"
        '.pushsection .altinstr_replacement,"ax"\n9: wrmsr\n.popsection\n'
    )


def test_of_one_that_the_kernel_copies_the_code_before_its_place_counts(tmp_path: Path) -> None:
    others, svms = ("mov $0x49, %ecx\n8: nop; nop", "mov $0xc0000080, %ecx\n8: nop; nop")
    assert found(tmp_path / "others", others + "\n" + alternative("8b")) == []
    assert found(tmp_path / "svms", svms + "\n" + alternative("8b")) == [".altinstr_replacement"]
    # Of no bytes: it is not written there.
    both = f"{others}\n{alternative('8b')}\nmov %ebp, %ecx\n8: nop; nop\n"
    shared = (
        '.pushsection .altinstructions,"a"\n'
        ".long 8b - ., 9b - .\n.word 0\n.byte 2, %d\n.popsection\n"
    )
    assert found(tmp_path / "none", both + shared % 0) == []
    assert found(tmp_path / "also", both + shared % 2) == [".altinstr_replacement"]

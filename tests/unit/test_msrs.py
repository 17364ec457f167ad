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

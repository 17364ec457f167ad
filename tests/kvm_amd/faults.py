"""Faults put into kvm_amd's source: what changes, and what is found."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from freeonce.audit.model import Rule


@dataclass(frozen=True)
class Change:
    """In a function, one line by others. `line`: without the blanks around it."""

    file: str
    function: str
    line: str
    by: str = ""


@dataclass(frozen=True)
class Fault:
    """`exercise`: of tests/debian, with one machine. `rule`: what every finding is, and of pages;
    `says`: words of a detail; `function`: who acquired the pages."""

    exercise: str
    changes: tuple[Change, ...]
    rule: Rule
    says: str = ""
    function: str = ""


class NotFoundError(Exception):
    """The source has no such place: it is another one than this fault was made for."""


USED = Rule.HARDWARE_USE_AFTER_FREE

FAULTS: Mapping[str, Fault] = {
    # CVE-2021-29657: the map was freed when EFER.SVME was cleared, and the L2 went on.
    "nested-msrpm-freed-in-guest-mode": Fault(
        "kvm-nested",
        (
            Change("svm/svm.c", "svm_set_efer", "svm_leave_nested(vcpu);"),
            Change(
                "svm/nested.c",
                "svm_free_nested",
                "if (WARN_ON_ONCE(svm->vmcb != svm->vmcb01.ptr))",
                "if (0)",
            ),
            Change(
                "svm/nested.c",
                "svm_free_nested",
                "svm_vcpu_free_msrpm(svm->nested.msrpm);",
                "if (svm->nested.msrpm) svm_vcpu_free_msrpm(svm->nested.msrpm);",
            ),
            Change(
                "svm/nested.c",
                "svm_free_nested",
                "svm->nested.msrpm = NULL;",
                "svm->nested.msrpm = NULL; if (is_guest_mode(&svm->vcpu)) return;",
            ),
        ),
        USED,
        says="MSRPM_BASE_PA (15.11)",
    ),
    # While the CPU, done with its last machine, still has EFER.SVME.
    "save-area-freed-before-svm-is-off": Fault(
        "kvm",
        (
            Change(
                "svm/svm.c",
                "svm_hardware_disable",
                "cpu_svm_disable();",
                "{ struct svm_cpu_data *sd = this_cpu_ptr(&svm_data);"
                " __free_page(sd->save_area); sd->save_area = NULL; } cpu_svm_disable();",
            ),
            Change(
                "svm/svm.c",
                "svm_hardware_enable",
                "sd = per_cpu_ptr(&svm_data, me);",
                "sd = per_cpu_ptr(&svm_data, me);"
                " if (!sd->save_area) { sd->save_area = alloc_page(GFP_ATOMIC | __GFP_ZERO);"
                " if (!sd->save_area) return -ENOMEM;"
                " sd->save_area_pa = __sme_page_pa(sd->save_area); }",
            ),
        ),
        USED,
        says="VM_HSAVE_PA (15.30.4)",
    ),
    # KVM_REQ_TLB_FLUSH that comes to nothing: the tables of a removed slot stay in the TLB.
    "tlb-not-flushed": Fault(
        "kvm",
        (
            Change("svm/svm.c", "svm_flush_tlb_current", "svm_flush_tlb_asid(vcpu);"),
            Change("svm/svm.c", "svm_flush_tlb_all", "svm_flush_tlb_asid(vcpu);"),
        ),
        USED,
        says="its TLB may still have it (15.16)",
    ),
    "msrpm-leaked": Fault(
        "kvm",
        (
            Change(
                "svm/svm.c",
                "svm_vcpu_free",
                "__free_pages(virt_to_page(svm->msrpm), get_order(MSRPM_SIZE));",
            ),
        ),
        Rule.LEAK,
        function="svm_vcpu_alloc_msrpm",
    ),
    "iopm-freed-as-msrpm": Fault(
        "kvm",
        (
            Change(
                "svm/svm.c",
                "svm_hardware_unsetup",
                "get_order(IOPM_SIZE));",
                "get_order(MSRPM_SIZE));",
            ),
        ),
        Rule.WRONG_SIZE_FREE,
    ),
}


def put(changes: Sequence[Change], source: Path) -> None:
    """Changes files of a folder like arch/x86/kvm: all, or none and raises NotFoundError."""
    texts: dict[str, str] = {}
    for change in changes:
        before = texts.get(change.file) or (source / change.file).read_text()
        texts[change.file] = changed(before, change)
    for file, text in texts.items():
        (source / file).write_text(text)


def changed(text: str, change: Change) -> str:
    """The text of a file with that line of that function changed."""
    where = f"{change.file} has no {change.function}()"
    function = re.search(
        rf"^[a-z][^;{{}}]*\b{re.escape(change.function)}\([^;{{}}]*\)\n{{\n.*?^}}",
        text,
        re.M | re.S,
    )
    if function is None:
        raise NotFoundError(where)
    lines = re.findall(rf"^[ \t]*{re.escape(change.line)}[ \t]*$", function[0], re.M)
    if len(lines) != 1:
        raise NotFoundError(f"{where} with one line {change.line!r}, but with {len(lines)}")
    body = re.sub(
        rf"^([ \t]*){re.escape(change.line)}[ \t]*$",
        lambda found: found[1] + (change.by or ";"),
        function[0],
        flags=re.M,
    )
    return text[: function.start()] + body + text[function.end() :]

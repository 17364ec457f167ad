"""The kinds of #VMEXIT: code, the manual's name, meaning, section.

AMD manual volume 2: codes and names in appendix C, the sections where each is described
(C: there only). The guest has the same table in `guest/rust/src/svm/exit.rs`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Exit:
    """One kind. `last`: of a family by register number, its last code; else the same code."""

    code: int
    name: str
    meaning: str
    section: str
    last: int

    def covers(self, code: int) -> bool:
        """Whether it is one of this kind."""
        return self.code <= code <= self.last

    @property
    def is_family(self) -> bool:
        """Whether it stands for several codes."""
        return self.last != self.code


def _one(code: int, name: str, meaning: str, section: str) -> Exit:
    return Exit(code, f"VMEXIT_{name}", meaning, section, code)


def _family(code: int, name: str, meaning: str, section: str) -> Exit:
    return Exit(code, f"VMEXIT_{name}", meaning, section, code + 15)


def _exception(vector: int, meaning: str, section: str) -> Exit:
    return _one(0x40 + vector, f"EXCP[{vector}]", meaning, f"15.12.{section}")


EXITS = (
    _family(0x00, "CR[0-15]_READ", "read of a control register", "15.9"),
    _family(0x10, "CR[0-15]_WRITE", "write of a control register", "15.9"),
    _family(0x20, "DR[0-15]_READ", "read of a debug register", "15.9"),
    _family(0x30, "DR[0-15]_WRITE", "write of a debug register", "15.9"),
    _exception(0, "#DE", "1"),
    _exception(1, "#DB", "2"),
    _exception(3, "#BP", "4"),
    _exception(4, "#OF", "5"),
    _exception(5, "#BR", "6"),
    _exception(6, "#UD", "7"),
    _exception(7, "#NM", "8"),
    _exception(8, "#DF", "9"),
    _exception(10, "#TS", "11"),
    _exception(11, "#NP", "12"),
    _exception(12, "#SS", "13"),
    _exception(13, "#GP", "14"),
    _exception(14, "#PF", "15"),
    _exception(16, "#MF", "16"),
    _exception(17, "#AC", "17"),
    _exception(18, "#MC", "18"),
    _exception(19, "#XF", "19"),
    _exception(21, "#CP", "21"),
    _exception(30, "#SX", "20"),
    _one(0x60, "INTR", "interrupt of the host", "15.13.1"),
    _one(0x61, "NMI", "NMI of the host", "15.13.2"),
    _one(0x62, "SMI", "SMI of the host", "15.13.3"),
    _one(0x63, "INIT", "INIT of the host", "15.13.4"),
    _one(0x64, "VINTR", "virtual interrupt about to be taken", "15.13.5"),
    _one(0x65, "CR0_SEL_WRITE", "write of CR0 that changes more than TS and MP", "15.9"),
    _one(0x66, "IDTR_READ", "SIDT", "15.9"),
    _one(0x67, "GDTR_READ", "SGDT", "15.9"),
    _one(0x68, "LDTR_READ", "SLDT", "15.9"),
    _one(0x69, "TR_READ", "STR", "15.9"),
    _one(0x6A, "IDTR_WRITE", "LIDT", "15.9"),
    _one(0x6B, "GDTR_WRITE", "LGDT", "15.9"),
    _one(0x6C, "LDTR_WRITE", "LLDT", "15.9"),
    _one(0x6D, "TR_WRITE", "LTR", "15.9"),
    _one(0x6E, "RDTSC", "RDTSC", "15.9"),
    _one(0x6F, "RDPMC", "RDPMC", "15.9"),
    _one(0x70, "PUSHF", "PUSHF", "15.9"),
    _one(0x71, "POPF", "POPF", "15.9"),
    _one(0x72, "CPUID", "CPUID", "15.9"),
    _one(0x73, "RSM", "RSM", "15.9"),
    _one(0x74, "IRET", "IRET", "15.9"),
    _one(0x75, "SWINT", "INT n", "15.9"),
    _one(0x76, "INVD", "INVD", "15.9"),
    _one(0x77, "PAUSE", "PAUSE", "15.9"),
    _one(0x78, "HLT", "HLT", "15.9"),
    _one(0x79, "INVLPG", "INVLPG", "15.9"),
    _one(0x7A, "INVLPGA", "INVLPGA", "15.9"),
    _one(0x7B, "IOIO", "IN, OUT, INS, OUTS by the IOPM", "15.10"),
    _one(0x7C, "MSR", "RDMSR, WRMSR by the MSRPM", "15.11"),
    _one(0x7D, "TASK_SWITCH", "task switch", "15.14.1"),
    _one(0x7E, "FERR_FREEZE", "the CPU freezes for FERR", "15.14.2"),
    _one(0x7F, "SHUTDOWN", "shutdown, as by a triple fault", "15.14.3"),
    _one(0x80, "VMRUN", "VMRUN", "15.9"),
    _one(0x81, "VMMCALL", "VMMCALL", "15.9"),
    _one(0x82, "VMLOAD", "VMLOAD", "15.9"),
    _one(0x83, "VMSAVE", "VMSAVE", "15.9"),
    _one(0x84, "STGI", "STGI", "15.9"),
    _one(0x85, "CLGI", "CLGI", "15.9"),
    _one(0x86, "SKINIT", "SKINIT", "15.9"),
    _one(0x87, "RDTSCP", "RDTSCP", "15.9"),
    _one(0x88, "ICEBP", "ICEBP", "15.9"),
    _one(0x89, "WBINVD", "WBINVD, WBNOINVD", "15.9"),
    _one(0x8A, "MONITOR", "MONITOR, MONITORX", "15.9"),
    _one(0x8B, "MWAIT", "MWAIT, MWAITX", "15.9"),
    _one(0x8C, "MWAIT_CONDITIONAL", "MWAIT when the monitor is armed", "15.9"),
    _one(0x8D, "XSETBV", "XSETBV", "15.9"),
    _one(0x8E, "RDPRU", "RDPRU", "15.9"),
    _one(0x8F, "EFER_WRITE_TRAP", "after a write of EFER", "15.35.10"),
    _family(0x90, "CR[0-15]_WRITE_TRAP", "after a write of a control register", "15.35.10"),
    _one(0xA0, "INVLPGB", "INVLPGB", "15.9"),
    _one(0xA1, "INVLPGB_ILLEGAL", "INVLPGB in a way that it cannot be used", "15.9"),
    _one(0xA2, "INVPCID", "INVPCID", "15.9"),
    _one(0xA3, "MCOMMIT", "MCOMMIT", "C"),
    _one(0xA4, "TLBSYNC", "TLBSYNC", "15.9"),
    _one(0xA5, "BUSLOCK", "bus lock over the threshold", "15.14.5"),
    _one(0xA6, "IDLE_HLT", "HLT without a virtual interrupt pending", "15.9"),
    _one(0x400, "NPF", "nested page fault", "15.25.6"),
    _one(0x401, "AVIC_INCOMPLETE_IPI", "AVIC cannot deliver an IPI", "15.29.9.1"),
    _one(0x402, "AVIC_NOACCEL", "access to the APIC that AVIC does not do", "15.29.9.2"),
    _one(0x403, "VMGEXIT", "VMGEXIT", "C"),
    _one(0xFFFFFFFF, "INVALID", "VMRUN refused the VMCB", "15.5.1"),
    _one(0xFFFFFFFE, "BUSY", "the VMSA is in use", "C"),
    _one(0xFFFFFFFD, "IDLE_REQUIRED", "a sibling thread is not idle", "C"),
    _one(0xFFFFFFFC, "INVALID_PMC", "VMRUN refused the state of the counters", "C"),
)
"""By code; negative ones as a `vmexit` record has them: the low half."""


def exit_name(code: int) -> str:
    """The manual's name of an exit code, with the register's number; the code itself if unknown.

    `code`: EXITCODE, or its low half as a `vmexit` record has it.
    """
    low = code & 0xFFFFFFFF
    kind = next((one for one in EXITS if one.covers(low)), None)
    return f"{low:#x}" if kind is None else kind.name.replace("[0-15]", str(low - kind.code))

"""Names of #VMEXIT codes (AMD manual volume 2, appendix C). Pure."""

_SINGLE = {
    0x60: "INTR",
    0x61: "NMI",
    0x62: "SMI",
    0x63: "INIT",
    0x64: "VINTR",
    0x65: "CR0_SEL_WRITE",
    0x66: "IDTR_READ",
    0x67: "GDTR_READ",
    0x68: "LDTR_READ",
    0x69: "TR_READ",
    0x6A: "IDTR_WRITE",
    0x6B: "GDTR_WRITE",
    0x6C: "LDTR_WRITE",
    0x6D: "TR_WRITE",
    0x6E: "RDTSC",
    0x6F: "RDPMC",
    0x70: "PUSHF",
    0x71: "POPF",
    0x72: "CPUID",
    0x73: "RSM",
    0x74: "IRET",
    0x75: "SWINT",
    0x76: "INVD",
    0x77: "PAUSE",
    0x78: "HLT",
    0x79: "INVLPG",
    0x7A: "INVLPGA",
    0x7B: "IOIO",
    0x7C: "MSR",
    0x7D: "TASK_SWITCH",
    0x7E: "FERR_FREEZE",
    0x7F: "SHUTDOWN",
    0x80: "VMRUN",
    0x81: "VMMCALL",
    0x82: "VMLOAD",
    0x83: "VMSAVE",
    0x84: "STGI",
    0x85: "CLGI",
    0x86: "SKINIT",
    0x87: "RDTSCP",
    0x88: "ICEBP",
    0x89: "WBINVD",
    0x8A: "MONITOR",
    0x8B: "MWAIT",
    0x8C: "MWAIT_CONDITIONAL",
    0x8D: "XSETBV",
    0x8E: "RDPRU",
    0x8F: "EFER_WRITE_TRAP",
    0x400: "NPF",
    0xFFFFFFFF: "INVALID",
}
# First code, last code, name with the number within.
_RANGES = (
    (0x00, 0x0F, "CR{}_READ"),
    (0x10, 0x1F, "CR{}_WRITE"),
    (0x20, 0x2F, "DR{}_READ"),
    (0x30, 0x3F, "DR{}_WRITE"),
    (0x40, 0x5F, "EXCP{}"),
)


def exit_name(code: int) -> str:
    """The manual's name of an exit code, without `VMEXIT_`; the number for any other code.

    `code`: the lower 32 bits of EXITCODE, as the ledger has it.
    """
    for first, last, name in _RANGES:
        if first <= code <= last:
            return name.format(code - first)
    return _SINGLE.get(code, f"{code:#x}")

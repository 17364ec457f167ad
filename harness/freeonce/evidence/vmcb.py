"""The VMCB's fields by name. AMD manual volume 2, appendix B: B-1 control area, B-2 state save."""

from dataclasses import dataclass

VMCB_BYTES = 4096


@dataclass(frozen=True)
class Field:
    """One field: its `offset` and `size` in bytes, little-endian."""

    name: str
    offset: int
    size: int

    def value(self, vmcb: bytes) -> int:
        """What stands in it."""
        return int.from_bytes(vmcb[self.offset : self.offset + self.size], "little")


def _segment(name: str, offset: int) -> tuple[Field, ...]:
    return (
        Field(f"{name}.selector", offset, 2),
        Field(f"{name}.attributes", offset + 2, 2),
        Field(f"{name}.limit", offset + 4, 4),
        Field(f"{name}.base", offset + 8, 8),
    )


CONTROL_AREA = (
    Field("intercept_cr", 0x00, 4),
    Field("intercept_dr", 0x04, 4),
    Field("intercept_exceptions", 0x08, 4),
    Field("intercept_3", 0x0C, 4),
    Field("intercept_4", 0x10, 4),
    Field("intercept_5", 0x14, 4),
    Field("pause_filter_threshold", 0x3C, 2),
    Field("pause_filter_count", 0x3E, 2),
    Field("iopm_base", 0x40, 8),
    Field("msrpm_base", 0x48, 8),
    Field("tsc_offset", 0x50, 8),
    Field("asid", 0x58, 4),
    Field("tlb_control", 0x5C, 4),
    Field("interrupt_control", 0x60, 8),
    Field("interrupt_shadow", 0x68, 8),
    Field("exit_code", 0x70, 8),
    Field("exit_info_1", 0x78, 8),
    Field("exit_info_2", 0x80, 8),
    Field("exit_interrupt_info", 0x88, 8),
    Field("nested_control", 0x90, 8),
    Field("avic_apic_bar", 0x98, 8),
    Field("ghcb", 0xA0, 8),
    Field("event_injection", 0xA8, 8),
    Field("nested_cr3", 0xB0, 8),
    Field("lbr_virtualization", 0xB8, 8),
    Field("clean_bits", 0xC0, 4),
    Field("next_rip", 0xC8, 8),
    Field("fetched_bytes", 0xD0, 1),
    Field("instruction_bytes", 0xD1, 15),
    Field("avic_backing_page", 0xE0, 8),
    Field("avic_logical_table", 0xF0, 8),
    Field("avic_physical_table", 0xF8, 8),
    Field("vmsa", 0x108, 8),
)

STATE_SAVE_AREA = (
    *_segment("es", 0x400),
    *_segment("cs", 0x410),
    *_segment("ss", 0x420),
    *_segment("ds", 0x430),
    *_segment("fs", 0x440),
    *_segment("gs", 0x450),
    *_segment("gdtr", 0x460),
    *_segment("ldtr", 0x470),
    *_segment("idtr", 0x480),
    *_segment("tr", 0x490),
    Field("cpl", 0x4CB, 1),
    Field("efer", 0x4D0, 8),
    Field("cr4", 0x548, 8),
    Field("cr3", 0x550, 8),
    Field("cr0", 0x558, 8),
    Field("dr7", 0x560, 8),
    Field("dr6", 0x568, 8),
    Field("rflags", 0x570, 8),
    Field("rip", 0x578, 8),
    Field("rsp", 0x5D8, 8),
    Field("s_cet", 0x5E0, 8),
    Field("ssp", 0x5E8, 8),
    Field("isst_addr", 0x5F0, 8),
    Field("rax", 0x5F8, 8),
    Field("star", 0x600, 8),
    Field("lstar", 0x608, 8),
    Field("cstar", 0x610, 8),
    Field("sfmask", 0x618, 8),
    Field("kernel_gs_base", 0x620, 8),
    Field("sysenter_cs", 0x628, 8),
    Field("sysenter_esp", 0x630, 8),
    Field("sysenter_eip", 0x638, 8),
    Field("cr2", 0x640, 8),
    Field("guest_pat", 0x668, 8),
    Field("dbgctl", 0x670, 8),
    Field("br_from", 0x678, 8),
    Field("br_to", 0x680, 8),
    Field("last_excp_from", 0x688, 8),
    Field("last_excp_to", 0x690, 8),
)

FIELDS = (*CONTROL_AREA, *STATE_SAVE_AREA)

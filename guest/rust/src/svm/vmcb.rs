// SPDX-License-Identifier: GPL-2.0
//! The VMCB. AMD manual volume 2, appendix B: B-1 control area, B-2 state-save area.

use super::Exit;
use core::mem::offset_of;
use core::ptr;

#[repr(C)]
#[derive(Clone, Copy)]
struct Segment {
    selector: u16,
    attributes: u16,
    limit: u32,
    base: u64,
}

/// Only what we set or read is named.
#[repr(C, align(4096))]
pub struct Vmcb {
    intercept_cr: u32,
    intercept_dr: u32,
    intercept_exceptions: u32,
    intercept_3: u32,
    intercept_4: u32,
    _reserved_1: [u8; 0x2c],
    iopm_base: u64,
    msrpm_base: u64,
    tsc_offset: u64,
    asid: u32,
    tlb_control: u32,
    interrupt_control: u64,
    interrupt_shadow: u64,
    exit_code: u64,
    exit_info_1: u64,
    exit_info_2: u64,
    exit_interrupt_info: u64,
    nested_paging: u64,
    _reserved_2: [u8; 0x18],
    nested_cr3: u64,
    _reserved_3: [u8; 0x348],
    es: Segment,
    cs: Segment,
    ss: Segment,
    ds: Segment,
    fs: Segment,
    gs: Segment,
    gdtr: Segment,
    ldtr: Segment,
    idtr: Segment,
    tr: Segment,
    _reserved_4: [u8; 0x30],
    efer: u64,
    _reserved_5: [u8; 0x70],
    cr4: u64,
    cr3: u64,
    cr0: u64,
    dr7: u64,
    dr6: u64,
    rflags: u64,
    rip: u64,
    _reserved_6: [u8; 0x58],
    rsp: u64,
    _reserved_7: [u8; 0x18],
    rax: u64,
    _reserved_8: [u8; 0x68],
    guest_pat: u64,
    _reserved_9: [u8; 0x990],
}

const _: () = {
    assert!(size_of::<Vmcb>() == 4096);
    assert!(offset_of!(Vmcb, iopm_base) == 0x40);
    assert!(offset_of!(Vmcb, asid) == 0x58);
    assert!(offset_of!(Vmcb, interrupt_control) == 0x60);
    assert!(offset_of!(Vmcb, exit_code) == 0x70);
    assert!(offset_of!(Vmcb, nested_paging) == 0x90);
    assert!(offset_of!(Vmcb, nested_cr3) == 0xb0);
    assert!(offset_of!(Vmcb, es) == 0x400);
    assert!(offset_of!(Vmcb, efer) == 0x4d0);
    assert!(offset_of!(Vmcb, cr4) == 0x548);
    assert!(offset_of!(Vmcb, rip) == 0x578);
    assert!(offset_of!(Vmcb, rsp) == 0x5d8);
    assert!(offset_of!(Vmcb, rax) == 0x5f8);
    assert!(offset_of!(Vmcb, guest_pat) == 0x668);
};

// Intercepts at offset 0x0c and 0x10 (B-1).
const INTR: u32 = 1 << 0;
const NMI: u32 = 1 << 1;
const CPUID: u32 = 1 << 18;
const HLT: u32 = 1 << 24;
const IOIO: u32 = 1 << 27;
const MSR: u32 = 1 << 28;
const SHUTDOWN: u32 = 1 << 31;
const VMRUN: u32 = 1 << 0; // 15.5.1: mandatory
const VMMCALL: u32 = 1 << 1;

const V_INTR_MASKING: u64 = 1 << 24; // 15.21.1
const FLUSH_ALL: u32 = 1; // 15.16.1
const SVME: u64 = 1 << 12;
const RESERVED_RFLAGS: u64 = 1 << 1;
const RESET_CR0: u64 = 1 << 4; // ET; real mode, no paging
const RESET_DR6: u64 = 0xffff_0ff0;
const RESET_DR7: u64 = 0x400;
const RESET_PAT: u64 = 0x0007_0406_0007_0406;

impl Segment {
    const fn reset(attributes: u16) -> Self {
        Segment { selector: 0, attributes, limit: 0xffff, base: 0 }
    }
}

impl Vmcb {
    /// Real mode at gpa 0, nested paging, everything that could hang or crash L1 intercepted.
    pub fn real_mode(&mut self, iopm: u64, msrpm: u64, nested_cr3: u64) {
        self.intercept_exceptions = u32::MAX;
        self.intercept_3 = INTR | NMI | CPUID | HLT | IOIO | MSR | SHUTDOWN;
        self.intercept_4 = VMRUN | VMMCALL;
        self.iopm_base = iopm;
        self.msrpm_base = msrpm;
        self.asid = 1; // 0 is the host's
        self.tlb_control = FLUSH_ALL;
        self.interrupt_control = V_INTR_MASKING;
        self.nested_paging = 1;
        self.nested_cr3 = nested_cr3;

        self.cs = Segment::reset(0x9b);
        let data = Segment::reset(0x93);
        (self.es, self.ss, self.ds, self.fs, self.gs) = (data, data, data, data, data);
        self.ldtr = Segment::reset(0x82);
        self.tr = Segment::reset(0x8b);
        (self.gdtr, self.idtr) = (Segment::reset(0), Segment::reset(0));
        self.efer = SVME;
        self.cr0 = RESET_CR0;
        self.dr6 = RESET_DR6;
        self.dr7 = RESET_DR7;
        self.rflags = RESERVED_RFLAGS;
        self.guest_pat = RESET_PAT;
    }

    /// The CPU wrote it, behind the compiler's back.
    pub fn exit(&self) -> Exit {
        // SAFETY: a field of ours.
        Exit::from(unsafe { ptr::read_volatile(&self.exit_code) })
    }

    pub fn advance(&mut self, bytes: u64) {
        // SAFETY: a field of ours; the CPU reads and writes it.
        unsafe { ptr::write_volatile(&mut self.rip, ptr::read_volatile(&self.rip) + bytes) }
    }
}

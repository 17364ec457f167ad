// SPDX-License-Identifier: GPL-2.0
//! The VMCB. AMD manual volume 2, appendix B: B-1 control area, B-2 state-save area.

use super::Exit;
use core::mem::offset_of;
use core::ptr;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Segment {
    pub selector: u16,
    pub attributes: u16,
    pub limit: u32,
    pub base: u64,
}

/// Only what we set or read is named.
#[repr(C, align(4096))]
#[derive(Clone, Copy)]
pub struct Vmcb {
    pub intercept_cr: u32,
    pub intercept_dr: u32,
    pub intercept_exceptions: u32,
    pub intercept_3: u32,
    pub intercept_4: u32,
    _reserved_1: [u8; 0x2c],
    pub iopm_base: u64,
    pub msrpm_base: u64,
    pub tsc_offset: u64,
    pub asid: u32,
    pub tlb_control: u32,
    pub interrupt_control: u64,
    pub interrupt_shadow: u64,
    pub exit_code: u64,
    pub exit_info_1: u64,
    pub exit_info_2: u64,
    pub exit_interrupt_info: u64,
    pub nested_control: u64,
    _reserved_2: [u8; 0x10],
    pub event_injection: u64,
    pub nested_cr3: u64,
    _reserved_3: [u8; 0x348],
    pub es: Segment,
    pub cs: Segment,
    pub ss: Segment,
    pub ds: Segment,
    pub fs: Segment,
    pub gs: Segment,
    pub gdtr: Segment,
    pub ldtr: Segment,
    pub idtr: Segment,
    pub tr: Segment,
    _reserved_4: [u8; 0x2b],
    pub cpl: u8,
    _reserved_5: [u8; 4],
    pub efer: u64,
    _reserved_6: [u8; 0x70],
    pub cr4: u64,
    pub cr3: u64,
    pub cr0: u64,
    pub dr7: u64,
    pub dr6: u64,
    pub rflags: u64,
    pub rip: u64,
    _reserved_7: [u8; 0x58],
    pub rsp: u64,
    _reserved_8: [u8; 0x18],
    pub rax: u64,
    _reserved_9: [u8; 0x68],
    pub guest_pat: u64,
    _reserved_10: [u8; 0x990],
}

const _: () = {
    assert!(size_of::<Vmcb>() == 4096);
    assert!(offset_of!(Vmcb, iopm_base) == 0x40);
    assert!(offset_of!(Vmcb, asid) == 0x58);
    assert!(offset_of!(Vmcb, interrupt_control) == 0x60);
    assert!(offset_of!(Vmcb, exit_code) == 0x70);
    assert!(offset_of!(Vmcb, nested_control) == 0x90);
    assert!(offset_of!(Vmcb, event_injection) == 0xa8);
    assert!(offset_of!(Vmcb, nested_cr3) == 0xb0);
    assert!(offset_of!(Vmcb, es) == 0x400);
    assert!(offset_of!(Vmcb, cpl) == 0x4cb);
    assert!(offset_of!(Vmcb, efer) == 0x4d0);
    assert!(offset_of!(Vmcb, cr4) == 0x548);
    assert!(offset_of!(Vmcb, rip) == 0x578);
    assert!(offset_of!(Vmcb, rsp) == 0x5d8);
    assert!(offset_of!(Vmcb, rax) == 0x5f8);
    assert!(offset_of!(Vmcb, guest_pat) == 0x668);
};

/// One intercept bit: the word at offset 0x0c or 0x10 (B-1) and the bit in it.
#[derive(Clone, Copy)]
pub enum Intercept {
    Third(u32),
    Fourth(u32),
}

impl Intercept {
    pub const VINTR: Self = Intercept::Third(4);
    pub const CR0_SEL_WRITE: Self = Intercept::Third(5);
    pub const RDTSC: Self = Intercept::Third(14);
    pub const PUSHF: Self = Intercept::Third(16);
    pub const POPF: Self = Intercept::Third(17);
    pub const CPUID: Self = Intercept::Third(18);
    pub const IRET: Self = Intercept::Third(20);
    pub const SWINT: Self = Intercept::Third(21);
    pub const MSR: Self = Intercept::Third(28);
    pub const VMRUN: Self = Intercept::Fourth(0);
    pub const VMMCALL: Self = Intercept::Fourth(1);
}

/// All of them but CR0_SEL_WRITE, which is only looked at when CR0 writes go through, and
/// those that a program does by the way: PUSHF, POPF, IRET, SWINT.
const ALL_OF_THIRD: u32 = !(1 << 5 | 1 << 16 | 1 << 17 | 1 << 20 | 1 << 21);
/// VMRUN to RDPRU; the write traps behind them come after the write.
const ALL_OF_FOURTH: u32 = 0x7fff & !(1 << 12);

const V_IRQ: u64 = 1 << 8;
const V_IGN_TPR: u64 = 1 << 20;
const V_INTR_MASKING: u64 = 1 << 24; // 15.21.1
const FLUSH_ALL: u32 = 1; // 15.16.1
const RESERVED_RFLAGS: u64 = 1 << 1;
const RESET_DR6: u64 = 0xffff_0ff0;
const RESET_DR7: u64 = 0x400;
const RESET_PAT: u64 = 0x0007_0406_0007_0406;
const NESTED_PAGING: u64 = 1;
const EVENT_VALID: u64 = 1 << 31;
const EVENT_HAS_ERROR: u64 = 1 << 11;

pub const EFER_SVME: u64 = 1 << 12;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
const EFER_NXE: u64 = 1 << 11;
const CR0_PE: u64 = 1 << 0;
const CR0_MP: u64 = 1 << 1;
pub const CR0_TS: u64 = 1 << 3;
const CR0_ET: u64 = 1 << 4;
const CR0_NE: u64 = 1 << 5;
pub const CR0_AM: u64 = 1 << 18;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const CR4_OSFXSR: u64 = 1 << 9;
const CR4_OSXMMEXCPT: u64 = 1 << 10;
const CR4_OSXSAVE: u64 = 1 << 18;

impl Segment {
    const fn new(selector: u16, attributes: u16, limit: u32, base: u64) -> Self {
        Segment { selector, attributes, limit, base }
    }
}

/// What an event that VMRUN injects is (15.20).
pub enum Event {
    Interrupt(u8),
    /// Without an error code.
    Exception(u8),
    /// With its error code.
    Fault(u8, u32),
    Software(u8),
}

impl Vmcb {
    /// What every L2 has: everything intercepted that could hang or crash L1, and more.
    pub fn guarded(&mut self, asid: u32, iopm: u64, msrpm: u64) {
        self.intercept_cr = u32::MAX;
        self.intercept_dr = u32::MAX;
        self.intercept_exceptions = u32::MAX;
        self.intercept_3 = ALL_OF_THIRD;
        self.intercept_4 = ALL_OF_FOURTH;
        self.iopm_base = iopm;
        self.msrpm_base = msrpm;
        self.asid = asid; // 0 is the host's
        self.tlb_control = FLUSH_ALL;
        self.interrupt_control = V_INTR_MASKING;
        self.dr6 = RESET_DR6;
        self.dr7 = RESET_DR7;
        self.rflags = RESERVED_RFLAGS;
        self.guest_pat = RESET_PAT;
    }

    pub fn nested(&mut self, nested_cr3: u64) {
        self.nested_control = NESTED_PAGING;
        self.nested_cr3 = nested_cr3;
    }

    /// Real mode with all segments at 0.
    pub fn real_mode(&mut self, rip: u64, rsp: u64) {
        let data = Segment::new(0, 0x93, 0xffff, 0);
        self.cs = Segment::new(0, 0x9b, 0xffff, 0);
        (self.es, self.ss, self.ds, self.fs, self.gs) = (data, data, data, data, data);
        self.ldtr = Segment::new(0, 0x82, 0xffff, 0);
        self.tr = Segment::new(0, 0x8b, 0xffff, 0);
        (self.gdtr, self.idtr) = (Segment::new(0, 0, 0xffff, 0), Segment::new(0, 0, 0xffff, 0));
        self.efer = EFER_SVME;
        self.cr0 = CR0_ET;
        (self.rip, self.rsp) = (rip, rsp);
    }

    /// 32-bit protected mode at CPL 0, without paging.
    pub fn protected_mode(&mut self, tables: &super::memory::Tables, rip: u64, rsp: u64) {
        self.long_mode(tables, rip, rsp);
        self.cs = Segment::new(tables.code_32, 0xc9b, u32::MAX, 0);
        self.efer = EFER_SVME;
        self.cr0 &= !CR0_PG;
        self.cr4 &= !CR4_PAE;
        self.cr3 = 0;
    }

    /// Long mode at CPL 0 with tables of its own.
    pub fn long_mode(&mut self, tables: &super::memory::Tables, rip: u64, rsp: u64) {
        let data = Segment::new(tables.data, 0xc93, u32::MAX, 0);
        self.cs = Segment::new(tables.code, 0xa9b, u32::MAX, 0);
        (self.es, self.ss, self.ds, self.fs, self.gs) = (data, data, data, data, data);
        self.ldtr = Segment::new(0, 0x82, 0xffff, 0);
        self.tr = Segment::new(tables.task, 0x8b, tables.task_limit, tables.task_base);
        self.gdtr = Segment::new(0, 0, tables.gdt_limit, tables.gdt_base);
        self.idtr = Segment::new(0, 0, tables.idt_limit, tables.idt_base);
        self.efer = EFER_SVME | EFER_LME | EFER_LMA | EFER_NXE;
        self.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_PG;
        self.cr3 = tables.cr3;
        self.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
        if super::cpuid(1, 0).ecx & 1 << 26 != 0 {
            self.cr4 |= CR4_OSXSAVE;
        }
        (self.rip, self.rsp) = (rip, rsp);
    }

    pub fn intercept(&mut self, what: Intercept, on: bool) {
        let (word, bit) = match what {
            Intercept::Third(bit) => (&mut self.intercept_3, bit),
            Intercept::Fourth(bit) => (&mut self.intercept_4, bit),
        };
        *word = if on { *word | 1 << bit } else { *word & !(1 << bit) };
    }

    pub fn inject(&mut self, event: Event) {
        let (kind, vector, error) = match event {
            Event::Interrupt(vector) => (0, vector, 0),
            Event::Exception(vector) => (3, vector, 0),
            Event::Fault(vector, code) => (3, vector, EVENT_HAS_ERROR | u64::from(code) << 32),
            Event::Software(vector) => (4, vector, 0),
        };
        self.event_injection = EVENT_VALID | kind << 8 | u64::from(vector) | error;
    }

    pub fn virtual_interrupt(&mut self, vector: u8) {
        self.interrupt_control |= V_IRQ | V_IGN_TPR | u64::from(vector) << 32;
    }

    pub fn no_virtual_interrupt(&mut self) {
        self.interrupt_control &= !V_IRQ;
    }

    /// The CPU wrote it, behind the compiler's back.
    pub fn exit_code(&self) -> u64 {
        // SAFETY: a field of ours.
        unsafe { ptr::read_volatile(&self.exit_code) }
    }

    pub fn exit(&self) -> Exit {
        Exit::from(self.exit_code())
    }

    pub fn info_1(&self) -> u64 {
        // SAFETY: as above.
        unsafe { ptr::read_volatile(&self.exit_info_1) }
    }

    pub fn info_2(&self) -> u64 {
        // SAFETY: as above.
        unsafe { ptr::read_volatile(&self.exit_info_2) }
    }

    pub fn rip(&self) -> u64 {
        // SAFETY: as above.
        unsafe { ptr::read_volatile(&self.rip) }
    }

    pub fn set_rip(&mut self, rip: u64) {
        // SAFETY: a field of ours; the CPU reads and writes it.
        unsafe { ptr::write_volatile(&mut self.rip, rip) }
    }

    pub fn rax(&self) -> u64 {
        // SAFETY: as above.
        unsafe { ptr::read_volatile(&self.rax) }
    }

    pub fn set_rax(&mut self, rax: u64) {
        // SAFETY: as above.
        unsafe { ptr::write_volatile(&mut self.rax, rax) }
    }

    /// The next VMRUN empties the L2's TLB (15.16.1).
    pub fn flush(&mut self) {
        // SAFETY: a field of ours; the CPU reads it.
        unsafe { ptr::write_volatile(&mut self.tlb_control, FLUSH_ALL) }
    }

    /// The next VMRUN flushes nothing; the CPU leaves the field as it is.
    pub fn flush_nothing(&mut self) {
        // SAFETY: as above.
        unsafe { ptr::write_volatile(&mut self.tlb_control, 0) }
    }
}

// SPDX-License-Identifier: GPL-2.0
//! An L2, and one entry into it.

use super::memory::{self, Memory};
use super::npt::{NestedPageTable, TableFlags};
use super::program::Mode;
use super::vmcb::Vmcb;
use super::{Exit, Given, IOPM_BYTES, MSRPM_BYTES, Pages, Physical, Program, Svm, zeroed};
use crate::kernel::{self, Vcpu};
use crate::ledger::step;
use crate::physical::gpa;
use crate::scenario::{Failed, UNEXPECTED};
use alloc::boxed::Box;

/// How an L2's addresses become L1's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Paging {
    /// By its own page tables alone, which lead to L1's memory.
    Own,
    /// By a nested page table as well (15.25).
    Nested,
}

/// How much of an L2 L1 bears.
pub struct Budget {
    exits: u32,
    until: u64,
}

impl Budget {
    pub fn new(exits: u32, milliseconds: u64) -> Self {
        let until = kernel::freeonce_nanoseconds() + milliseconds * 1_000_000;
        Budget { exits, until }
    }

    fn spend(&mut self) -> Result<(), Failed> {
        if self.exits == 0 || kernel::freeonce_nanoseconds() > self.until {
            step("budget spent");
            return Err(OVER_BUDGET);
        }
        self.exits -= 1;
        Ok(())
    }
}

/// ETIME.
pub const OVER_BUDGET: Failed = Failed(-62);

impl Default for Budget {
    fn default() -> Self {
        Budget::new(10_000, 5_000)
    }
}

/// The L2 may be entered until this is dropped: from then on the CPU has no claim on its memory.
pub struct Bound(pub(crate) Box<Given<Vcpu>>);

impl Drop for Bound {
    fn drop(&mut self) {
        // SAFETY: the VMCB lives: whoever owns both declares this first.
        unsafe { kernel::freeonce_vcpu_unbind(self.0.get()) }
    }
}

/// An L2 and all that the CPU is given with it.
///
/// Whoever may change its VMCB, its permission maps or its page tables decides what the CPU writes, and
/// where: that is `unsafe`.
pub struct L2 {
    pub(super) parts: Parts,
}

/// What an L2 consists of, for who is to break it.
// In the order in which they are dropped: unbound first.
pub struct Parts {
    pub(crate) bound: Bound,
    pub(crate) vmcb: Physical<Given<Vmcb>>,
    /// What VMSAVE of the host goes to; the world switch brings it back.
    pub(crate) host_vmcb: Physical<Given<Pages<4096>>>,
    pub(crate) iopm: Physical<Pages<IOPM_BYTES>>,
    pub(crate) msrpm: Physical<Pages<MSRPM_BYTES>>,
    pub(crate) memory: Memory,
    pub(crate) npt: Option<NestedPageTable>,
}

/// For a root, the tables below it and no spare.
const TABLES: usize = 5;

impl L2 {
    /// `asid`: not 0; others may have it too. Without nested paging the L2 must be in long mode.
    pub fn try_new(program: &Program, paging: Paging, asid: u32) -> Result<Self, Failed> {
        Self::try_with_tables(program, paging, asid, 0)
    }

    /// With room for so many nested page tables more.
    pub fn try_with_tables(
        program: &Program,
        paging: Paging,
        asid: u32,
        more: usize,
    ) -> Result<Self, Failed> {
        let nested = paging == Paging::Nested;
        if program.mode() != Mode::Long && !nested {
            return Err(UNEXPECTED);
        }
        // SAFETY: bytes and the VMCB's integers are valid as zeros.
        let (mut vmcb, host_vmcb, mut iopm, mut msrpm) = unsafe {
            (
                zeroed::<Given<Vmcb>>()?,
                zeroed::<Given<Pages<4096>>>()?,
                zeroed::<Pages<IOPM_BYTES>>()?,
                zeroed::<Pages<MSRPM_BYTES>>()?,
            )
        };
        iopm.0.fill(0xff);
        msrpm.0.fill(0xff);
        let mut memory = Memory::try_new(nested)?;
        if !memory.load(program.code()) {
            return Err(UNEXPECTED);
        }
        vmcb.guarded(asid, gpa(&*iopm), gpa(&*msrpm));
        let npt = if nested { Some(nested_table(&memory, TABLES + more)?) } else { None };
        if let Some(npt) = &npt {
            vmcb.nested(npt.root());
        }
        let tables = memory.tables(nested);
        match program.mode() {
            Mode::Real => vmcb.real_mode(memory::CODE, memory::STACK_TOP),
            Mode::Protected => vmcb.protected_mode(&tables, memory::CODE, memory::STACK_TOP),
            Mode::Long => vmcb.long_mode(&tables, memory::CODE, memory::STACK_TOP),
        }
        let bound = Bound(Box::try_new(Given::new(Vcpu::of(&vmcb, gpa(&*host_vmcb))))?);
        Ok(L2 { parts: Parts { bound, vmcb, host_vmcb, iopm, msrpm, memory, npt } })
    }

    /// Gives the CPU its addresses now and not at the first entry.
    pub fn bind(&mut self) -> Result<(), Failed> {
        // SAFETY: all that the VMCB reaches is ours.
        match unsafe { kernel::freeonce_vcpu_bind(self.parts.bound.0.get()) } {
            0 => Ok(()),
            error => Err(Failed(error)),
        }
    }

    /// One VMRUN, whatever ends it. It flushes the TLB of this CPU (15.16.1): that keeps what an L2
    /// had under an ASID beyond its VMRUNs, its pages and its life, for whoever is next under it.
    pub fn enter(&mut self, svm: &Svm) -> Result<Exit, Failed> {
        self.parts.vmcb.flush();
        // SAFETY: nothing is left in the TLB.
        unsafe { self.enter_as_told(svm) }
    }

    /// One VMRUN that flushes nothing.
    ///
    /// ```compile_fail
    /// use freeonce::{scenario::Failed, svm::{Exit, L2, Svm}};
    ///
    /// fn enter(l2: &mut L2, svm: &Svm) -> Result<Exit, Failed> {
    ///     l2.enter_unflushed(svm) // error[E0133]: call to unsafe function
    /// }
    /// ```
    ///
    /// # Safety
    /// What the TLB of this CPU has under this ASID leads into memory that this L2 may use.
    pub unsafe fn enter_unflushed(&mut self, svm: &Svm) -> Result<Exit, Failed> {
        self.parts.vmcb.flush_nothing();
        // SAFETY: by the contract.
        unsafe { self.enter_as_told(svm) }
    }

    /// One VMRUN, by what the VMCB says of the TLB.
    ///
    /// # Safety
    /// What it leaves there leads into memory that this L2 may use.
    unsafe fn enter_as_told(&mut self, _svm: &Svm) -> Result<Exit, Failed> {
        // SAFETY: SVM is on here, every address in the VMCB leads into memory that we own, and so
        // does the TLB.
        let status = unsafe { kernel::freeonce_svm_run(self.parts.bound.0.get()) };
        self.exit(status)
    }

    /// One VMRUN at which an NMI of the host is pending.
    pub fn enter_into_nmi(&mut self, _svm: &Svm) -> Result<Exit, Failed> {
        self.parts.vmcb.flush();
        // SAFETY: as above, and nothing is left in the TLB.
        let status = unsafe { kernel::freeonce_svm_run_into_nmi(self.parts.bound.0.get()) };
        self.exit(status)
    }

    fn exit(&self, status: i32) -> Result<Exit, Failed> {
        if status != 0 {
            return Err(Failed(status));
        }
        Ok(self.parts.vmcb.exit())
    }

    /// Enters until an exit of its own; the host's interrupts are the host's affair.
    pub fn run(&mut self, svm: &Svm, budget: &mut Budget) -> Result<Exit, Failed> {
        loop {
            budget.spend()?;
            let exit = self.enter(svm)?;
            if !exit.is_of_host() {
                return Ok(exit);
            }
        }
    }

    /// What the last #VMEXIT left.
    pub fn vmcb(&self) -> &Vmcb {
        &self.parts.vmcb
    }

    /// All of it.
    ///
    /// # Safety
    /// As long as this L2 can be entered its CPU is led to nothing but memory that is its own, and
    /// what could hang or crash L1 stays intercepted.
    pub unsafe fn parts_mut(&mut self) -> &mut Parts {
        &mut self.parts
    }

    /// To be dropped one by one.
    ///
    /// # Safety
    /// The first of them is dropped before any other.
    pub unsafe fn into_parts(self) -> Parts {
        self.parts
    }

    /// To change what the next VMRUN is given.
    ///
    /// # Safety
    /// What it leads to is memory of this L2, and what could hang or crash L1 stays intercepted.
    pub unsafe fn vmcb_mut(&mut self) -> &mut Vmcb {
        &mut self.parts.vmcb
    }

    /// Another page in its nested page table, or in its own where it has no other: one of an
    /// allocation, which stays where it is until the run is settled, even when it is released.
    ///
    /// # Safety
    /// The program of this L2 does not write there, or the page's owner bears it.
    pub unsafe fn map(&mut self, at: u64, to: u64) -> Result<(), Failed> {
        if !kernel::freeonce_known(to, memory::PAGE as usize) {
            return Err(UNEXPECTED);
        }
        if self.parts.npt.is_none() {
            self.parts.memory.link(at, to);
            return Ok(());
        }
        // SAFETY: by the contract.
        unsafe { self.map_anything(at, to) }
    }

    /// Another page in its nested page table: any of the machine.
    ///
    /// # Safety
    /// The program of this L2 does not write there, or what stands there is nobody's.
    pub unsafe fn map_anything(&mut self, at: u64, to: u64) -> Result<(), Failed> {
        self.parts.npt.as_mut().ok_or(UNEXPECTED)?.map(at, to, 1, TableFlags::ALL)
    }

    /// None there. CPUs that have entered this L2 may keep it until it is entered there again.
    pub fn unmap(&mut self, at: u64) -> Result<(), Failed> {
        if let Some(npt) = &mut self.parts.npt {
            return npt.set_leaf(at, 0);
        }
        self.parts.memory.unlink(at);
        Ok(())
    }

    /// The program's accesses to these ports reach the devices.
    ///
    /// # Safety
    /// What it does to them harms nobody.
    pub unsafe fn pass_ports_below(&mut self, port: usize) {
        self.parts.iopm.0[..port / 8].fill(0);
    }

    /// The program's accesses to MSRs reach the CPU.
    ///
    /// # Safety
    /// What it writes there harms nobody.
    pub unsafe fn pass_all_msrs(&mut self) {
        self.parts.msrpm.0.fill(0);
    }

    /// Two bits an MSR, of the first two ranges (15.11): read, write.
    ///
    /// # Safety
    /// As above, where a bit is cleared.
    pub unsafe fn intercept_msr(&mut self, msr: u32, read: bool, write: bool) {
        let bit = match msr {
            0..0x2000 => msr as usize * 2,
            _ => (0x2000 + (msr as usize & 0x1fff)) * 2,
        };
        let byte = &mut self.parts.msrpm.0[bit / 8];
        *byte &= !(3 << (bit % 8));
        *byte |= (u8::from(read) | u8::from(write) << 1) << (bit % 8);
    }
}

fn nested_table(memory: &Memory, tables: usize) -> Result<NestedPageTable, Failed> {
    let mut npt = NestedPageTable::try_new(tables)?;
    for page in 0..memory.pages() {
        let at = page * memory::PAGE;
        let to = memory.gpa() + at;
        match at {
            memory::NOT_NESTED => npt.set_leaf(at, 0)?,
            // Above what the CPU has address bits for, so these bits are reserved (5.3.3).
            memory::RESERVED_BIT => npt.set_leaf(at, to | 1 << 51 | TableFlags::ALL.0)?,
            memory::READ_ONLY => npt.map(at, to, 1, TableFlags::READ_ONLY)?,
            memory::NO_EXECUTE => npt.map(at, to, 1, TableFlags::NO_EXECUTE)?,
            _ => npt.map(at, to, 1, TableFlags::ALL)?,
        }
    }
    Ok(npt)
}

impl Vcpu {
    pub fn of(vmcb: &Vmcb, host_vmcb_gpa: u64) -> Self {
        Vcpu { vmcb_gpa: gpa(vmcb), host_vmcb_gpa, gpr: [0; 14], number: 0, flags: 0 }
    }
}

// SPDX-License-Identifier: GPL-2.0
//! A minimal L2 and the CPU that runs it. Sections are of the AMD manual, volume 2.

mod exit;
mod npt;
mod vmcb;

pub use exit::Exit;

use crate::kernel::{self, Vcpu};
use crate::physical::{PhysicalAllocator, gpa};
use crate::scenario::{Failed, UNEXPECTED};
use alloc::boxed::Box;
use core::alloc::AllocError;
use core::ptr;
use npt::NestedPageTable;
use vmcb::Vmcb;

type Physical<T> = Box<T, PhysicalAllocator>;

#[repr(C, align(4096))]
pub struct Pages<const BYTES: usize>([u8; BYTES]);

/// Zeroed memory for a `T` that is valid as zeros, contiguous, page-aligned by its type.
///
/// # Safety
/// All zeros are a valid `T`.
unsafe fn zeroed<T>() -> Result<Physical<T>, AllocError> {
    // SAFETY: by the contract above.
    Ok(unsafe { Box::<T, _>::try_new_zeroed_in(PhysicalAllocator)?.assume_init() })
}

const IOPM_BYTES: usize = 12 << 10; // 15.10.1
const MSRPM_BYTES: usize = 8 << 10; // 15.11

/// An L2 in real mode with one page of code at gpa 0, every I/O port and MSR intercepted.
pub struct RealModeL2 {
    vmcb: Physical<Vmcb>,
    /// What VMSAVE of the host goes to; the world switch brings it back.
    host_vmcb: Physical<Pages<4096>>,
    /// Held for the CPU, which has their addresses in the VMCB.
    _code: Physical<Pages<4096>>,
    _iopm: Physical<Pages<IOPM_BYTES>>,
    _msrpm: Physical<Pages<MSRPM_BYTES>>,
    _npt: NestedPageTable,
    /// In the pool: only software reads it.
    vcpu: Box<Vcpu>,
}

impl RealModeL2 {
    /// `program`: at most a page of real-mode code that ends in an exit.
    pub fn try_new(program: &[u8]) -> Result<Self, Failed> {
        // SAFETY: bytes and the VMCB's integers are valid as zeros.
        let (mut vmcb, host_vmcb, mut code, mut iopm, mut msrpm) = unsafe {
            (
                zeroed::<Vmcb>()?,
                zeroed::<Pages<4096>>()?,
                zeroed::<Pages<4096>>()?,
                zeroed::<Pages<IOPM_BYTES>>()?,
                zeroed::<Pages<MSRPM_BYTES>>()?,
            )
        };
        code.0.get_mut(..program.len()).ok_or(UNEXPECTED)?.copy_from_slice(program);
        iopm.0.fill(0xff);
        msrpm.0.fill(0xff);
        let npt = NestedPageTable::try_new(gpa(&*code))?;
        vmcb.real_mode(gpa(&*iopm), gpa(&*msrpm), npt.root());
        let vcpu = Box::try_new(Vcpu {
            vmcb_gpa: gpa(&*vmcb),
            host_vmcb_gpa: gpa(&*host_vmcb),
            gpr: [0; 14],
            vmcb: ptr::from_ref(&*vmcb).cast(),
        })?;
        Ok(RealModeL2 { vmcb, host_vmcb, _code: code, _iopm: iopm, _msrpm: msrpm, _npt: npt, vcpu })
    }

    /// Moves RIP behind the instruction that made this exit.
    pub fn skip_instruction(&mut self, exit: Exit) -> Result<(), Failed> {
        let length = exit.instruction_length().ok_or(UNEXPECTED)?;
        self.vmcb.advance(length);
        Ok(())
    }
}

/// This CPU in SVM operation. Dropped before its host save area, which it owns.
pub struct Svm {
    _on: On,
    _host_save_area: Physical<Pages<4096>>,
}

/// Off when dropped. A field of its own, declared first, so that SVM is off
/// before the host save area goes.
struct On;

impl Drop for On {
    fn drop(&mut self) {
        // SAFETY: exists only after freeonce_svm_on() on this CPU, to which it pinned us.
        unsafe { kernel::freeonce_svm_off() }
    }
}

impl Svm {
    pub fn on() -> Result<Self, Failed> {
        // SAFETY: bytes are valid as zeros.
        let host_save_area = unsafe { zeroed::<Pages<4096>>()? };
        // SAFETY: the page lives until after `On` is dropped.
        match unsafe { kernel::freeonce_svm_on(gpa(&*host_save_area)) } {
            0 => Ok(Svm { _on: On, _host_save_area: host_save_area }),
            error => Err(Failed(error)),
        }
    }

    /// Enters the L2 and comes back with its exit.
    pub fn run(&self, l2: &mut RealModeL2) -> Result<Exit, Failed> {
        let RealModeL2 { vcpu, host_vmcb, vmcb, .. } = l2;
        debug_assert_eq!(vcpu.host_vmcb_gpa, gpa(&**host_vmcb));
        // SAFETY: SVM is on, and every address in the VMCB points into memory that `l2` owns.
        match unsafe { kernel::freeonce_svm_run(&mut **vcpu) } {
            0 => Ok(vmcb.exit()),
            error => Err(Failed(error)),
        }
    }
}

// SPDX-License-Identifier: GPL-2.0
//! L2s and the CPUs that run them. Sections are of the AMD manual, volume 2.
//!
//! An [`L2`] owns all that the CPU is given; [`Svm`] is a CPU that may enter it. An L2 can
//! neither hang nor crash L1: all that could is intercepted, and a [`Budget`] ends its run.

mod bench;
mod cpu;
mod exit;
mod l2;
pub mod memory;
mod npt;
mod program;
mod vmcb;

pub use cpu::{Pinned, Svm, cpu_count, on_cpu, on_each_cpu};
pub use exit::Exit;
pub use l2::{Budget, L2, OVER_BUDGET, Paging, Parts};
pub use memory::handler;
pub use program::{Program, lacks, play, play_on};
pub use vmcb::{CR0_AM, CR0_TS, EFER_SVME, Event, Intercept, Vmcb};

use crate::physical::PhysicalAllocator;
use alloc::boxed::Box;
use core::alloc::AllocError;
use core::arch::x86_64::{__cpuid_count, CpuidResult};
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

pub type Physical<T> = Box<T, PhysicalAllocator>;

#[repr(C, align(4096))]
pub struct Pages<const BYTES: usize>(pub [u8; BYTES]);

pub const IOPM_BYTES: usize = 12 << 10; // 15.10.1
pub const MSRPM_BYTES: usize = 8 << 10; // 15.11

/// Memory that a CPU or C writes, too, while an owner in Rust has it.
///
/// They write only in calls that borrow the owner mutably, as [`L2::enter`]: nobody else looks then.
#[repr(transparent)]
pub struct Given<T> {
    cell: UnsafeCell<T>,
}

impl<T> Given<T> {
    pub fn new(value: T) -> Self {
        Given { cell: UnsafeCell::new(value) }
    }

    /// For who writes it behind the compiler's back.
    pub fn get(&self) -> *mut T {
        self.cell.get()
    }
}

impl<T> Deref for Given<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: nobody writes while the owner is borrowed: see above.
        unsafe { &*self.cell.get() }
    }
}

impl<T> DerefMut for Given<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.cell.get_mut()
    }
}

/// Zeroed memory for a `T` that is valid as zeros, contiguous, page-aligned by its type.
///
/// # Safety
/// All zeros are a valid `T`.
pub unsafe fn zeroed<T>() -> Result<Physical<T>, AllocError> {
    // SAFETY: by the contract above.
    Ok(unsafe { Box::<T, _>::try_new_zeroed_in(PhysicalAllocator)?.assume_init() })
}

/// CPUID with ECX 0, or what else `subleaf` is.
// Safe in newer compilers only.
#[allow(unused_unsafe)]
pub fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    // SAFETY: every 64-bit CPU has CPUID.
    unsafe { __cpuid_count(leaf, subleaf) }
}

/// The first address that the CPU has no bits for (CPUID Fn8000_0008_EAX, bits 7 to 0).
pub fn physical_limit() -> u64 {
    1 << (cpuid(0x8000_0008, 0).eax & 0xff)
}

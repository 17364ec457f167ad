// SPDX-License-Identifier: GPL-2.0
//! The kernel's own allocator from Rust: what it gave, nobody's `Drop` gives back.

use crate::kernel::{self, GFP_KERNEL};
use crate::ledger::{label, step};
use crate::scenario::{NO_MEMORY, Outcome, SLAB, Scenario, finding};
use core::ffi::CStr;
use core::ptr::NonNull;

/// A string of the kernel's, released by `kfree()`.
struct KernelString(NonNull<u8>);

impl KernelString {
    fn new(text: &CStr) -> Result<Self, crate::scenario::Failed> {
        // SAFETY: both are strings, and the format has one place for one.
        let pointer = unsafe { kernel::kasprintf(GFP_KERNEL, c"%s".as_ptr(), text.as_ptr()) };
        let string = KernelString(NonNull::new(pointer).ok_or(NO_MEMORY)?);
        label(pointer, "string");
        Ok(string)
    }
}

impl Drop for KernelString {
    fn drop(&mut self) {
        // SAFETY: of `kasprintf()`, and nobody else has it.
        unsafe { kernel::kfree(self.0.as_ptr()) }
    }
}

fn dropped() -> Outcome {
    let first = KernelString::new(c"vcpu 1")?;
    let _second = KernelString::new(c"vcpu 2")?;
    step("end of scope");
    drop(first);
    Ok(())
}

fn forgotten() -> Outcome {
    core::mem::forget(KernelString::new(c"vcpu 1")?);
    Ok(())
}

fn dropped_twice() -> Outcome {
    let string = KernelString::new(c"vcpu 1")?;
    // SAFETY: none: two owners of one string.
    let other = unsafe { core::ptr::read(&raw const string) };
    drop(string);
    step("second owner");
    drop(other);
    Ok(())
}

const SCENARIOS: &[Scenario] = &[Scenario::new(
    c"kernel/string",
    c"The kernel's own allocators, from Rust",
    c"What the kernel allocated has an owner in Rust, whose Drop calls kfree().",
    dropped,
)
.shares()];
crate::scenarios!(SCENARIOS);

const SECTION: &CStr = c"Planted faults, from Rust";

#[rustfmt::skip]
const PLANTED: &[Scenario] = &[
    Scenario::new(c"fault/leak/slab/rust", SECTION,
        c"mem::forget is safe code, and the kernel's memory leaks as well.", forgotten)
        .expecting(&[finding(c"leak", SLAB).of(c"string")]),
    Scenario::new(c"fault/double-free/slab/rust", SECTION,
        c"A copy of an owner releases what it owns once more.", dropped_twice)
        .expecting(&[finding(c"double-free", SLAB).of(c"string").at(c"second owner")]),
];
crate::scenarios!(PLANTED);

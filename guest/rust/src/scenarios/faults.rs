// SPDX-License-Identifier: GPL-2.0
//! Planted faults in Rust: each commits one sin and must trip that rule and only that rule.

use crate::kernel;
use crate::ledger::{label, step};
use crate::physical::PhysicalAllocator;
use crate::scenario::{CONTIGUOUS, Outcome, POOL, Scenario, finding};
use alloc::alloc::Global;
use alloc::boxed::Box;
use core::alloc::{Allocator, Layout};
use core::ffi::CStr;
use core::mem;
use core::ptr::NonNull;

const SECTION: &CStr = c"Planted faults, from Rust";

type Value = [u64; 8];

const VALUE: Value = [42; 8];

static NEVER_ALLOCATED: Value = VALUE;

/// More than a page: a contiguous block is page-aligned wherever it lies.
#[repr(align(65536))]
struct Aligned {
    #[allow(dead_code)]
    bytes: [u8; 64],
}

/// Takes one `Value` out of its Box's hands.
fn taken<A: Allocator>(allocator: A) -> Result<NonNull<u8>, crate::scenario::Failed> {
    let (pointer, _) = Box::into_raw_with_allocator(Box::try_new_in(VALUE, allocator)?);
    // SAFETY: a Box is never null.
    Ok(unsafe { NonNull::new_unchecked(pointer.cast()) })
}

/// A release with a layout of our choice. The module bears any pointer.
fn release<A: Allocator>(allocator: A, pointer: NonNull<u8>, layout: Layout) {
    // SAFETY: none: breaking this contract is what the scenarios are for.
    unsafe { allocator.deallocate(pointer, layout) }
}

const LAYOUT: Layout = Layout::new::<Value>();

fn leak<A: Allocator>(allocator: A) -> Outcome {
    let value = Box::try_new_in(VALUE, allocator)?;
    label(&raw const *value as *const u8, "forgotten");
    mem::forget(value);
    Ok(())
}

fn double_free<A: Allocator + Copy>(allocator: A) -> Outcome {
    let pointer = taken(allocator)?;
    release(allocator, pointer, LAYOUT);
    step("second release");
    release(allocator, pointer, LAYOUT);
    Ok(())
}

fn null_free<A: Allocator>(allocator: A) -> Outcome {
    // SAFETY: none: no Box is null. Its drop glue hands the null on to the allocator.
    let zeroed: mem::MaybeUninit<Box<Value, A>> = mem::MaybeUninit::new(unsafe {
        Box::from_raw_in(core::hint::black_box(core::ptr::null_mut()), allocator)
    });
    // SAFETY: initialized above.
    drop(unsafe { zeroed.assume_init() });
    Ok(())
}

fn never_allocated_free<A: Allocator>(allocator: A) -> Outcome {
    release(allocator, NonNull::from(&NEVER_ALLOCATED).cast(), LAYOUT);
    Ok(())
}

fn interior_free<A: Allocator + Copy>(allocator: A) -> Outcome {
    let pointer = taken(allocator)?;
    step("interior pointer");
    // SAFETY: 16 bytes on is still inside of the 64.
    release(allocator, unsafe { pointer.add(16) }, LAYOUT);
    release(allocator, pointer, LAYOUT);
    Ok(())
}

fn mismatched_free<A: Allocator, B: Allocator>(allocator: A, other: B) -> Outcome {
    release(other, taken(allocator)?, LAYOUT);
    Ok(())
}

fn wrong_size_free<A: Allocator + Copy>(allocator: A) -> Outcome {
    release(allocator, taken(allocator)?, Layout::new::<[u64; 4]>());
    Ok(())
}

fn use_after_free<A: Allocator + Copy>(allocator: A) -> Outcome {
    let pointer = taken(allocator)?;
    release(allocator, pointer, LAYOUT);
    // SAFETY: none: that the module keeps released memory is all that makes this bearable.
    unsafe { pointer.add(8).write_volatile(1) };
    Ok(())
}

fn out_of_bounds<A: Allocator + Copy>(allocator: A) -> Outcome {
    let pointer = taken(allocator)?;
    // SAFETY: none: one byte behind the end, where the module keeps a guard.
    unsafe { pointer.add(LAYOUT.size()).write_volatile(1) };
    release(allocator, pointer, LAYOUT);
    Ok(())
}

fn misaligned<A: Allocator>(allocator: A) -> Outcome {
    kernel::freeonce_inject_misplacement(kernel::MISPLACE_SHIFT);
    let _aligned = Box::<Aligned, A>::try_new_uninit_in(allocator)?;
    Ok(())
}

/// Memory is broken by it, and stays so.
macro_rules! breaks {
    ($name:literal, $rule:literal, $kind:ident, $body:expr, $lesson:literal) => {
        Scenario::new($name, SECTION, $lesson, || $body).expecting(&[finding($rule, $kind)])
    };
}

/// What it does wrong is withheld, or made good when it is settled.
macro_rules! fault {
    ($name:literal, $rule:literal, $kind:ident, $body:expr, $lesson:literal) => {
        breaks!($name, $rule, $kind, $body, $lesson).shares()
    };
}

#[rustfmt::skip]
const SCENARIOS: &[Scenario] = &[
    fault!(c"fault/leak/pool/rust", c"leak", POOL, leak(Global),
        c"mem::forget is safe code, and a leak."),
    fault!(c"fault/leak/contiguous/rust", c"leak", CONTIGUOUS, leak(PhysicalAllocator),
        c"mem::forget is safe code, and a leak."),
    fault!(c"fault/double-free/pool/rust", c"double-free", POOL, double_free(Global),
        c"Two owners of one allocation release it twice."),
    fault!(c"fault/double-free/contiguous/rust", c"double-free", CONTIGUOUS, double_free(PhysicalAllocator),
        c"Two owners of one allocation release it twice."),
    fault!(c"fault/null-free/pool/rust", c"null-free", POOL, null_free(Global),
        c"A Box that holds null hands it on to the allocator."),
    fault!(c"fault/null-free/contiguous/rust", c"null-free", CONTIGUOUS, null_free(PhysicalAllocator),
        c"A Box that holds null hands it on to the allocator."),
    fault!(c"fault/invalid-free/pool/rust/never-allocated", c"invalid-free", POOL, never_allocated_free(Global),
        c"A static is not the allocator's to release."),
    fault!(c"fault/invalid-free/contiguous/rust/never-allocated", c"invalid-free", CONTIGUOUS, never_allocated_free(PhysicalAllocator),
        c"A static is not the allocator's to release."),
    fault!(c"fault/invalid-free/pool/rust/interior", c"invalid-free", POOL, interior_free(Global),
        c"A pointer to a field is not the allocation."),
    fault!(c"fault/invalid-free/contiguous/rust/interior", c"invalid-free", CONTIGUOUS, interior_free(PhysicalAllocator),
        c"A pointer to a field is not the allocation."),
    fault!(c"fault/mismatched-free/pool/rust", c"mismatched-free", POOL, mismatched_free(Global, PhysicalAllocator),
        c"Box::from_raw_in with another allocator releases by the wrong call."),
    fault!(c"fault/mismatched-free/contiguous/rust", c"mismatched-free", CONTIGUOUS, mismatched_free(PhysicalAllocator, Global),
        c"Box::from_raw_in with another allocator releases by the wrong call."),
    fault!(c"fault/wrong-size-free/pool/rust", c"wrong-size-free", POOL, wrong_size_free(Global),
        c"A cast of the pointer changes the layout that the release believes."),
    fault!(c"fault/wrong-size-free/contiguous/rust", c"wrong-size-free", CONTIGUOUS, wrong_size_free(PhysicalAllocator),
        c"A cast of the pointer changes the layout that the release believes."),
    breaks!(c"fault/use-after-free/pool/rust", c"use-after-free", POOL, use_after_free(Global),
        c"A pointer that outlives its Box writes into released memory."),
    breaks!(c"fault/use-after-free/contiguous/rust", c"use-after-free", CONTIGUOUS, use_after_free(PhysicalAllocator),
        c"A pointer that outlives its Box writes into released memory."),
    breaks!(c"fault/out-of-bounds/pool/rust", c"out-of-bounds", POOL, out_of_bounds(Global),
        c"A raw pointer knows no bounds."),
    breaks!(c"fault/out-of-bounds/contiguous/rust", c"out-of-bounds", CONTIGUOUS, out_of_bounds(PhysicalAllocator),
        c"A raw pointer knows no bounds."),
    fault!(c"fault/misplaced/pool/rust", c"misplaced", POOL, misaligned(Global),
        c"An allocator that ignores the alignment of the type is caught."),
    fault!(c"fault/misplaced/contiguous/rust", c"misplaced", CONTIGUOUS, misaligned(PhysicalAllocator),
        c"An allocator that ignores the alignment of the type is caught."),
];
crate::scenarios!(SCENARIOS);

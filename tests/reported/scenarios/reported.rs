// SPDX-License-Identifier: GPL-2.0
//! After public reports of others, in Rust. tests/guest/test_reported.py has what is right.

use freeonce::ledger::{label, named, step};
use freeonce::physical::{PhysicalAllocator, gpa};
use freeonce::scenario::{CONTIGUOUS, NO_MEMORY, Outcome, POOL, Scenario, finding};
use freeonce::svm::{L2, Pages, Paging, Program, Svm, memory, zeroed};
use alloc::alloc::Global;
use alloc::vec::Vec;
use core::alloc::{Allocator, Layout};
use core::ffi::CStr;
use core::mem::ManuallyDrop;

const SECTION: &CStr = c"After public reports, in Rust";

unsafe extern "C" {
    /// Ends with VMMCALL.
    safe static l2_vmmcall: Program;
}

/// luminal 307: the length is taken for the capacity.
fn length_as_capacity() -> Outcome {
    let mut samples = Vec::<u32>::new();
    samples.try_reserve_exact(48).map_err(|_| NO_MEMORY)?;
    samples.extend(0..20);
    label(samples.as_ptr().cast(), "samples");
    let mut samples = ManuallyDrop::new(samples);
    step("as floats");
    let length = samples.len();
    // SAFETY: none: the capacity was 48.
    drop(unsafe { Vec::<f32>::from_raw_parts(samples.as_mut_ptr().cast(), length, length) });
    Ok(())
}

/// The same trait's other half: nothing of size 0 may be refused.
fn zero_sized() -> Outcome {
    let layout = Layout::new::<[u64; 0]>();
    step("Global");
    let memory = Global.allocate(layout)?;
    // SAFETY: just allocated with this layout.
    unsafe { Global.deallocate(memory.cast(), layout) };
    step("PhysicalAllocator");
    let memory = PhysicalAllocator.allocate(layout)?;
    // SAFETY: just allocated with this layout.
    unsafe { PhysicalAllocator.deallocate(memory.cast(), layout) };
    Ok(())
}

/// genode 4527: an L2 goes, and the next one gets its ASID without a flush.
fn asid_of_a_dead_l2() -> Outcome {
    // SAFETY: bytes are valid as zeros.
    let page = named("page of the first", unsafe { zeroed::<Pages<4096>>()? });
    let svm = Svm::on()?;
    let mut first = L2::try_new(&l2_vmmcall, Paging::Nested, 1)?;
    // SAFETY: its program does not write there.
    unsafe { first.map(memory::NOT_NESTED, gpa(&*page))? };
    first.enter(&svm)?;
    step("first is torn down");
    drop(first);
    drop(page);
    step("second, same ASID");
    let mut second = L2::try_new(&l2_vmmcall, Paging::Nested, 1)?;
    // SAFETY: none: that the CPU may use the first one's page is the fault.
    unsafe { second.enter_unflushed(&svm)? };
    Ok(())
}

/// illusion-rs 4d9b099: what is shared is leaked for good; where does the finding point to?
fn forgotten_vec() -> Outcome {
    let mut events = Vec::<u64>::new();
    for event in 0..9 {
        events.try_reserve(1).map_err(|_| NO_MEMORY)?;
        events.push(event);
    }
    label(events.as_ptr().cast(), "events");
    let mut frames = Vec::<u64, PhysicalAllocator>::new_in(PhysicalAllocator);
    for frame in 0..9 {
        frames.try_reserve(1).map_err(|_| NO_MEMORY)?;
        frames.push(frame);
    }
    label(frames.as_ptr().cast(), "frames");
    core::mem::forget(events);
    core::mem::forget(frames);
    Ok(())
}

const fn case(
    name: &'static CStr,
    lesson: &'static CStr,
    body: fn() -> Outcome,
    expected: &'static [crate::scenario::Expectation],
) -> Scenario {
    Scenario::new(name, SECTION, lesson, body).expecting(expected)
}

const LEAK: &CStr = c"leak";
const SIZE: &CStr = c"wrong-size-free";

#[rustfmt::skip]
const SCENARIOS: &[Scenario] = &[
    case(c"reported/length_as_capacity", c"from_raw_parts wants the capacity.", length_as_capacity,
        &[finding(SIZE, POOL).of(c"samples").at(c"as floats")]),
    case(c"reported/zero_sized", c"Allocator must serve size 0.", zero_sized, &[]),
    case(c"reported/asid_of_a_dead_l2", c"An ASID that comes back needs a flush.", asid_of_a_dead_l2,
        &[finding(c"hardware-use-after-free", CONTIGUOUS).of(c"page of the first")]).needs(c"svm"),
    case(c"reported/forgotten_vec", c"Box::leak and its kin.", forgotten_vec,
        &[finding(LEAK, POOL).of(c"events"), finding(LEAK, CONTIGUOUS).of(c"frames")]),
];
freeonce::scenarios!(SCENARIOS);

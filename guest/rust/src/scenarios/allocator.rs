// SPDX-License-Identifier: GPL-2.0
//! The article's way out: `Box<T, A>`.

use crate::kernel;
use crate::ledger::{named, step};
use crate::physical::PhysicalAllocator;
use crate::scenario::{Outcome, Scenario, UNEXPECTED};
use alloc::alloc::Global;
use alloc::boxed::Box;
use core::alloc::{Allocator, Layout};
use core::ffi::CStr;

const SECTION: &CStr = c"The way out: Box<T, A>";

type Physical<T> = Box<T, PhysicalAllocator>;

struct Bar {
    #[allow(dead_code)]
    value: [u64; 8],
}

const BAR: Bar = Bar { value: [42; 8] };

fn physical_box() -> Outcome {
    struct Foo {
        #[allow(dead_code)]
        bar: Physical<Bar>,
    }
    let bar = named("bar", Box::try_new_in(BAR, PhysicalAllocator)?);
    let _foo = named("foo", Box::try_new(Foo { bar })?);
    step("end of scope");
    Ok(())
}

fn global_box() -> Outcome {
    let _bar = named("bar", Box::try_new(BAR)?);
    step("end of scope");
    Ok(())
}

fn box_new_in_global() -> Outcome {
    let _bar = named("bar", Box::try_new_in(BAR, Global)?);
    step("end of scope");
    Ok(())
}

fn try_new_in() -> Outcome {
    match Box::try_new_in(BAR, PhysicalAllocator) {
        Ok(bar) => {
            named("bar", bar);
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn try_new_in_fails() -> Outcome {
    let _foo = named("foo", Box::try_new_in(BAR, PhysicalAllocator)?);
    step("made to fail");
    kernel::freeonce_inject_fail(1);
    match Box::try_new_in(BAR, PhysicalAllocator) {
        Ok(_) => Err(UNEXPECTED),
        Err(_) => Ok(()),
    }
}

/// Panics, as `handle_alloc_error` does in the kernel.
fn new_in_fails() -> Outcome {
    let _foo = named("foo", Box::try_new_in(BAR, PhysicalAllocator)?);
    step("made to fail");
    kernel::freeonce_inject_fail(1);
    let _bar = Box::new_in(BAR, PhysicalAllocator);
    Err(UNEXPECTED)
}

fn zero_sized() -> Outcome {
    let layout = Layout::new::<[u64; 0]>();
    let memory = PhysicalAllocator.allocate_zeroed(layout)?;
    // SAFETY: just allocated with this layout.
    unsafe { PhysicalAllocator.deallocate(memory.cast(), layout) };
    drop(Box::try_new_in([0u64; 0], PhysicalAllocator)?);
    if memory.cast::<u64>().is_aligned() { Ok(()) } else { Err(UNEXPECTED) }
}

fn nested_mixed() -> Outcome {
    struct Outer {
        #[allow(dead_code)]
        middle: Physical<Middle>,
    }
    struct Middle {
        #[allow(dead_code)]
        inner: Box<Bar>,
    }
    let inner = named("inner", Box::try_new(BAR)?);
    let middle = named("middle", Box::try_new_in(Middle { inner }, PhysicalAllocator)?);
    let _outer = named("outer", Box::try_new(Outer { middle })?);
    step("end of scope");
    Ok(())
}

const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        c"allocator/physical_box",
        SECTION,
        c"With the allocator in the type, each Box knows its own release call.",
        physical_box,
    )
    .shares(),
    Scenario::new(
        c"allocator/global_box",
        SECTION,
        c"Box::new, here in its fallible form, takes from the global allocator: the pool.",
        global_box,
    )
    .shares(),
    Scenario::new(
        c"allocator/box_new_in_global",
        SECTION,
        c"Box::new_in(_, Global) is Box::new; so are their fallible forms.",
        box_new_in_global,
    )
    .shares(),
    Scenario::new(
        c"allocator/try_new_in",
        SECTION,
        c"Box::try_new_in lets the caller handle a failed allocation.",
        try_new_in,
    )
    .shares(),
    Scenario::new(
        c"allocator/try_new_in_fails",
        SECTION,
        c"A failed allocation is an Err; nothing was taken and nothing leaks.",
        try_new_in_fails,
    )
    .shares(),
    Scenario::new(
        c"allocator/zero_sized",
        SECTION,
        c"An Allocator serves what has no size, and takes nothing for it.",
        zero_sized,
    )
    .shares(),
    Scenario::new(
        c"allocator/nested_mixed",
        SECTION,
        c"Owners of both kinds, three deep: the compiler releases them inside out.",
        nested_mixed,
    )
    .shares(),
    Scenario::new(
        c"alloc_error/new_in_fails",
        SECTION,
        c"Box::new_in on a failed allocation calls handle_alloc_error, and that panics.",
        new_in_fails,
    )
    .losing(c"rust-panic"),
];
crate::scenarios!(SCENARIOS);

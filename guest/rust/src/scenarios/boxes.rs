// SPDX-License-Identifier: GPL-2.0
//! `Box<T>`: the form that worked for the author, and the ones that did not.

use crate::ledger::{label, named, step};
use crate::scenario::{Expectation, Outcome, POOL, Scenario, finding};
use alloc::boxed::Box;
use core::ffi::CStr;

const SECTION: &CStr = c"Box<T>";

struct Bar {
    value: [u64; 8],
}

struct Foo {
    bar: Box<Bar>,
}

fn built_then_moved() -> Outcome {
    // SAFETY: zeros are a valid `Bar`.
    let mut bar = named("bar", unsafe { Box::<Bar>::try_new_zeroed()?.assume_init() });
    bar.value[0] = 42;
    let _foo = named("foo", Box::try_new(Foo { bar })?);
    step("end of scope");
    Ok(())
}

fn zeroed_then_assigned() -> Outcome {
    // SAFETY: none: zeros are no valid `Box`. This is the article's mistake.
    let mut foo = named("foo", unsafe { Box::<Foo>::try_new_zeroed()?.assume_init() });
    step("assign");
    foo.bar = named("bar", Box::try_new(Bar { value: [42; 8] })?);
    step("end of scope");
    Ok(())
}

fn zeroed_then_assigned_prebuilt() -> Outcome {
    // SAFETY: zeros are a valid `Bar`.
    let mut bar = named("bar", unsafe { Box::<Bar>::try_new_zeroed()?.assume_init() });
    bar.value[0] = 42;
    // SAFETY: none: zeros are no valid `Box`. This is the article's mistake.
    let mut foo = named("foo", unsafe { Box::<Foo>::try_new_zeroed()?.assume_init() });
    step("assign");
    foo.bar = bar;
    step("end of scope");
    Ok(())
}

fn maybe_uninit_never_dropped() -> Outcome {
    let mut foo = Box::<Foo>::try_new_uninit()?;
    label(foo.as_ptr().cast(), "foo");
    foo.write(Foo { bar: named("bar", Box::try_new(Bar { value: [42; 8] })?) });
    step("end of scope");
    Ok(())
}

const NULL_FREE: Expectation = finding(c"null-free", POOL)
    .at(c"assign")
    .because(c"the assignment drops the old Box first, and that is zeroed memory: a null pointer");

const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        c"box/built_then_moved",
        SECTION,
        c"Build the inner value first and move it in: no half-made Foo ever exists.",
        built_then_moved,
    )
    .shares(),
    Scenario::new(
        c"box/zeroed_then_assigned",
        SECTION,
        c"Box drops what is in it, so nothing leaks; the assignment still drops a zeroed Box.",
        zeroed_then_assigned,
    )
    .expecting(&[NULL_FREE]),
    Scenario::new(
        c"box/zeroed_then_assigned_prebuilt",
        SECTION,
        c"Building the inner value early does not help while the outer one starts as zeros.",
        zeroed_then_assigned_prebuilt,
    )
    .expecting(&[NULL_FREE]),
    Scenario::new(
        c"box/maybe_uninit_never_dropped",
        SECTION,
        c"MaybeUninit<T> never drops its T: without assume_init the inner Box is forgotten.",
        maybe_uninit_never_dropped,
    )
    .expecting(&[finding(c"leak", POOL)
        .of(c"bar")
        .because(c"its owner is a MaybeUninit, which never drops what is in it")]),
];
crate::scenarios!(SCENARIOS);

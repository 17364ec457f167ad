// SPDX-License-Identifier: GPL-2.0
//! The article's example, in all four combinations of kinds.

use crate::allocated_memory::{AllocatedMemory, Kind};
use crate::ledger::{named, step};
use crate::scenario::{CONTIGUOUS, Expectation, NO_MEMORY, Outcome, POOL, Scenario, finding};
use core::ffi::CStr;

const SECTION: &CStr = c"The article's AllocatedMemory<T>";

pub struct Bar {
    #[allow(dead_code)]
    value: [u64; 8],
}

struct Foo {
    bar: AllocatedMemory<Bar>,
}

fn example(foo: Kind, bar: Kind) -> Outcome {
    let mut foo = named("foo", AllocatedMemory::<Foo>::alloc(foo).ok_or(NO_MEMORY)?);
    let bar = named("bar", AllocatedMemory::<Bar>::alloc(bar).ok_or(NO_MEMORY)?);
    step("assign");
    foo.bar = bar;
    step("end of scope");
    Ok(())
}

fn first() -> Outcome {
    example(Kind::Normal, Kind::Contiguous)
}

fn pool_owns_pool() -> Outcome {
    example(Kind::Normal, Kind::Normal)
}

fn contiguous_owns_pool() -> Outcome {
    example(Kind::Contiguous, Kind::Normal)
}

fn contiguous_owns_contiguous() -> Outcome {
    example(Kind::Contiguous, Kind::Contiguous)
}

/// The old `bar` is zeroed memory: null, and a kind that reads as pool.
pub const NULL_FREE: Expectation = finding(c"null-free", POOL)
    .at(c"assign")
    .because(c"the assignment drops the old value first, and that is zeroed memory: a null pointer whose kind reads as pool");

pub const fn inner_leak(kind: &'static CStr) -> Expectation {
    finding(c"leak", kind)
        .of(c"bar")
        .because(c"its owner's Drop frees the storage without dropping what is in it")
}

const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        c"allocated_memory/first",
        SECTION,
        c"Assigning into zeroed memory drops a value that was never there, and a Drop that only frees storage forgets what the storage owns.",
        first,
    )
    .shares()
    .expecting(&[NULL_FREE, inner_leak(CONTIGUOUS)]),
    Scenario::new(
        c"allocated_memory/pool_owns_pool",
        SECTION,
        c"The same two faults with one kind of memory only: mixing kinds is not the cause.",
        pool_owns_pool,
    )
    .shares()
    .expecting(&[NULL_FREE, inner_leak(POOL)]),
    Scenario::new(
        c"allocated_memory/contiguous_owns_pool",
        SECTION,
        c"The outer kind makes no difference: the null is freed by what the zeroed kind field says.",
        contiguous_owns_pool,
    )
    .shares()
    .expecting(&[NULL_FREE, inner_leak(POOL)]),
    Scenario::new(
        c"allocated_memory/contiguous_owns_contiguous",
        SECTION,
        c"Even with only contiguous memory in sight the null goes to the pool's free call.",
        contiguous_owns_contiguous,
    )
    .shares()
    .expecting(&[NULL_FREE, inner_leak(CONTIGUOUS)]),
];
crate::scenarios!(SCENARIOS);

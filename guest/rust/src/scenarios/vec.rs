// SPDX-License-Identifier: GPL-2.0
//! `Vec<T, A>`: many allocations, one owner.

use crate::ledger::step;
use crate::physical::PhysicalAllocator;
use crate::scenario::{NO_MEMORY, Outcome, Scenario, UNEXPECTED};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::Allocator;
use core::ffi::CStr;

const SECTION: &CStr = c"Vec<T, A>";
const PUSHES: u64 = 2000;

/// Doubles from 4: 10 allocations for 2,000 elements, each but the last released while growing.
fn grow(mut vec: Vec<u64, impl Allocator>) -> Outcome {
    for value in 0..PUSHES {
        vec.try_reserve(1).map_err(|_| NO_MEMORY)?;
        vec.push(value);
    }
    step("end of scope");
    if vec.iter().sum::<u64>() == PUSHES * (PUSHES - 1) / 2 { Ok(()) } else { Err(UNEXPECTED) }
}

fn pool_growth() -> Outcome {
    grow(Vec::new())
}

fn contiguous_growth() -> Outcome {
    grow(Vec::new_in(PhysicalAllocator))
}

fn of_boxes() -> Outcome {
    let mut vec = Vec::new_in(PhysicalAllocator);
    vec.try_reserve_exact(16).map_err(|_| NO_MEMORY)?;
    for value in 0..16u64 {
        vec.push(Box::try_new(value)?);
    }
    step("end of scope");
    Ok(())
}

const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        c"vec/pool_growth",
        SECTION,
        c"A growing Vec releases each buffer it outgrows.",
        pool_growth,
    )
    .shares(),
    Scenario::new(
        c"vec/contiguous_growth",
        SECTION,
        c"The same with contiguous buffers: 2,000 pushes, 10 allocations, 10 releases.",
        contiguous_growth,
    )
    .shares(),
    Scenario::new(
        c"vec/of_boxes",
        SECTION,
        c"A contiguous Vec of pool Boxes releases every Box, then its own buffer.",
        of_boxes,
    )
    .shares(),
];
crate::scenarios!(SCENARIOS);

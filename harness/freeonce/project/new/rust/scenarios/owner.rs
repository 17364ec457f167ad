// SPDX-License-Identifier: GPL-2.0
//! A virtual CPU that owns a bitmap.

use alloc::boxed::Box;
use freeonce::ledger::{named, step};
use freeonce::physical::PhysicalAllocator;
use freeonce::scenario::{Outcome, Scenario};

struct Vcpu {
    #[allow(dead_code)]
    bitmap: Box<[u64; 512], PhysicalAllocator>,
}

fn teardown() -> Outcome {
    let bitmap = named("bitmap", Box::try_new_in([0; 512], PhysicalAllocator)?);
    let vcpu = named("vcpu", Box::try_new(Vcpu { bitmap })?);
    step("teardown");
    drop(vcpu);
    Ok(())
}

const SCENARIOS: &[Scenario] = &[Scenario::new(
    c"mine/owner",
    c"My own code, in Rust",
    c"Who owns a Vcpu drops it, and with it what it owns.",
    teardown,
)];
freeonce::scenarios!(SCENARIOS);

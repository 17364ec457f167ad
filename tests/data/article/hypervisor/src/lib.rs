//! The article's example, on the names of Windows, with the driver's own global allocator.
#![no_std]

extern crate alloc;

use alloc::boxed::Box;
use freeonce::ledger::{named, step};
use freeonce::scenario::{NO_MEMORY, Outcome, Scenario};
use memory::{AllocType, AllocatedMemory, KernelAlloc};

#[global_allocator]
static GLOBAL: KernelAlloc = KernelAlloc;

struct Bar {
    #[allow(dead_code)]
    value: [u64; 8],
}

struct Foo {
    bar: AllocatedMemory<Bar>,
}

fn first() -> Outcome {
    let mut foo = named("foo", AllocatedMemory::<Foo>::alloc(AllocType::Normal).ok_or(NO_MEMORY)?);
    let bar = AllocatedMemory::<Bar>::alloc(AllocType::Contiguous).ok_or(NO_MEMORY)?;
    let bar = named("bar", bar);
    step("assign");
    foo.bar = bar;
    step("end of scope");
    Ok(())
}

fn boxed() -> Outcome {
    drop(named("boxed", Box::new(Bar { value: [1; 8] })));
    Ok(())
}

const SCENARIOS: &[Scenario] = &[
    Scenario::new(c"article/first", c"The article", c"Its example, as it was.", first),
    Scenario::new(c"article/boxed", c"The article", c"A Box by the driver's allocator.", boxed),
];
freeonce::scenarios!(SCENARIOS);

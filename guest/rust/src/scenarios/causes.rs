// SPDX-License-Identifier: GPL-2.0
//! The two causes apart: how the value is stored, and what `Drop` releases.

use super::allocated_memory::{Bar, NULL_FREE, inner_leak};
use crate::allocated_memory::{AllocatedMemory, DropInPlace, Kind};
use crate::ledger::{named, step};
use crate::scenario::{CONTIGUOUS, NO_MEMORY, Outcome, Scenario};
use core::ffi::CStr;
use core::ptr;

const SECTION: &CStr = c"The two causes apart";

macro_rules! example {
    ($owner:ident, |$foo:ident, $bar:ident| $store:expr) => {{
        struct Foo {
            bar: $owner<Bar>,
        }
        // The inner one first: were it to fail, no zeroed Foo would be there to drop.
        let $bar = named("bar", $owner::<Bar>::alloc(Kind::Contiguous).ok_or(NO_MEMORY)?);
        let mut $foo = named("foo", $owner::<Foo>::alloc(Kind::Normal).ok_or(NO_MEMORY)?);
        step("assign");
        $store;
        step("end of scope");
        Ok(())
    }};
}

fn assign_drop_storage() -> Outcome {
    example!(AllocatedMemory, |foo, bar| foo.bar = bar)
}

fn write_drop_storage() -> Outcome {
    // SAFETY: `foo.bar` is ours; what it held is zeroed memory that needs no drop.
    example!(AllocatedMemory, |foo, bar| unsafe { ptr::write(&mut foo.bar, bar) })
}

fn assign_drop_in_place() -> Outcome {
    example!(DropInPlace, |foo, bar| foo.bar = bar)
}

fn write_drop_in_place() -> Outcome {
    // SAFETY: as `write_drop_storage`.
    example!(DropInPlace, |foo, bar| unsafe { ptr::write(&mut foo.bar, bar) })
}

const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        c"allocated_memory/assign_drop_storage",
        SECTION,
        c"Assignment, and a Drop that frees storage only: both faults.",
        assign_drop_storage,
    )
    .expecting(&[NULL_FREE, inner_leak(CONTIGUOUS)]),
    Scenario::new(
        c"allocated_memory/write_drop_storage",
        SECTION,
        c"ptr::write drops no old value: the null free is gone, the leak stays.",
        write_drop_storage,
    )
    .expecting(&[inner_leak(CONTIGUOUS)]),
    Scenario::new(
        c"allocated_memory/assign_drop_in_place",
        SECTION,
        c"drop_in_place before the storage goes: the leak is gone, the null free stays.",
        assign_drop_in_place,
    )
    .expecting(&[NULL_FREE]),
    Scenario::new(
        c"allocated_memory/write_drop_in_place",
        SECTION,
        c"Both mended: clean. The compiler did what the source says all along.",
        write_drop_in_place,
    )
    .shares(),
];
crate::scenarios!(SCENARIOS);

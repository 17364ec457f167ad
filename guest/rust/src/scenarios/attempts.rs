// SPDX-License-Identifier: GPL-2.0
//! What the author tried. None of it touches either cause.

use super::allocated_memory::{Bar, NULL_FREE, inner_leak};
use crate::allocated_memory::{Kind, MayDangle, RawPointer, Unique, WithoutKind};
use crate::ledger::{named, step};
use crate::scenario::{CONTIGUOUS, NO_MEMORY, Outcome, Scenario, finding};
use core::ffi::CStr;

const SECTION: &CStr = c"What the author tried";

/// The example with another owner; the arguments are those of its `alloc`.
macro_rules! example {
    ($owner:ident, $($foo:expr)?, $($bar:expr)?) => {{
        struct Foo {
            bar: $owner<Bar>,
        }
        let mut foo = named("foo", $owner::<Foo>::alloc($($foo)?).ok_or(NO_MEMORY)?);
        let bar = named("bar", $owner::<Bar>::alloc($($bar)?).ok_or(NO_MEMORY)?);
        step("assign");
        foo.bar = bar;
        step("end of scope");
        Ok(())
    }};
}

fn raw_pointer() -> Outcome {
    example!(RawPointer, Kind::Normal, Kind::Contiguous)
}

fn without_kind() -> Outcome {
    example!(WithoutKind,,)
}

fn unique() -> Outcome {
    example!(Unique, Kind::Normal, Kind::Contiguous)
}

fn may_dangle() -> Outcome {
    example!(MayDangle, Kind::Normal, Kind::Contiguous)
}

const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        c"allocated_memory/raw_pointer",
        SECTION,
        c"*mut T in place of NonNull<T> changes nothing: neither fault is about the pointer's type.",
        raw_pointer,
    )
    .shares()
    .expecting(&[NULL_FREE, inner_leak(CONTIGUOUS)]),
    Scenario::new(
        c"allocated_memory/without_kind",
        SECTION,
        c"Without the kind field the null goes to the contiguous call; it is still a null.",
        without_kind,
    )
    .shares()
    .expecting(&[
        finding(c"null-free", CONTIGUOUS).at(c"assign").because(
            c"the assignment drops the old value first, and that is zeroed memory: a null pointer",
        ),
        inner_leak(CONTIGUOUS),
    ]),
    Scenario::new(
        c"allocated_memory/unique",
        SECTION,
        c"PhantomData<T> tells the drop checker about ownership; it does not make Drop drop the T.",
        unique,
    )
    .shares()
    .expecting(&[NULL_FREE, inner_leak(CONTIGUOUS)]),
    Scenario::new(
        c"allocated_memory/may_dangle",
        SECTION,
        c"#[may_dangle] relaxes what the compiler accepts; it changes nothing that runs.",
        may_dangle,
    )
    .shares()
    .expecting(&[NULL_FREE, inner_leak(CONTIGUOUS)]),
];
crate::scenarios!(SCENARIOS);

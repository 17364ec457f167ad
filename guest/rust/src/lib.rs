// SPDX-License-Identifier: GPL-2.0
//! The Rust half of specimens.ko: owners over the two allocators of freeonce.ko, and the scenarios.
//!
//! C owns the module. It enters here in two places, both in `scenario.rs`.
//!
//! A scenario is a function and its entry in an array, which [`scenarios!`] puts into the table:
//!
//! ```no_run
//! #![feature(allocator_api)]
//! use freeonce::physical::PhysicalAllocator;
//! use freeonce::scenario::{CONTIGUOUS, Outcome, Scenario, finding};
//!
//! fn forgotten() -> Outcome {
//!     std::mem::forget(Box::try_new_in(0u64, PhysicalAllocator)?);
//!     Ok(())
//! }
//!
//! const SCENARIOS: &[Scenario] = &[
//!     Scenario::new(c"mine/forgotten", c"My code", c"Who forgets a Box leaks it.", forgotten)
//!         .expecting(&[finding(c"leak", CONTIGUOUS)]),
//! ];
//! freeonce::scenarios!(SCENARIOS);
//! ```
#![no_std]
#![feature(allocator_api, dropck_eyepatch)]
// Stable in newer compilers, needed by the oldest that we take (1.85).
#![allow(stable_features)]
#![feature(new_zeroed_alloc)]
#![deny(unsafe_op_in_unsafe_fn)]

extern crate alloc;
// Scenarios call the crate by its name, wherever their files lie.
extern crate self as freeonce;

mod allocated_memory;
mod declared;
mod hypervisor;
mod kernel;
pub mod ledger;
// A host, where examples of these pages run, has one of its own.
#[cfg(target_os = "none")]
mod panic;
pub mod physical;
pub mod pool;
pub mod scenario;
/// A module for each file of a folder of scenarios: the recipes list them.
mod scenarios {
    include!(env!("FREEONCE_SCENARIOS"));
}
pub mod svm;
pub mod windows;

#[cfg(feature = "allocator")]
#[global_allocator]
static GLOBAL: pool::KernelAlloc = pool::KernelAlloc;

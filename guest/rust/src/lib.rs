// SPDX-License-Identifier: GPL-2.0
//! The Rust half of specimens.ko: owners over the two allocators of freeonce.ko, and the scenarios.
//!
//! C owns the module. It enters here in two places, both in `scenario.rs`.
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

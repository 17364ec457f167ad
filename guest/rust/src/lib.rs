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

mod allocated_memory;
mod hypervisor;
mod kernel;
mod ledger;
mod panic;
mod physical;
mod pool;
mod scenario;
mod scenarios;
mod svm;

#[global_allocator]
static GLOBAL: pool::KernelAlloc = pool::KernelAlloc;

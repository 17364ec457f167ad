// SPDX-License-Identifier: GPL-2.0
//! All Rust scenarios, in the order of the report. A new one: a function and an entry in its file.

mod allocated_memory;
mod allocator;
mod attempts;
mod boxes;
mod causes;
mod faults;
mod faults_svm;
mod hypervisor;
mod of_kernel;
mod svm;
mod svm_invalid;
mod tlb;
mod vec;

use crate::scenario::Scenario;

pub const ALL: &[&[Scenario]] = &[
    allocated_memory::SCENARIOS,
    attempts::SCENARIOS,
    causes::SCENARIOS,
    boxes::SCENARIOS,
    allocator::SCENARIOS,
    vec::SCENARIOS,
    of_kernel::SCENARIOS,
    svm::SCENARIOS,
    svm_invalid::SCENARIOS,
    tlb::SCENARIOS,
    hypervisor::SCENARIOS,
];

pub const PLANTED: &[&[Scenario]] =
    &[faults::SCENARIOS, of_kernel::PLANTED, faults_svm::SCENARIOS, tlb::PLANTED, svm::PLANTED];

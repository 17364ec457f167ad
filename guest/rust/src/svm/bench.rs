// SPDX-License-Identifier: GPL-2.0
//! An L2 whose exits cost as little as any, for `instrument/bench/vmrun.c` to enter many times.

use super::{Exit, L2, Paging, Program, Svm};
use crate::kernel::Vcpu;
use crate::scenario::{Failed, Outcome, UNEXPECTED};
use core::ffi::{c_int, c_void};

unsafe extern "C" {
    /// CPUID for ever: each exit leaves RIP where it is, so the next entry makes the same one.
    safe static l2_chatty: Program;
}

type Measure = unsafe extern "C" fn(vcpu: *mut Vcpu, into: *mut c_void);

fn measured(measure: Measure, into: *mut c_void) -> Outcome {
    let mut l2 = L2::try_new(&l2_chatty, Paging::Nested, 1)?;
    let svm = Svm::on()?;
    // Tells the operands: from now on nothing of the VMCB changes.
    while l2.enter(&svm)?.is_of_host() {}
    if l2.vmcb().exit() != Exit::Cpuid {
        return Err(UNEXPECTED);
    }
    l2.parts.vmcb.flush_nothing();
    // SAFETY: SVM is on here, the TLB has nothing of others, and all that the VMCB reaches lives until
    // the call is over.
    unsafe { measure(l2.parts.bound.0.get(), into) };
    Ok(())
}

/// Calls `measure` with the vcpu, on a CPU with SVM on. Returns 0 or a negative error number.
///
/// # Safety
/// `measure` may be called with `into`, and only enters the vcpu.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn freeonce_rust_bench(measure: Measure, into: *mut c_void) -> c_int {
    match measured(measure, into) {
        Ok(()) => 0,
        Err(Failed(error)) => error,
    }
}

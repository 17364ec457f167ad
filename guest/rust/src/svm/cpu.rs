// SPDX-License-Identifier: GPL-2.0
//! CPUs: to be bound to one, to run code on others, to turn SVM on.

use super::{Given, Pages, Physical, zeroed};
use crate::kernel;
use crate::physical::gpa;
use crate::scenario::{Failed, Outcome};
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;

/// The task stays on its CPU.
pub struct Pinned(PhantomData<*mut ()>);

impl Pinned {
    pub fn here() -> Self {
        // SAFETY: undone in drop, by the same task: a raw pointer is not Send.
        unsafe { kernel::freeonce_pin() };
        Pinned(PhantomData)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: the match of the one above.
        unsafe { kernel::freeonce_unpin() }
    }
}

/// CPUs are numbered from 0.
pub fn cpu_count() -> u32 {
    kernel::freeonce_cpu_count()
}

unsafe extern "C" fn call<F: Fn() -> Outcome + Sync>(body: *mut c_void) -> c_int {
    // SAFETY: a reference that `on_cpu` or `on_each_cpu` holds until all calls are over.
    match unsafe { (*body.cast::<F>())() } {
        Ok(()) => 0,
        Err(Failed(error)) => error,
    }
}

fn outcome(status: c_int) -> Outcome {
    if status == 0 { Ok(()) } else { Err(Failed(status)) }
}

/// Runs `body` on that CPU, in process context, bound to it. In a `body` neither this nor
/// `on_each_cpu` does anything: -35 (EDEADLK).
pub fn on_cpu<F: Fn() -> Outcome + Sync>(cpu: u32, body: F) -> Outcome {
    // SAFETY: `call` is for this type, and `body` outlives the call, which waits for it.
    outcome(unsafe { kernel::freeonce_on_cpu(cpu, call::<F>, (&raw const body).cast_mut().cast()) })
}

/// The same on all CPUs at once; a scenario that declares one CPU has one.
pub fn on_each_cpu<F: Fn() -> Outcome + Sync>(body: F) -> Outcome {
    // SAFETY: as above.
    outcome(unsafe { kernel::freeonce_on_each_cpu(call::<F>, (&raw const body).cast_mut().cast()) })
}

/// This CPU in SVM operation (15.4). Off when dropped, before its host save area goes.
pub struct Svm {
    _on: On,
    _host_save_area: Physical<Given<Pages<4096>>>,
    _pinned: Pinned,
}

/// A field of its own, declared first, so that SVM is off before the host save area goes.
struct On;

impl Drop for On {
    fn drop(&mut self) {
        // SAFETY: exists only after freeonce_svm_on() on this CPU, to which we are bound.
        unsafe { kernel::freeonce_svm_off() }
    }
}

impl Svm {
    pub fn on() -> Result<Self, Failed> {
        let pinned = Pinned::here();
        // SAFETY: bytes are valid as zeros.
        let host_save_area = unsafe { zeroed::<Given<Pages<4096>>>()? };
        // SAFETY: the page lives until after `On` is dropped.
        match unsafe { kernel::freeonce_svm_on(gpa(&*host_save_area)) } {
            0 => Ok(Svm { _on: On, _host_save_area: host_save_area, _pinned: pinned }),
            error => Err(Failed(error)),
        }
    }

    /// The TLB of this CPU forgets one page of the L2s under that ASID (15.16.2).
    pub fn invlpga(&self, at: u64, asid: u32) -> Outcome {
        outcome(kernel::freeonce_invlpga(at, asid))
    }
}

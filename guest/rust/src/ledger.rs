// SPDX-License-Identifier: GPL-2.0
//! What a scenario says of itself: where it is, and what an allocation is called.

use crate::kernel;
use core::ops::Deref;

/// Says where the scenario is. A finding tells the last step before it. At most 24 bytes.
pub fn step(text: &str) {
    // SAFETY: the text is readable for its length; the callee keeps no pointer.
    unsafe { kernel::freeonce_step(text.as_ptr(), text.len()) }
}

/// Gives the allocation behind `owner` the name it has in the source. At most 24 bytes.
pub fn named<P: Deref>(name: &str, owner: P) -> P {
    label(&raw const *owner as *const u8, name);
    owner
}

/// As [`named`], for an allocation that no owner holds.
pub fn label(pointer: *const u8, name: &str) {
    // SAFETY: the pointer is only compared; the text is readable for its length.
    unsafe { kernel::freeonce_label(pointer, name.as_ptr(), name.len()) }
}

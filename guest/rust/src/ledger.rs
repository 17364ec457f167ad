// SPDX-License-Identifier: GPL-2.0
//! What a scenario says of itself: where it is, and what an allocation is called.

use crate::kernel;
use core::fmt::{self, Write};
use core::ops::Deref;

/// Says where the scenario is. A finding tells the last step before it. At most 240 bytes.
pub fn step(text: &str) {
    // SAFETY: the text is readable for its length; the callee keeps no pointer.
    unsafe { kernel::freeonce_step(text.as_ptr(), text.len()) }
}

/// As [`step`], cut at 120 bytes; allocates nothing.
pub fn stepf(text: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; 120], length: 0 };
    // Cut text is what an error here means.
    let _ = line.write_fmt(text);
    // SAFETY: as in `step`.
    unsafe { kernel::freeonce_step(line.bytes.as_ptr(), line.length) }
}

struct Line {
    bytes: [u8; 120],
    length: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.length..];
        let taken = text.len().min(room.len());
        room[..taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.length += taken;
        if taken == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Gives the allocation behind `owner` the name it has in the source. At most 240 bytes.
pub fn named<P: Deref>(name: &str, owner: P) -> P {
    label(&raw const *owner as *const u8, name);
    owner
}

/// As [`named`], for an allocation that no owner holds.
pub fn label(pointer: *const u8, name: &str) {
    // SAFETY: the pointer is only compared; the text is readable for its length.
    unsafe { kernel::freeonce_label(pointer, name.as_ptr(), name.len()) }
}

/// This CPU lacks something that the scenario needs. At most 24 bytes.
pub fn unsupported(feature: &str) {
    // SAFETY: as in `step`.
    unsafe { kernel::freeonce_unsupported(feature.as_ptr(), feature.len(), 0) }
}

/// The same, of one kind of #VMEXIT that could not be had, by its code.
pub fn unsupported_exit(code: u32, feature: &str) {
    // SAFETY: as in `step`.
    unsafe { kernel::freeonce_unsupported(feature.as_ptr(), feature.len(), code.wrapping_add(1)) }
}

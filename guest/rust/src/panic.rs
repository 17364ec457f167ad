// SPDX-License-Identifier: GPL-2.0
//! A Rust panic stops the kernel, with its message in the ledger and on the console.

use crate::kernel;
use core::fmt::{self, Write};

struct Text {
    bytes: [u8; 240],
    length: usize,
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = &mut self.bytes[self.length..];
        let count = part.len().min(room.len());
        room[..count].copy_from_slice(&part.as_bytes()[..count]);
        self.length += count;
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    let mut text = Text { bytes: [0; 240], length: 0 };
    let _ = write!(text, "{info}");
    // SAFETY: the text is readable for its length.
    unsafe { kernel::freeonce_panic(text.bytes.as_ptr(), text.length) }
}

// SPDX-License-Identifier: GPL-2.0
//! The global allocator: non-paged pool.

use crate::kernel;
use core::alloc::{GlobalAlloc, Layout};

/// The tag on everything that Rust takes from the pool.
pub const TAG: u32 = u32::from_le_bytes(*b"rust");

/// What `Box::new` and `Vec::new` use: the module's pool.
pub struct KernelAlloc;

// SAFETY: the pool gives `size` bytes aligned to `align`, or null; it never unwinds.
unsafe impl GlobalAlloc for KernelAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size and alignment may be asked for.
        unsafe { kernel::freeonce_pool_alloc(layout.size(), layout.align(), TAG) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { kernel::freeonce_pool_alloc_zeroed(layout.size(), layout.align(), TAG) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the module looks at the pointer before it believes it.
        unsafe { kernel::freeonce_pool_free(pointer, layout.size(), layout.align()) }
    }
}

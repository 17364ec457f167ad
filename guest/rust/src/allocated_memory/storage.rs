// SPDX-License-Identifier: GPL-2.0
//! The two calls behind every variant of `AllocatedMemory`.

use crate::kernel;
use crate::physical;
use crate::pool;
use core::alloc::Layout;
use core::ptr::NonNull;

/// The article's `AllocType`. Zeroed memory reads as `Normal`.
#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
pub enum Kind {
    Normal = 0,
    Contiguous = 1,
}

pub fn alloc_zeroed(kind: Kind, layout: Layout) -> Option<NonNull<u8>> {
    let pointer = match kind {
        // SAFETY: any size and alignment may be asked for.
        Kind::Normal => unsafe {
            kernel::freeonce_pool_alloc(layout.size(), layout.align(), pool::TAG)
        },
        Kind::Contiguous => physical::contiguous(layout),
    };
    let pointer = NonNull::new(pointer)?;
    // SAFETY: just allocated with this size. Not inlined, as RtlZeroMemory is not.
    unsafe { kernel::freeonce_zero(pointer.as_ptr(), layout.size()) };
    Some(pointer)
}

/// # Safety
/// The module bears any pointer. A sound owner passes its own, once.
pub unsafe fn free(kind: Kind, pointer: *mut u8, layout: Layout) {
    match kind {
        // SAFETY: by our own contract.
        Kind::Normal => unsafe {
            kernel::freeonce_pool_free(pointer, layout.size(), layout.align())
        },
        // SAFETY: by our own contract.
        Kind::Contiguous => unsafe {
            kernel::freeonce_contiguous_free(pointer, layout.size(), layout.align())
        },
    }
}

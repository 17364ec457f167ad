// SPDX-License-Identifier: GPL-2.0
//! The article's way out: an `Allocator` for physically contiguous memory.

use crate::kernel::{self, ContiguousRequest};
use core::alloc::{AllocError, Allocator, Layout};
use core::ptr::{self, NonNull};

/// Physically contiguous pages, anywhere, write-back.
#[derive(Clone, Copy)]
pub struct PhysicalAllocator;

/// Null when refused.
pub fn contiguous(layout: Layout) -> *mut u8 {
    let request = ContiguousRequest {
        size: layout.size() as u64,
        align: layout.align() as u64,
        lowest: 0,
        highest: u64::MAX,
        boundary: 0,
        cache: kernel::CACHE_WRITE_BACK,
        node: kernel::ANY_NODE,
    };
    // SAFETY: the callee reads the request and keeps no pointer to it.
    unsafe { kernel::freeonce_contiguous_alloc(&request) }
}

/// What has no bytes needs no memory, only an address that is aligned.
fn nothing(layout: Layout) -> NonNull<u8> {
    // SAFETY: an alignment is not 0.
    unsafe { NonNull::new_unchecked(ptr::without_provenance_mut(layout.align())) }
}

/// The address that the CPU needs for what `pointer` points at.
pub fn gpa<T: ?Sized>(pointer: &T) -> u64 {
    kernel::freeonce_gpa(&raw const *pointer as *const u8)
}

// SAFETY: memory stays where it is until `deallocate`; all copies of the allocator are the same one.
unsafe impl Allocator for PhysicalAllocator {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(NonNull::slice_from_raw_parts(nothing(layout), 0));
        }
        let pointer = NonNull::new(contiguous(layout)).ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(pointer, layout.size()))
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let memory = self.allocate(layout)?;
        // SAFETY: just allocated with this size.
        unsafe { kernel::freeonce_zero(memory.cast().as_ptr(), layout.size()) };
        Ok(memory)
    }

    unsafe fn deallocate(&self, pointer: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 {
            return;
        }
        // SAFETY: the module looks at the pointer before it believes it.
        unsafe { kernel::freeonce_contiguous_free(pointer.as_ptr(), layout.size(), layout.align()) }
    }
}

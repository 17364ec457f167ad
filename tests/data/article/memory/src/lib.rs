//! A Windows driver's memory: knows nothing of freeonce.
#![no_std]
#![allow(non_snake_case)]

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};

const TAG: u32 = u32::from_ne_bytes(*b"hype");
const PAGE: usize = 4096;
const NON_PAGED: i32 = 0;
const CACHED: i32 = 1;
const ANY_NODE: u32 = 0x8000_0000;

extern "system" {
    fn ExAllocatePoolWithTag(kind: i32, size: usize, tag: u32) -> *mut c_void;
    fn ExFreePool(pointer: *mut c_void);
    fn MmAllocateContiguousMemorySpecifyCacheNode(
        size: usize,
        lowest: i64,
        highest: i64,
        boundary: i64,
        cache: i32,
        node: u32,
    ) -> *mut c_void;
    fn MmFreeContiguousMemory(pointer: *mut c_void);
}

#[derive(Clone, Copy)]
#[repr(u8)]
pub enum AllocType {
    Normal = 0,
    Contiguous = 1,
}

pub struct AllocatedMemory<T> {
    pointer: NonNull<T>,
    kind: AllocType,
}

#[inline(never)]
fn zero(pointer: *mut c_void, size: usize) {
    // SAFETY: whoever calls has just allocated so much.
    unsafe { ptr::write_bytes(pointer.cast::<u8>(), 0, size) }
}

impl<T> AllocatedMemory<T> {
    pub fn alloc(kind: AllocType) -> Option<Self> {
        let size = size_of::<T>();
        let pointer = match kind {
            // SAFETY: any request may be made.
            AllocType::Normal => unsafe { ExAllocatePoolWithTag(NON_PAGED, size, TAG) },
            // SAFETY: as above.
            AllocType::Contiguous => unsafe {
                let size = rounding::up(size, PAGE);
                MmAllocateContiguousMemorySpecifyCacheNode(size, 0, -1, 0, CACHED, ANY_NODE)
            },
        };
        let pointer = NonNull::new(pointer)?;
        zero(pointer.as_ptr(), size);
        Some(AllocatedMemory { pointer: pointer.cast(), kind })
    }
}

impl<T> Drop for AllocatedMemory<T> {
    fn drop(&mut self) {
        match self.kind {
            // SAFETY: it was allocated so.
            AllocType::Normal => unsafe { ExFreePool(self.pointer.as_ptr().cast()) },
            // SAFETY: it was allocated so.
            AllocType::Contiguous => unsafe { MmFreeContiguousMemory(self.pointer.as_ptr().cast()) },
        }
    }
}

impl<T> Deref for AllocatedMemory<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: a T is there, or zeros.
        unsafe { self.pointer.as_ref() }
    }
}

impl<T> DerefMut for AllocatedMemory<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { self.pointer.as_mut() }
    }
}

/// The driver's global allocator.
pub struct KernelAlloc;

// SAFETY: pool is aligned to 16, and a page of it to a page.
unsafe impl GlobalAlloc for KernelAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any request may be made.
        unsafe { ExAllocatePoolWithTag(NON_PAGED, layout.size(), TAG).cast() }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, _: Layout) {
        // SAFETY: by the trait's contract it is ours.
        unsafe { ExFreePool(pointer.cast()) }
    }
}

// SPDX-License-Identifier: GPL-2.0
//! The article's `AllocatedMemory<T>`, and what its author tried.
//!
//! These types are unsound on purpose: they can be built from zeroed memory, and
//! their `Drop` then releases null. That is what the scenarios show.

mod attempts;
mod storage;

pub use attempts::{DropInPlace, MayDangle, RawPointer, Unique, WithoutKind};
pub use storage::Kind;

use core::alloc::Layout;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// One owner for two kinds of memory: a pointer and the kind.
pub struct AllocatedMemory<T> {
    pointer: NonNull<T>,
    kind: Kind,
}

impl<T> AllocatedMemory<T> {
    /// Zeroed memory for one `T`. The `T` in it is whatever zeros mean.
    pub fn alloc(kind: Kind) -> Option<Self> {
        let pointer = storage::alloc_zeroed(kind, Layout::new::<T>())?.cast();
        Some(AllocatedMemory { pointer, kind })
    }
}

impl<T> Drop for AllocatedMemory<T> {
    /// The storage goes; the `T` in it is forgotten.
    fn drop(&mut self) {
        // SAFETY: none to argue; a zeroed owner comes here with null. The module withholds it.
        unsafe { storage::free(self.kind, self.pointer.as_ptr().cast(), Layout::new::<T>()) }
    }
}

impl<T> Deref for AllocatedMemory<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: points at a `T` of ours, for an owner that `alloc` made.
        unsafe { self.pointer.as_ref() }
    }
}

impl<T> DerefMut for AllocatedMemory<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as `deref`; `&mut self` makes it the only reference.
        unsafe { self.pointer.as_mut() }
    }
}

// SPDX-License-Identifier: GPL-2.0
//! What the author tried instead, one type an attempt, each different in one thing.

use super::storage::{self, Kind};
use core::alloc::Layout;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};

/// `*mut T` in place of `NonNull<T>`.
pub struct RawPointer<T> {
    pointer: *mut T,
    kind: Kind,
}

/// No kind field: contiguous always.
pub struct WithoutKind<T> {
    pointer: NonNull<T>,
}

/// `Unique<T>`: the compiler is told that a `T` is owned.
pub struct Unique<T> {
    pointer: NonNull<T>,
    kind: Kind,
    owns: PhantomData<T>,
}

/// `#[may_dangle]` on `Drop`, with `PhantomData<T>` beside it as the Nomicon asks.
pub struct MayDangle<T> {
    pointer: NonNull<T>,
    kind: Kind,
    owns: PhantomData<T>,
}

/// The attempt that was missing: drops the `T` before its storage goes.
pub struct DropInPlace<T> {
    pointer: NonNull<T>,
    kind: Kind,
    owns: PhantomData<T>,
}

impl<T> RawPointer<T> {
    pub fn alloc(kind: Kind) -> Option<Self> {
        let pointer = storage::alloc_zeroed(kind, Layout::new::<T>())?.cast().as_ptr();
        Some(RawPointer { pointer, kind })
    }
}

impl<T> WithoutKind<T> {
    pub fn alloc() -> Option<Self> {
        let pointer = storage::alloc_zeroed(Kind::Contiguous, Layout::new::<T>())?.cast();
        Some(WithoutKind { pointer })
    }
}

impl<T> Drop for RawPointer<T> {
    fn drop(&mut self) {
        // SAFETY: as `AllocatedMemory::drop`: none to argue.
        unsafe { storage::free(self.kind, self.pointer.cast(), Layout::new::<T>()) }
    }
}

impl<T> Drop for WithoutKind<T> {
    fn drop(&mut self) {
        // SAFETY: as `AllocatedMemory::drop`: none to argue.
        unsafe { storage::free(Kind::Contiguous, self.pointer.as_ptr().cast(), Layout::new::<T>()) }
    }
}

impl<T> Drop for Unique<T> {
    fn drop(&mut self) {
        // SAFETY: as `AllocatedMemory::drop`: none to argue.
        unsafe { storage::free(self.kind, self.pointer.as_ptr().cast(), Layout::new::<T>()) }
    }
}

// SAFETY: `drop` does not touch the `T`.
unsafe impl<#[may_dangle] T> Drop for MayDangle<T> {
    fn drop(&mut self) {
        // SAFETY: as `AllocatedMemory::drop`: none to argue.
        unsafe { storage::free(self.kind, self.pointer.as_ptr().cast(), Layout::new::<T>()) }
    }
}

impl<T> Drop for DropInPlace<T> {
    fn drop(&mut self) {
        // SAFETY: the `T` is ours and is not used again. A zeroed owner has a null here,
        // which only a `T` without drop glue survives.
        unsafe {
            ptr::drop_in_place(self.pointer.as_ptr());
            storage::free(self.kind, self.pointer.as_ptr().cast(), Layout::new::<T>());
        }
    }
}

macro_rules! alloc_owning {
    ($($owner:ident),*) => {$(
        impl<T> $owner<T> {
            pub fn alloc(kind: Kind) -> Option<Self> {
                let pointer = storage::alloc_zeroed(kind, Layout::new::<T>())?.cast();
                Some($owner { pointer, kind, owns: PhantomData })
            }
        }
    )*};
}
alloc_owning!(Unique, MayDangle, DropInPlace);

macro_rules! deref_to_pointer {
    ($($owner:ident: $read:expr),*) => {$(
        impl<T> Deref for $owner<T> {
            type Target = T;
            fn deref(&self) -> &T {
                let read: fn(&Self) -> *mut T = $read;
                // SAFETY: points at a `T` of ours, for an owner that `alloc` made.
                unsafe { &*read(self) }
            }
        }
        impl<T> DerefMut for $owner<T> {
            fn deref_mut(&mut self) -> &mut T {
                let read: fn(&Self) -> *mut T = $read;
                // SAFETY: as `deref`; `&mut self` makes it the only reference.
                unsafe { &mut *read(self) }
            }
        }
    )*};
}
deref_to_pointer!(
    RawPointer: |owner| owner.pointer,
    WithoutKind: |owner| owner.pointer.as_ptr(),
    Unique: |owner| owner.pointer.as_ptr(),
    MayDangle: |owner| owner.pointer.as_ptr(),
    DropInPlace: |owner| owner.pointer.as_ptr()
);

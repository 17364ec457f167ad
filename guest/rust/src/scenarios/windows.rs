// SPDX-License-Identifier: GPL-2.0
//! The names of Windows, used as Microsoft documents them and otherwise.

use crate::ledger::{label, step};
use crate::scenario::{CONTIGUOUS, NO_MEMORY, Outcome, POOL, Scenario, UNEXPECTED, finding};
use crate::windows::*;
use core::ffi::CStr;
use core::ptr;

const SECTION: &CStr = c"The names of Windows, from Rust";
const PLANTED: &CStr = c"Planted faults, from Rust";
const OURS: ULONG = u32::from_le_bytes(*b"ours");
const OTHER: ULONG = u32::from_le_bytes(*b"othe");
const SIZE: SIZE_T = 192;
const TWO_PAGES: SIZE_T = 8192;

const ZERO: PHYSICAL_ADDRESS = PHYSICAL_ADDRESS { QuadPart: 0 };
const ANYWHERE: PHYSICAL_ADDRESS = PHYSICAL_ADDRESS { QuadPart: -1 };

fn some(pointer: PVOID) -> Result<PVOID, crate::scenario::Failed> {
    if pointer.is_null() { Err(NO_MEMORY) } else { Ok(pointer) }
}

fn nonpaged() -> Result<PVOID, crate::scenario::Failed> {
    // SAFETY: any request may be made.
    some(unsafe { ExAllocatePoolWithTag(NonPagedPoolNx, SIZE, OURS) })
}

fn contiguous(cache: MEMORY_CACHING_TYPE) -> Result<PVOID, crate::scenario::Failed> {
    // SAFETY: as above.
    some(unsafe {
        MmAllocateContiguousMemorySpecifyCacheNode(
            TWO_PAGES,
            ZERO,
            ANYWHERE,
            ZERO,
            cache,
            MM_ANY_NODE_OK,
        )
    })
}

fn pool() -> Outcome {
    // SAFETY: any request may be made; what is written is within it, and each goes back once.
    unsafe {
        let small = nonpaged()?;
        ptr::write_bytes(small.cast::<u8>(), 0xa5, SIZE);
        ExFreePoolWithTag(small, OURS);
        let zeroed = some(ExAllocatePool2(POOL_FLAG_NON_PAGED, SIZE, OURS))?;
        let sum: u32 = (0..SIZE).map(|at| u32::from(zeroed.cast::<u8>().add(at).read())).sum();
        ExFreePool(zeroed);
        let paged = some(ExAllocatePool2(POOL_FLAG_PAGED, SIZE, OURS))?;
        ExFreePoolWithTag(paged, 0);
        if sum == 0 { Ok(()) } else { Err(UNEXPECTED) }
    }
}

fn contiguous_memory() -> Outcome {
    let highest = PHYSICAL_ADDRESS { QuadPart: (128 << 20) - 1 };
    // SAFETY: as in `pool`.
    unsafe {
        let below = some(MmAllocateContiguousMemory(SIZE, highest))?;
        let address = MmGetPhysicalAddress(below);
        let there =
            MmGetVirtualForPhysical(address) == below && address.QuadPart <= highest.QuadPart;
        MmFreeContiguousMemory(below);
        let combined = contiguous(MmWriteCombined)?;
        MmFreeContiguousMemorySpecifyCache(combined, TWO_PAGES, MmWriteCombined);
        if there { Ok(()) } else { Err(UNEXPECTED) }
    }
}

fn leak() -> Outcome {
    label(nonpaged()?.cast(), "forgotten");
    Ok(())
}

fn null_free() -> Outcome {
    // SAFETY: none: breaking contracts is what these scenarios are for.
    unsafe { MmFreeContiguousMemory(ptr::null_mut()) };
    Ok(())
}

fn double_free() -> Outcome {
    let pointer = nonpaged()?;
    // SAFETY: none, as above.
    unsafe {
        ExFreePool(pointer);
        step("second release");
        ExFreePool(pointer);
    }
    Ok(())
}

fn another_tag() -> Outcome {
    // SAFETY: none, as above.
    unsafe { ExFreePoolWithTag(nonpaged()?, OTHER) };
    Ok(())
}

fn another_cache() -> Outcome {
    // SAFETY: none, as above.
    unsafe { MmFreeContiguousMemorySpecifyCache(contiguous(MmCached)?, TWO_PAGES, MmNonCached) };
    Ok(())
}

fn another_size() -> Outcome {
    // SAFETY: none, as above.
    unsafe { MmFreeContiguousMemorySpecifyCache(contiguous(MmCached)?, SIZE, MmCached) };
    Ok(())
}

fn another_call() -> Outcome {
    // SAFETY: none, as above.
    unsafe { MmFreeContiguousMemory(nonpaged()?) };
    Ok(())
}

const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        c"windows/rust/pool",
        SECTION,
        c"Pool of any type is released with its tag, or without naming one.",
        pool,
    )
    .shares(),
    Scenario::new(
        c"windows/rust/contiguous",
        SECTION,
        c"Contiguous memory lies where it was asked for, and its addresses lead to each other.",
        contiguous_memory,
    )
    .shares(),
    Scenario::new(
        c"fault/leak/pool/rust/windows",
        PLANTED,
        c"ExAllocatePoolWithTag and no ExFreePool.",
        leak,
    )
    .expecting(&[finding(c"leak", POOL)]),
    Scenario::new(
        c"fault/null-free/contiguous/rust/windows",
        PLANTED,
        c"MmFreeContiguousMemory of null.",
        null_free,
    )
    .expecting(&[finding(c"null-free", CONTIGUOUS)]),
    Scenario::new(
        c"fault/double-free/pool/rust/windows",
        PLANTED,
        c"ExFreePool twice.",
        double_free,
    )
    .expecting(&[finding(c"double-free", POOL)]),
    Scenario::new(
        c"fault/mismatched-free/pool/rust/windows-tag",
        PLANTED,
        c"ExFreePoolWithTag with another tag: Windows stops with BAD_POOL_CALLER.",
        another_tag,
    )
    .expecting(&[finding(c"mismatched-free", POOL)]),
    Scenario::new(
        c"fault/mismatched-free/contiguous/rust/windows-cache",
        PLANTED,
        c"Cached memory is released as uncached.",
        another_cache,
    )
    .expecting(&[finding(c"mismatched-free", CONTIGUOUS)]),
    Scenario::new(
        c"fault/wrong-size-free/contiguous/rust/windows",
        PLANTED,
        c"Two pages are released as 192 bytes.",
        another_size,
    )
    .expecting(&[finding(c"wrong-size-free", CONTIGUOUS)]),
    Scenario::new(
        c"fault/mismatched-free/pool/rust/windows-call",
        PLANTED,
        c"MmFreeContiguousMemory of pool memory.",
        another_call,
    )
    .expecting(&[finding(c"mismatched-free", POOL)]),
];
crate::scenarios!(SCENARIOS);

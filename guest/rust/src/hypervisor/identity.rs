// SPDX-License-Identifier: GPL-2.0
//! A nested page table that maps L1's memory where it lies. AMD manual volume 2, 15.25.

use crate::kernel;
use crate::ledger::named;
use crate::physical::gpa;
use crate::scenario::{Failed, Outcome, UNEXPECTED};
use crate::svm::{Physical, zeroed};
use core::cell::UnsafeCell;
use core::hint;
use core::sync::atomic::{AtomicBool, Ordering};

const LARGE_PAGE: u64 = 2 << 20;
const PRESENT_WRITABLE_USER: u64 = 0b111; // nested accesses are user accesses (15.25.5)
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const FOUR_GIB: u64 = 4 << 30;
/// A table for each GiB below 4, up to three above, and room for what faults ask for.
const TABLES: usize = 16;

#[repr(C, align(4096))]
struct Tables([[u64; 512]; TABLES]);

/// One block, the root first. All CPUs use it; faults extend it.
pub struct IdentityMap {
    tables: UnsafeCell<Physical<Tables>>,
    used: UnsafeCell<usize>,
    root: u64,
    busy: AtomicBool,
}

// SAFETY: the cells are only touched with `busy` taken.
unsafe impl Sync for IdentityMap {}

impl IdentityMap {
    /// All below 4 GiB, where memory and the devices of every CPU are, and all memory above.
    pub fn try_new() -> Result<Self, Failed> {
        // SAFETY: integers are valid as zeros.
        let tables = named("npt", unsafe { zeroed::<Tables>()? });
        let map = IdentityMap {
            root: gpa(&*tables),
            tables: UnsafeCell::new(tables),
            used: UnsafeCell::new(1),
            busy: AtomicBool::new(false),
        };
        for page in 0..Self::end() / LARGE_PAGE {
            map.map(page * LARGE_PAGE)?;
        }
        Ok(map)
    }

    /// The first address that is not mapped from the start.
    pub fn end() -> u64 {
        kernel::freeonce_memory_end().max(FOUR_GIB).next_multiple_of(LARGE_PAGE)
    }

    /// For nCR3.
    pub fn root(&self) -> u64 {
        self.root
    }

    /// Maps the large page around an address. Allocates nothing: a fault may ask for it.
    pub fn map(&self, address: u64) -> Outcome {
        while self.busy.swap(true, Ordering::Acquire) {
            hint::spin_loop();
        }
        let outcome = self.map_alone(address);
        self.busy.store(false, Ordering::Release);
        outcome
    }

    fn map_alone(&self, address: u64) -> Outcome {
        // SAFETY: `busy` is ours.
        let (tables, used) = unsafe { (&mut (*self.tables.get()).0, &mut *self.used.get()) };
        let mut table = 0;
        for level in (3..=kernel::freeonce_paging_levels()).rev() {
            let entry = &mut tables[table][index(address, level)];
            if *entry == 0 {
                if *used == TABLES {
                    return Err(UNEXPECTED);
                }
                *entry = self.root + 4096 * *used as u64 | PRESENT_WRITABLE_USER;
                *used += 1;
            }
            table = (((*entry & ADDRESS) - self.root) / 4096) as usize;
        }
        let page = address & !(LARGE_PAGE - 1);
        tables[table][index(address, 2)] = page | PRESENT_WRITABLE_USER | LARGE;
        Ok(())
    }
}

fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * (level - 1)) & 511) as usize
}

// SPDX-License-Identifier: GPL-2.0
//! A nested page table for one page at gpa 0 of the L2. AMD manual volume 2, 15.25.

use super::{Physical, zeroed};
use crate::kernel;
use crate::physical::gpa;
use alloc::vec::Vec;
use core::alloc::AllocError;

#[repr(C, align(4096))]
struct Table([u64; 512]);

/// Nested accesses are user accesses (15.25.5).
const PRESENT_WRITABLE_USER: u64 = 0b111;

/// As many levels as the host's own paging has (15.25.3): a table a level, the root last.
pub struct NestedPageTable {
    tables: Vec<Physical<Table>>,
    root: u64,
}

impl NestedPageTable {
    pub fn try_new(page: u64) -> Result<Self, AllocError> {
        let levels = kernel::freeonce_paging_levels() as usize;
        let mut tables = Vec::new();
        tables.try_reserve_exact(levels).map_err(|_| AllocError)?;
        let mut below = page;
        for _ in 0..levels {
            // SAFETY: integers are valid as zeros.
            let mut table = unsafe { zeroed::<Table>()? };
            table.0[0] = below | PRESENT_WRITABLE_USER;
            below = gpa(&*table);
            tables.push(table);
        }
        Ok(NestedPageTable { tables, root: below })
    }

    /// For nCR3.
    pub fn root(&self) -> u64 {
        debug_assert!(!self.tables.is_empty());
        self.root
    }
}

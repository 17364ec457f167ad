// SPDX-License-Identifier: GPL-2.0
//! A nested page table. AMD manual volume 2, 15.25.

use super::{Given, Physical, zeroed};
use crate::kernel;
use crate::physical::gpa;
use crate::scenario::{Failed, Outcome, UNEXPECTED};
use alloc::vec::Vec;

#[repr(C, align(4096))]
pub struct Table([u64; 512]);

/// Bits of an entry that an L2's access needs; nested accesses are user accesses (15.25.5).
#[derive(Clone, Copy)]
pub struct TableFlags(pub u64);

impl TableFlags {
    pub const ALL: Self = TableFlags(0b111);
    pub const READ_ONLY: Self = TableFlags(0b101);
    pub const NO_EXECUTE: Self = TableFlags(0b111 | 1 << 63);
    const LARGE: u64 = 1 << 7;
}

const PRESENT: u64 = 1;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// As many levels as the host's own paging has (15.25.3). The first table is the root.
pub struct NestedPageTable {
    tables: Vec<Physical<Given<Table>>>,
    levels: u32,
    used: usize,
}

impl NestedPageTable {
    /// `tables`: how many it may ever need, the root included; all are reserved at once, since
    /// faults must not allocate.
    pub fn try_new(tables: usize) -> Result<Self, Failed> {
        let mut npt = NestedPageTable {
            tables: Vec::new(),
            levels: kernel::freeonce_paging_levels(),
            used: 1,
        };
        npt.tables.try_reserve_exact(tables).map_err(|_| crate::scenario::NO_MEMORY)?;
        for _ in 0..tables {
            // SAFETY: integers are valid as zeros.
            npt.tables.push(unsafe { zeroed::<Given<Table>>()? });
        }
        Ok(npt)
    }

    /// For nCR3.
    pub fn root(&self) -> u64 {
        gpa(&*self.tables[0])
    }

    /// Maps one page of 4 KiB (`level` 1) or 2 MiB (`level` 2). Allocates nothing.
    pub fn map(&mut self, at: u64, to: u64, level: u32, flags: TableFlags) -> Result<(), Failed> {
        let mut table = 0;
        for above in (level + 1..=self.levels).rev() {
            table = self.below(table, index(at, above))?;
        }
        let large = if level > 1 { TableFlags::LARGE } else { 0 };
        self.tables[table].0[index(at, level)] = to | flags.0 | large;
        Ok(())
    }

    /// Maps all 512 pages of 4 KiB of the table for `at`. `to`: where each leads, by its number.
    pub fn map_table(&mut self, at: u64, to: impl Fn(u64) -> u64) -> Outcome {
        let mut table = 0;
        for above in (2..=self.levels).rev() {
            table = self.below(table, index(at, above))?;
        }
        for (page, entry) in self.tables[table].0.iter_mut().enumerate() {
            *entry = to(page as u64) | TableFlags::ALL.0;
        }
        Ok(())
    }

    /// The leaf entry of a page of 4 KiB, zero when a table above it is missing.
    pub fn set_leaf(&mut self, at: u64, entry: u64) -> Result<(), Failed> {
        let mut table = 0;
        for above in (2..=self.levels).rev() {
            table = self.below(table, index(at, above))?;
        }
        self.tables[table].0[index(at, 1)] = entry;
        Ok(())
    }

    /// The table that an entry leads to, a new one when it leads nowhere.
    fn below(&mut self, table: usize, index: usize) -> Result<usize, Failed> {
        let entry = self.tables[table].0[index];
        if entry & PRESENT != 0 {
            let wanted = entry & ADDRESS;
            return self.tables[..self.used]
                .iter()
                .position(|table| gpa(&**table) == wanted)
                .ok_or(UNEXPECTED);
        }
        let new = self.used;
        let address = gpa(&**self.tables.get(new).ok_or(UNEXPECTED)?);
        self.used += 1;
        self.tables[table].0[index] = address | TableFlags::ALL.0;
        Ok(new)
    }

    /// Takes the table of that number away, to be released too early.
    pub fn take_table(&mut self, number: usize) -> Physical<Given<Table>> {
        self.tables.remove(number)
    }
}

fn index(at: u64, level: u32) -> usize {
    (at >> (12 + 9 * (level - 1)) & 511) as usize
}

// SPDX-License-Identifier: GPL-2.0
//! An L2's memory: code, stack, and page tables, GDT, TSS and IDT of its own.
//!
//! The same addresses stand in `specimens/l2/program.h`. Volume 2: descriptors 4.8, TSS
//! 12.2.5, page tables 5.3.

use super::{Given, Physical, zeroed};
use crate::physical::{PhysicalAllocator, gpa};
use core::alloc::{AllocError, Allocator, Layout};
use core::ptr::NonNull;

pub const PAGE: u64 = 4096;
const COUNT: usize = 16;

pub const CODE: u64 = 0x1000;
pub const STACK_TOP: u64 = 0x3000;
const SYSTEM: u64 = 0x3000;
const PAGE_TABLES: u64 = 0x4000; // four pages: one a level
pub const READ_ONLY: u64 = 0x9000;
pub const NO_EXECUTE: u64 = 0xa000;
pub const NOT_NESTED: u64 = 0xb000;
pub const RESERVED_BIT: u64 = 0xc000;
const HANDLERS: u64 = 0xd000;
const BEYOND: u64 = 0xe000;
/// In another entry of the topmost tables: nothing maps it.
const FAR_GPA: u64 = 1 << 30;

const GDT: u64 = SYSTEM;
const TSS: u64 = SYSTEM + 0x100;
const OTHER_TSS: u64 = SYSTEM + 0x200;
const IDT: u64 = SYSTEM + 0x800;
const VECTORS: u64 = 64;

const ENTRY: u64 = 0b110_0111; // present, writable, user, accessed, dirty

/// 0x08 code, 0x10 data, 0x18 and 0x20 the same at DPL 3, 0x28 the TSS, 0x38 not present,
/// 0x40 32-bit code, 0x48 the TSS of another 32-bit task.
const DESCRIPTORS: [u64; 10] = [
    0,
    0x00af_9b00_0000_ffff,
    0x00cf_9300_0000_ffff,
    0x00af_fb00_0000_ffff,
    0x00cf_f300_0000_ffff,
    0x0000_8b00_0000_0067 | (TSS & 0xffff) << 16,
    0,
    0x00cf_1300_0000_ffff,
    0x00cf_9b00_0000_ffff,
    0x0000_8900_0000_0067 | (OTHER_TSS & 0xffff) << 16,
];

const DATA_SELECTOR: u32 = 0x10;
const CODE_32_SELECTOR: u32 = 0x40;

/// `vmmcall; iretq`
const HANDLER: [u8; 5] = [0x0f, 0x01, 0xd9, 0x48, 0xcf];

/// Where the L2's handler of a vector stands.
pub fn handler(vector: u64) -> u64 {
    HANDLERS + 16 * vector
}

/// What a VMCB must know of them.
pub struct Tables {
    pub code: u16,
    pub code_32: u16,
    pub data: u16,
    pub task: u16,
    pub task_base: u64,
    pub task_limit: u32,
    pub gdt_base: u64,
    pub gdt_limit: u32,
    pub idt_base: u64,
    pub idt_limit: u32,
    pub cr3: u64,
}

/// One block, so that the CPU finds its pages side by side.
#[repr(C, align(4096))]
struct Block([[u8; PAGE as usize]; COUNT]);

pub struct Memory(Physical<Given<Block>>);

impl Memory {
    /// `nested`: its page tables lead to the L2's gpas; otherwise to L1's.
    pub fn try_new(nested: bool) -> Result<Self, AllocError> {
        // SAFETY: bytes are valid as zeros.
        let mut memory = Memory(unsafe { zeroed::<Given<Block>>()? });
        let base = if nested { 0 } else { memory.gpa() };
        memory.write_descriptors();
        memory.write_page_tables(base);
        if nested {
            memory.link(BEYOND, FAR_GPA);
        }
        Ok(memory)
    }

    /// Of its first byte, for L1.
    pub fn gpa(&self) -> u64 {
        gpa(&*self.0)
    }

    /// Releases the block while its owner still owns it: a planted fault.
    ///
    /// # Safety
    /// The owner is forgotten, and nobody uses it.
    pub(crate) unsafe fn release_early(&self) {
        let pointer = NonNull::from(&*self.0).cast();
        // SAFETY: by the contract above.
        unsafe { PhysicalAllocator.deallocate(pointer, Layout::new::<Block>()) }
    }

    pub fn pages(&self) -> u64 {
        COUNT as u64
    }

    /// False when it does not fit.
    pub fn load(&mut self, code: &[u8]) -> bool {
        let page = &mut self.0.0[(CODE / PAGE) as usize];
        let fits = code.len() <= page.len();
        if fits {
            page[..code.len()].copy_from_slice(code);
        }
        fits
    }

    pub fn tables(&self, nested: bool) -> Tables {
        let base = if nested { 0 } else { self.gpa() };
        Tables {
            code: 0x08,
            code_32: CODE_32_SELECTOR as u16,
            data: 0x10,
            task: 0x28,
            task_base: TSS,
            task_limit: 0x67,
            gdt_base: GDT,
            gdt_limit: size_of_val(&DESCRIPTORS) as u32 - 1,
            idt_base: IDT,
            idt_limit: VECTORS as u32 * 16 - 1,
            cr3: base + PAGE_TABLES,
        }
    }

    fn write(&mut self, at: u64, bytes: &[u8]) {
        let offset = (at % PAGE) as usize;
        self.0.0[(at / PAGE) as usize][offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn write_descriptors(&mut self) {
        for (i, descriptor) in DESCRIPTORS.iter().enumerate() {
            self.write(GDT + 8 * i as u64, &descriptor.to_le_bytes());
        }
        // Real mode's vectors all lead to 0.
        self.write(0, &HANDLER[..3]);
        self.write(TSS + 4, &STACK_TOP.to_le_bytes()); // RSP0
        self.write_other_task();
        for vector in 0..VECTORS {
            let handler = handler(vector);
            // An interrupt gate for the code segment; the handler lies below 64 KiB.
            let gate = handler | 0x08 << 16 | 0xee00 << 32;
            self.write(IDT + 16 * vector, &gate.to_le_bytes());
            self.write(handler, &HANDLER);
        }
    }

    /// A 32-bit TSS (12.2.4) of a task that begins at a handler.
    fn write_other_task(&mut self) {
        self.write(OTHER_TSS + 0x20, &(HANDLERS as u32).to_le_bytes()); // EIP
        self.write(OTHER_TSS + 0x24, &2u32.to_le_bytes()); // EFLAGS
        self.write(OTHER_TSS + 0x38, &(STACK_TOP as u32).to_le_bytes()); // ESP
        for segment in 0..6u64 {
            let selector = if segment == 1 { CODE_32_SELECTOR } else { DATA_SELECTOR };
            self.write(OTHER_TSS + 0x48 + 4 * segment, &selector.to_le_bytes()); // ES, CS, ...
        }
    }

    /// One table a level, for the first 16 pages.
    fn write_page_tables(&mut self, base: u64) {
        for level in 0..3 {
            let below = base + PAGE_TABLES + (level + 1) * PAGE;
            self.write(PAGE_TABLES + level * PAGE, &(below | ENTRY).to_le_bytes());
        }
        for page in 0..COUNT as u64 {
            self.link(page * PAGE, base + page * PAGE);
        }
    }

    /// Its topmost table.
    pub fn root(&self) -> &[u8] {
        &self.0.0[(PAGE_TABLES / PAGE) as usize]
    }

    /// Another page for one of the first 16, in the L2's own page table: without nested paging that
    /// holds L1's addresses.
    pub(super) fn link(&mut self, at: u64, to: u64) {
        self.write_entry(at, to | ENTRY);
    }

    /// None there.
    pub(super) fn unlink(&mut self, at: u64) {
        self.write_entry(at, 0);
    }

    fn write_entry(&mut self, at: u64, entry: u64) {
        self.write(PAGE_TABLES + 3 * PAGE + 8 * (at / PAGE), &entry.to_le_bytes());
    }
}

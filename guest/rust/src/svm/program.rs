// SPDX-License-Identifier: GPL-2.0
//! Programs for an L2 (`specimens/l2/*.S`), and the proof that they exit as they say.

use super::{Budget, Exit, L2, Paging, Svm};
use crate::ledger::{stepf, unsupported_exit};
use crate::scenario::{Failed, Outcome, UNEXPECTED};
use core::slice;

/// `expect` of `program.h`: one exit that the program must make.
#[repr(C)]
pub struct Expected {
    code: u32,
    last: u32,
    info: u64,
    mask: u64,
    at: u32,
    next: u32,
}

/// RIP may be anything; or: the L2 goes on where it stands.
const ANY: u32 = u32::MAX;

/// `program` of `program.h`.
#[repr(C)]
pub struct Program {
    code: *const u8,
    exits: *const Expected,
    length: u32,
    mode: u32,
}

// SAFETY: constants of the module.
unsafe impl Sync for Program {}

impl Program {
    pub fn code(&self) -> &'static [u8] {
        // SAFETY: the assembler counted them.
        unsafe { slice::from_raw_parts(self.code, self.length as usize) }
    }

    pub fn mode(&self) -> Mode {
        match self.mode {
            16 => Mode::Real,
            32 => Mode::Protected,
            _ => Mode::Long,
        }
    }

    /// In order; the last one is marked.
    pub fn exits(&self) -> impl Iterator<Item = &'static Expected> {
        let mut next = self.exits;
        core::iter::from_fn(move || {
            if next.is_null() {
                return None;
            }
            // SAFETY: the list goes on until the entry marked as its last.
            let expected: &'static Expected = unsafe { &*next };
            // SAFETY: as above.
            next = if expected.last != 0 { core::ptr::null() } else { unsafe { next.add(1) } };
            Some(expected)
        })
    }
}

/// What the L2 is in when it begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Real,
    /// 32 bits, without paging.
    Protected,
    Long,
}

/// What a CPU that lacks a feature does instead of the exit: then it is unsupported.
pub type Lacking = Option<(Exit, &'static str)>;

/// Instead of a program that this CPU cannot run: none of its exits can be had.
pub fn lacks(program: &Program, feature: &str) -> Outcome {
    for expected in program.exits().filter(|expected| expected.last == 0) {
        unsupported_exit(expected.code, feature);
    }
    Ok(())
}

/// Runs a program under nested paging on this CPU and compares each exit.
pub fn play(program: &Program, set_up: impl FnOnce(&mut L2), lacking: Lacking) -> Outcome {
    let mut l2 = L2::try_new(program, Paging::Nested, 1)?;
    set_up(&mut l2);
    play_on(&Svm::on()?, program, &mut l2, lacking)
}

/// The same on a CPU and an L2 of one's choice.
pub fn play_on(svm: &Svm, program: &Program, l2: &mut L2, lacking: Lacking) -> Outcome {
    let mut budget = Budget::default();
    for expected in program.exits() {
        let wanted = Exit::from(u64::from(expected.code));
        let exit = if wanted.is_of_host() { l2.enter(svm)? } else { l2.run(svm, &mut budget)? };
        match lacking {
            Some((instead, feature)) if exit == instead && exit != wanted => {
                unsupported_exit(expected.code, feature);
                return Ok(());
            }
            _ => compare(expected, wanted, exit, l2)?,
        }
        if exit == Exit::Vintr {
            l2.parts.vmcb.no_virtual_interrupt();
        }
        if expected.next != ANY {
            l2.parts.vmcb.set_rip(u64::from(expected.next));
        }
    }
    Ok(())
}

fn compare(expected: &Expected, wanted: Exit, exit: Exit, l2: &L2) -> Result<(), Failed> {
    if exit != wanted {
        stepf(format_args!("exit {:#x}, not {:#x}", l2.vmcb().exit_code(), expected.code));
        return Err(UNEXPECTED);
    }
    if l2.vmcb().info_1() & expected.mask != expected.info & expected.mask {
        stepf(format_args!("info1 {:#x}, not {:#x}", l2.vmcb().info_1(), expected.info));
        return Err(UNEXPECTED);
    }
    if expected.at != ANY && l2.vmcb().rip() != u64::from(expected.at) {
        stepf(format_args!("RIP {:#x}, not {:#x}", l2.vmcb().rip(), expected.at));
        return Err(UNEXPECTED);
    }
    Ok(())
}

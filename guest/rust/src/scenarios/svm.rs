// SPDX-License-Identifier: GPL-2.0
//! VMRUN: the CPU is handed memory by its physical address.

use crate::ledger::step;
use crate::scenario::{Outcome, Scenario, UNEXPECTED};
use crate::svm::{Exit, RealModeL2, Svm};
use core::ffi::CStr;

const SECTION: &CStr = c"SVM";
const BUDGET: usize = 1000;

/// `cpuid; in al, 0x80; vmmcall; hlt`
const PROGRAM: &[u8] = &[0x0f, 0xa2, 0xe4, 0x80, 0x0f, 0x01, 0xd9, 0xf4];
const EXITS: [Exit; 4] = [Exit::Cpuid, Exit::Ioio, Exit::Vmmcall, Exit::Hlt];

fn vmrun_exits() -> Outcome {
    let mut l2 = RealModeL2::try_new(PROGRAM)?;
    step("SVM on");
    let svm = Svm::on()?;
    let mut expected = EXITS.iter().peekable();
    for _ in 0..BUDGET {
        let Some(next) = expected.peek() else { break };
        match svm.run(&mut l2)? {
            // A host interrupt: it has been taken by now, the L2 goes on.
            Exit::Intr | Exit::Nmi => continue,
            exit if exit == **next => l2.skip_instruction(exit)?,
            _ => return Err(UNEXPECTED),
        }
        expected.next();
    }
    step("end of scope");
    if expected.next().is_none() { Ok(()) } else { Err(UNEXPECTED) }
}

pub const SCENARIOS: &[Scenario] = &[Scenario::new(
    c"svm/vmrun_exits",
    SECTION,
    c"VMCB, save areas, bitmaps and nested page tables as Box<T, PhysicalAllocator>: released by the compiler, after SVM is off.",
    vmrun_exits,
)
.needs(c"svm")];

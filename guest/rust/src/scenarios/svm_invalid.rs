// SPDX-License-Identifier: GPL-2.0
//! VMCBs that VMRUN must refuse: one for each rule of consistency (volume 2, 15.5.1; events 15.20).

use super::svm::l2_vmmcall;
use crate::ledger::unsupported;
use crate::scenario::{Expectation, Outcome, Scenario, UNEXPECTED, finding};
use crate::svm::{Budget, Exit, Intercept, L2, Paging, Svm, Vmcb, physical_limit, zeroed};
use core::ffi::CStr;
use core::ptr;

const SECTION: &CStr = c"VMCBs that VMRUN refuses";

const CR0_CD: u64 = 1 << 30;
const CR0_NW: u64 = 1 << 29;
const CR0_PE: u64 = 1 << 0;
const CR4_PAE: u64 = 1 << 5;
const EFER_SVME: u64 = 1 << 12;
const SEGMENT_DB: u16 = 1 << 10;

/// Valid, of this type, with this vector.
const fn event(kind: u64, vector: u64) -> u64 {
    1 << 31 | kind << 8 | vector
}

/// Spoils a sound VMCB, which VMRUN must refuse, and mends it, which it must then take.
fn refuses(spoil: fn(&mut Vmcb)) -> Outcome {
    let mut l2 = L2::try_new(&l2_vmmcall, Paging::Nested, 1)?;
    // SAFETY: a VMCB of zeros is valid for Rust.
    let mut sound = unsafe { zeroed::<Vmcb>()? };
    // A copy by pointers: a VMCB is too large for a kernel stack.
    // SAFETY: two VMCBs that do not overlap.
    unsafe { ptr::copy_nonoverlapping(l2.vmcb(), &raw mut *sound, 1) };
    // SAFETY: what it is given then VMRUN refuses, or it is as good as before.
    spoil(unsafe { l2.vmcb_mut() });
    let svm = Svm::on()?;
    if l2.run(&svm, &mut Budget::default())? != Exit::Invalid {
        unsupported("VMRUN takes it");
        return Ok(());
    }
    // What a refused VMRUN leaves in the state-save area is undefined.
    // SAFETY: as above.
    unsafe { ptr::copy_nonoverlapping(&raw const *sound, l2.vmcb_mut(), 1) };
    match l2.run(&svm, &mut Budget::default())? {
        Exit::Vmmcall => Ok(()),
        _ => Err(UNEXPECTED),
    }
}

const fn rule(
    name: &'static CStr,
    lesson: &'static CStr,
    body: fn() -> Outcome,
    expected: &'static [Expectation],
) -> Scenario {
    Scenario::new(name, SECTION, lesson, body)
        .needs(c"svm:consistency")
        .expecting(expected)
        .shares()
}

/// A map above the limit is refused by the CPU and misplaced by our own rule.
const ABOVE: &[Expectation] = &[finding(c"misplaced", c"none")];

macro_rules! invalid {
    ($name:literal, $lesson:literal, $spoil:expr) => {
        invalid!($name, $lesson, $spoil, &[])
    };
    ($name:literal, $lesson:literal, $spoil:expr, $expected:expr) => {
        rule($name, $lesson, || refuses($spoil), $expected)
    };
}

#[rustfmt::skip]
const SCENARIOS: &[Scenario] = &[
    invalid!(c"svm/invalid/efer_svme", c"EFER.SVME is 0.", |v| v.efer &= !EFER_SVME),
    invalid!(c"svm/invalid/efer_reserved", c"A reserved bit of EFER is set.", |v| v.efer |= 1 << 40),
    invalid!(c"svm/invalid/cr0_nw_without_cd", c"CR0.NW is set and CR0.CD is 0.", |v| v.cr0 = v.cr0 & !CR0_CD | CR0_NW),
    invalid!(c"svm/invalid/cr0_high", c"CR0[63:32] is not 0.", |v| v.cr0 |= 1 << 32),
    invalid!(c"svm/invalid/cr3_reserved", c"A reserved bit of CR3 is set.", |v| v.cr3 |= 1 << 62),
    invalid!(c"svm/invalid/cr4_reserved", c"A reserved bit of CR4 is set.", |v| v.cr4 |= 1 << 31),
    invalid!(c"svm/invalid/cr4_high", c"CR4[63:32] is not 0.", |v| v.cr4 |= 1 << 32),
    invalid!(c"svm/invalid/dr6_high", c"DR6[63:32] is not 0.", |v| v.dr6 |= 1 << 32),
    invalid!(c"svm/invalid/dr7_high", c"DR7[63:32] is not 0.", |v| v.dr7 |= 1 << 32),
    invalid!(c"svm/invalid/long_mode_without_pae", c"EFER.LME and CR0.PG are set and CR4.PAE is 0.", |v| v.cr4 &= !CR4_PAE),
    invalid!(c"svm/invalid/long_mode_without_pe", c"EFER.LME and CR0.PG are set and CR0.PE is 0.", |v| v.cr0 &= !CR0_PE),
    invalid!(c"svm/invalid/cs_l_and_d", c"CS.L and CS.D are both set in long mode.", |v| v.cs.attributes |= SEGMENT_DB),
    invalid!(c"svm/invalid/no_vmrun_intercept", c"VMRUN is not intercepted.", |v| v.intercept(Intercept::VMRUN, false)),
    invalid!(c"svm/invalid/asid_0", c"The ASID is the host's.", |v| v.asid = 0),
    invalid!(c"svm/invalid/iopm_above", c"The IOPM lies above the physical addresses.", |v| v.iopm_base = physical_limit(), ABOVE),
    invalid!(c"svm/invalid/msrpm_above", c"The MSRPM lies above the physical addresses.", |v| v.msrpm_base = physical_limit(), ABOVE),
    invalid!(c"svm/invalid/event_type_1", c"An event of a reserved type is injected.", |v| v.event_injection = event(1, 32)),
    invalid!(c"svm/invalid/event_type_5", c"An event of a reserved type is injected.", |v| v.event_injection = event(5, 32)),
    invalid!(c"svm/invalid/event_type_6", c"An event of a reserved type is injected.", |v| v.event_injection = event(6, 32)),
    invalid!(c"svm/invalid/event_type_7", c"An event of a reserved type is injected.", |v| v.event_injection = event(7, 32)),
    invalid!(c"svm/invalid/event_exception_2", c"An NMI is injected as an exception.", |v| v.event_injection = event(3, 2)),
    invalid!(c"svm/invalid/event_exception_32", c"An exception with a vector above 31 is injected.", |v| v.event_injection = event(3, 32)),
    invalid!(c"svm/invalid/event_exception_255", c"An exception with a vector above 31 is injected.", |v| v.event_injection = event(3, 255)),
    invalid!(c"svm/invalid/event_br_in_long_mode", c"#BR, which long mode cannot raise, is injected.", |v| v.event_injection = event(3, 5)),
    invalid!(c"svm/invalid/guest_pat_reserved", c"The guest's PAT has a reserved type.", |v| v.guest_pat = 0x0202_0202_0202_0202),
    invalid!(c"svm/invalid/nested_cr3_reserved", c"nCR3 has bits above the physical addresses.", |v| v.nested_cr3 |= 1 << 62),
];
crate::scenarios!(SCENARIOS);

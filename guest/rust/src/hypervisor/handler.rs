// SPDX-License-Identifier: GPL-2.0
//! What happens at each #VMEXIT of Linux. On the host's stack, with interrupts and GIF off.

use super::Shared;
use crate::kernel::{VIRTUALIZE_LEAVE, VIRTUALIZE_LEFT, World};
use crate::svm::{EFER_SVME, Exit, Vmcb};
use core::arch::x86_64::__cpuid_count;

const RBX: usize = 0;
const RCX: usize = 1;
const RDX: usize = 2;

/// CPUID, RDMSR and WRMSR are two bytes without prefixes.
const TWO_BYTES: u64 = 2;
const SVM_LEAF: u32 = 0x8000_0001;
const SVM_BIT: u32 = 1 << 2;

/// False: Linux leaves guest mode and goes on where it stands.
pub unsafe extern "C" fn handle(world: *mut World) -> bool {
    // SAFETY: the world of this CPU, which nobody else touches while it runs.
    let world = unsafe { &mut *world };
    // SAFETY: as above; its VMCB lives as long.
    let vmcb = unsafe { &mut *world.vcpu.vmcb.cast::<Vmcb>() };
    vmcb.flushed();
    match vmcb.exit() {
        Exit::Cpuid => cpuid(&mut world.vcpu.gpr, vmcb),
        Exit::Msr => efer(&mut world.vcpu.gpr, vmcb),
        Exit::NestedPageFault => {
            // SAFETY: the shared data stay until every CPU has left.
            let shared = unsafe { &*world.owner.cast::<Shared>() };
            shared.npt.map(vmcb.info_2()).is_ok()
        }
        // Nothing else is intercepted.
        _ => false,
    }
}

/// Linux must not find SVM, which is in use.
fn cpuid(gpr: &mut [u64; 14], vmcb: &mut Vmcb) -> bool {
    vmcb.set_rip(vmcb.rip() + TWO_BYTES);
    let leaf = vmcb.rax() as u32;
    if leaf == VIRTUALIZE_LEAVE {
        vmcb.set_rax(u64::from(VIRTUALIZE_LEFT));
        return false;
    }
    let mut found = __cpuid_count(leaf, gpr[RCX] as u32);
    if leaf == SVM_LEAF {
        found.ecx &= !SVM_BIT;
    }
    vmcb.set_rax(u64::from(found.eax));
    gpr[RBX] = u64::from(found.ebx);
    gpr[RCX] = u64::from(found.ecx);
    gpr[RDX] = u64::from(found.edx);
    true
}

/// The one MSR that is intercepted: SVME stays set and is not shown (15.5.1).
fn efer(gpr: &mut [u64; 14], vmcb: &mut Vmcb) -> bool {
    vmcb.set_rip(vmcb.rip() + TWO_BYTES);
    let writes = vmcb.info_1() == 1;
    if writes {
        vmcb.efer = (gpr[RDX] << 32 | vmcb.rax() & 0xffff_ffff) | EFER_SVME;
    } else {
        let shown = vmcb.efer & !EFER_SVME;
        vmcb.set_rax(shown & 0xffff_ffff);
        gpr[RDX] = shown >> 32;
    }
    true
}

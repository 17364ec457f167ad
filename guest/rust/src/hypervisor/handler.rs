// SPDX-License-Identifier: GPL-2.0
//! What happens at each #VMEXIT of Linux. On the host's stack, with interrupts and GIF off.

use super::Shared;
use crate::kernel::{VIRTUALIZE_LEAVE, VIRTUALIZE_LEFT, World};
use crate::svm::{self, EFER_SVME, Event, Exit, Vmcb};
use core::arch::asm;

const RBX: usize = 0;
const RCX: usize = 1;
const RDX: usize = 2;
const RSI: usize = 3;

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
        Exit::Vmmcall => hypercall(&world.vcpu.gpr, vmcb),
        Exit::NestedPageFault => {
            // SAFETY: the shared data stay until every CPU has left.
            let shared = unsafe { &*world.owner.cast::<Shared>() };
            shared.npt.map(vmcb.info_2()).is_ok() || cannot_go_on(vmcb)
        }
        // VMRUN, of which Linux knows nothing, or a VMCB that the CPU refused.
        _ => cannot_go_on(vmcb),
    }
}

/// Linux goes on alone where it stands, but for a program of its: the CPU leaves at CPL 0.
fn cannot_go_on(vmcb: &mut Vmcb) -> bool {
    let in_program = vmcb.cpl != 0;
    if in_program {
        vmcb.inject(Event::Exception(INVALID_OPCODE));
    }
    in_program
}

/// Linux must not find SVM, which is in use.
fn cpuid(gpr: &mut [u64; 14], vmcb: &mut Vmcb) -> bool {
    vmcb.set_rip(vmcb.rip() + TWO_BYTES);
    let leaf = vmcb.rax() as u32;
    // Any program may ask; only Linux itself is answered, and goes on with what it has.
    if leaf == VIRTUALIZE_LEAVE && vmcb.cpl == 0 {
        vmcb.set_rax(u64::from(VIRTUALIZE_LEFT));
        return false;
    }
    let mut found = svm::cpuid(leaf, gpr[RCX] as u32);
    if leaf == SVM_LEAF {
        found.ecx &= !SVM_BIT;
    }
    vmcb.set_rax(u64::from(found.eax));
    gpr[RBX] = u64::from(found.ebx);
    gpr[RCX] = u64::from(found.ecx);
    gpr[RDX] = u64::from(found.edx);
    true
}

/// "KVMKVMKVM" at CPUID Fn4000_0000.
const KVM: [u32; 3] = [0x4b4d_564b, 0x564b_4d56, 0x4d];
const VMMCALL_BYTES: u64 = 3;
const INVALID_OPCODE: u8 = 6;

/// A Linux on KVM calls it, to wake another CPU say; as our guest it still means KVM, which
/// without us in between would take the call for an instruction to be patched.
fn hypercall(gpr: &[u64; 14], vmcb: &mut Vmcb) -> bool {
    let below = svm::cpuid(0x4000_0000, 0);
    if [below.ebx, below.ecx, below.edx] != KVM {
        vmcb.inject(Event::Exception(INVALID_OPCODE));
        return true;
    }
    let mut rax = vmcb.rax();
    // SAFETY: KVM reads these registers and writes RAX; what it does is what Linux asked for.
    // RBX is the compiler's own, so it is exchanged around the call.
    unsafe {
        asm!(
            "xchg {rbx}, rbx",
            "vmmcall",
            "xchg {rbx}, rbx",
            rbx = inout(reg) gpr[RBX] => _,
            inout("rax") rax,
            in("rcx") gpr[RCX],
            in("rdx") gpr[RDX],
            in("rsi") gpr[RSI],
        );
    }
    vmcb.set_rax(rax);
    vmcb.set_rip(vmcb.rip() + VMMCALL_BYTES);
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

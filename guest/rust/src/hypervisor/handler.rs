// SPDX-License-Identifier: GPL-2.0
//! What happens at each #VMEXIT of Linux. On the host's stack, with interrupts and GIF off.

use super::Shared;
use crate::kernel::{self, VIRTUALIZE_LEAVE, VIRTUALIZE_LEFT, World};
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

const EFER: u32 = 0xc000_0080;
/// Those that Linux may change: SCE, NXE, FFXSR, TCE (3.1.7).
const EFER_FREE: u64 = 1 | 1 << 11 | 1 << 14 | 1 << 15;
const GENERAL_PROTECTION: u8 = 13;

/// False: Linux leaves guest mode and goes on where it stands.
pub unsafe extern "C" fn handle(world: *mut World) -> bool {
    // SAFETY: the world of this CPU, which nobody else touches while it runs.
    let world = unsafe { &mut *world };
    // SAFETY: as above; its VMCB lives as long.
    let vmcb = unsafe { &mut *world.vmcb.cast::<Vmcb>() };
    vmcb.flush_nothing();
    match vmcb.exit() {
        Exit::Cpuid => cpuid(&mut world.vcpu.gpr, vmcb),
        Exit::Msr => msr(&mut world.vcpu.gpr, vmcb),
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
///
/// Not for a program of Linux's: from here the call would have our rights, and not its own.
fn hypercall(gpr: &[u64; 14], vmcb: &mut Vmcb) -> bool {
    let below = svm::cpuid(0x4000_0000, 0);
    if vmcb.cpl != 0 || [below.ebx, below.ecx, below.edx] != KVM {
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

/// EFER is ours to answer. An MSR that the permissions map has no bit for exits as well
/// (15.11), and is what it would be without us: KVM's own are such.
fn msr(gpr: &mut [u64; 14], vmcb: &mut Vmcb) -> bool {
    let number = gpr[RCX] as u32;
    let written = gpr[RDX] << 32 | vmcb.rax() & 0xffff_ffff;
    let done = match (number, vmcb.info_1() == 1) {
        (EFER, true) => write_efer(vmcb, written),
        (EFER, false) => Some(vmcb.efer & !EFER_SVME),
        // SAFETY: Linux would have written it to this CPU.
        (_, true) => (unsafe { kernel::freeonce_msr_write(number, written) } == 0).then_some(0),
        (_, false) => read(number),
    };
    let Some(value) = done else {
        vmcb.inject(Event::Fault(GENERAL_PROTECTION, 0));
        return true;
    };
    if vmcb.info_1() == 0 {
        vmcb.set_rax(value & 0xffff_ffff);
        gpr[RDX] = value >> 32;
    }
    vmcb.set_rip(vmcb.rip() + TWO_BYTES);
    true
}

/// None: this CPU has no such MSR.
fn read(number: u32) -> Option<u64> {
    let mut value = 0;
    // SAFETY: the callee writes to `value` and keeps no pointer.
    (unsafe { kernel::freeonce_msr_read(number, &mut value) } == 0).then_some(value)
}

/// SVME stays set and is not shown (15.5.1). None: a CPU without SVM would not take that value,
/// or it would end long mode, in which Linux stays.
fn write_efer(vmcb: &mut Vmcb, value: u64) -> Option<u64> {
    let changed = value ^ (vmcb.efer & !EFER_SVME);
    if changed & !EFER_FREE != 0 {
        return None;
    }
    vmcb.efer = value | EFER_SVME;
    Some(0)
}

// SPDX-License-Identifier: GPL-2.0
//! A hypervisor of the article's kind: the running Linux becomes its guest, CPU by CPU.
//!
//! What it owns: data shared by all CPUs (MSR permissions map, nested page table) and a
//! block for each CPU (host stack, guest's and host's VMCB, host save area). Sections are
//! of the AMD manual, volume 2.

mod handler;
mod identity;

use crate::kernel::{self, World};
use crate::ledger::named;
use crate::physical::gpa;
use crate::scenario::{Failed, NO_MEMORY, Outcome};
use crate::svm::{
    Given, IOPM_BYTES, Intercept, MSRPM_BYTES, Pages, Physical, Vmcb, cpu_count, on_cpu, zeroed,
};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::{self, MaybeUninit};
use core::ptr;
pub use identity::IdentityMap;

const ASID: u32 = 1;
const EFER: usize = 0xc000_0080;
/// EFER's two bits: the second range of the map begins at 2 KiB (15.11).
const EFER_BYTE: usize = 0x800 + (EFER & 0x1fff) * 2 / 8;
const FLUSH_ALL: u32 = 1; // 15.16.1
const HOST_STACK_BYTES: usize = 16 << 10;

/// What all CPUs are given.
pub struct Shared {
    pub msrpm: Physical<Pages<MSRPM_BYTES>>,
    pub iopm: Physical<Pages<IOPM_BYTES>>,
    pub npt: IdentityMap,
}

impl Shared {
    pub fn try_new() -> Result<Box<Self>, Failed> {
        // SAFETY: bytes are valid as zeros, and zeros pass everything.
        let (mut msrpm, iopm) =
            unsafe { (zeroed::<Pages<MSRPM_BYTES>>()?, zeroed::<Pages<IOPM_BYTES>>()?) };
        msrpm.0[EFER_BYTE] = 0b11;
        let (msrpm, iopm) = (named("msrpm", msrpm), named("iopm", iopm));
        Ok(named("shared", Box::try_new(Shared { msrpm, iopm, npt: IdentityMap::try_new()? })?))
    }
}

/// What one CPU is given, in one block, the host's stack included.
#[repr(C, align(4096))]
pub struct ProcessorData {
    pub guest_vmcb: Vmcb,
    host_vmcb: Pages<4096>,
    host_save_area: Pages<4096>,
    host_stack: [u8; HOST_STACK_BYTES],
    /// Zeros until the CPU enters.
    world: MaybeUninit<World>,
}

/// One CPU in guest mode. It leaves when this is dropped, before its block goes.
pub struct Processor {
    cpu: u32,
    entered: bool,
    pub data: Physical<Given<ProcessorData>>,
}

impl Processor {
    pub fn try_new(cpu: u32) -> Result<Self, Failed> {
        // SAFETY: integers and bytes are valid as zeros; a MaybeUninit is whatever it is.
        let data = named("processor", unsafe { zeroed::<Given<ProcessorData>>()? });
        Ok(Processor { cpu, entered: false, data })
    }

    /// Linux goes on as this hypervisor's guest.
    ///
    /// # Safety
    /// `shared` stays where it is until this has left, by `devirtualize` or when it is dropped.
    pub unsafe fn virtualize(&mut self, shared: &Shared) -> Outcome {
        let data = self.data.get();
        let shared = ptr::from_ref(shared);
        let target = Target { data, shared };
        on_cpu(self.cpu, || target.enter())?;
        self.entered = true;
        Ok(())
    }

    /// Linux is on its own again; nothing to do where it is already.
    pub fn devirtualize(&mut self) {
        if !mem::take(&mut self.entered) {
            return;
        }
        let target = Target { data: self.data.get(), shared: ptr::null() };
        // Nobody is there to hear of an error; the audit sees what is left behind.
        let _ = on_cpu(self.cpu, || target.leave());
    }
}

impl Processor {
    /// The next VMRUN of this CPU, in guest mode now, is given another address as its VMCB's.
    pub fn misplace_vmcb(&mut self, bytes: u64) {
        // SAFETY: `virtualize` has written it; the CPU may be reading it from below.
        unsafe {
            let gpa = &raw mut (*self.data.world.as_mut_ptr()).vcpu.vmcb_gpa;
            gpa.write_volatile(gpa.read_volatile() + bytes);
        }
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        self.devirtualize();
    }
}

/// What a CPU needs to know to enter or to leave.
struct Target {
    data: *mut ProcessorData,
    shared: *const Shared,
}

// SAFETY: used by the one CPU that `on_cpu` runs it on, while the owner waits.
unsafe impl Sync for Target {}

impl Target {
    fn enter(&self) -> Outcome {
        // SAFETY: the owner lends both for the call and keeps them until `leave`.
        let (data, shared) = unsafe { (&mut *self.data, &*self.shared) };
        // SAFETY: the block stays until after freeonce_svm_off().
        match unsafe { kernel::freeonce_svm_on(gpa(&data.host_save_area)) } {
            0 => (),
            error => return Err(Failed(error)),
        }
        fill(&mut data.guest_vmcb, shared);
        let vcpu = kernel::Vcpu {
            flags: kernel::VCPU_IDENTITY,
            ..kernel::Vcpu::of(&data.guest_vmcb, gpa(&data.host_vmcb))
        };
        let world = data.world.write(World {
            vcpu,
            vmcb: ptr::null_mut(),
            stack_top: data.host_stack.as_mut_ptr_range().end.cast(),
            handle: handler::handle,
            owner: self.shared.cast_mut().cast(),
        });
        // SAFETY: all that the VMCB reaches is ours, and stays until the CPU has left.
        match unsafe { kernel::freeonce_virtualize(world) } {
            0 => Ok(()),
            error => {
                self.release_cpu();
                Err(Failed(error))
            }
        }
    }

    fn leave(&self) -> Outcome {
        // SAFETY: this CPU entered.
        let status = unsafe { kernel::freeonce_devirtualize() };
        self.release_cpu();
        if status == 0 { Ok(()) } else { Err(Failed(status)) }
    }

    /// SVM off, and no claim of the CPU's left on the block.
    fn release_cpu(&self) {
        // SAFETY: the owner lends the block for the call; `enter` has written its world.
        let vcpu = unsafe { &mut (*self.data).world.assume_init_mut().vcpu };
        // SAFETY: nobody enters it any more.
        unsafe {
            kernel::freeonce_svm_off();
            kernel::freeonce_vcpu_unbind(vcpu);
        }
    }
}

/// As few intercepts as will do; this CPU's own state is added as it enters.
fn fill(vmcb: &mut Vmcb, shared: &Shared) {
    vmcb.intercept(Intercept::CPUID, true);
    vmcb.intercept(Intercept::MSR, true);
    vmcb.intercept(Intercept::VMRUN, true);
    vmcb.intercept(Intercept::VMMCALL, true);
    vmcb.iopm_base = gpa(&*shared.iopm);
    vmcb.msrpm_base = gpa(&*shared.msrpm);
    vmcb.asid = ASID;
    vmcb.tlb_control = FLUSH_ALL;
    vmcb.nested(shared.npt.root());
}

/// All CPUs. Fields in the order in which they are dropped.
pub struct Hypervisor {
    pub processors: Vec<Processor>,
    pub shared: Box<Shared>,
}

impl Hypervisor {
    /// Takes all memory first, then the CPUs one by one. On an error all is as before.
    pub fn start() -> Result<Self, Failed> {
        let shared = Shared::try_new()?;
        let mut hypervisor = Hypervisor { processors: Vec::new(), shared };
        let count = cpu_count();
        hypervisor.processors.try_reserve_exact(count as usize).map_err(|_| NO_MEMORY)?;
        for cpu in 0..count {
            hypervisor.processors.push(Processor::try_new(cpu)?);
        }
        for processor in &mut hypervisor.processors {
            // SAFETY: the fields are dropped in order, so this has left before `shared` goes.
            unsafe { processor.virtualize(&hypervisor.shared)? };
        }
        Ok(hypervisor)
    }
}

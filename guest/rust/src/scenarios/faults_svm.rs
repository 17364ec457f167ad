// SPDX-License-Identifier: GPL-2.0
//! Planted faults against what the CPU was given: each commits one sin and trips only its rule.

use super::svm::{l2_cpuid, l2_vmmcall};
use crate::kernel::{self, ContiguousRequest};
use crate::ledger::step;
use crate::physical::{PhysicalAllocator, gpa};
use crate::scenario::{CONTIGUOUS, Failed, NO_MEMORY, Outcome, Scenario, UNEXPECTED, finding};
use crate::svm::{
    L2, Pages, Paging, Parts, Physical, Pinned, Svm, Vmcb, cpu_count, memory, on_cpu,
    physical_limit, play, zeroed,
};
use alloc::alloc::Global;
use alloc::boxed::Box;
use core::alloc::{Allocator, Layout};
use core::arch::asm;
use core::ffi::CStr;
use core::mem::{self, ManuallyDrop};
use core::ptr::{self, NonNull};

const SECTION: &CStr = c"Planted faults, from Rust";

const EFER: u32 = 0xc000_0080;
const VM_HSAVE_PA: u32 = 0xc001_0117;
const EFER_SVME: u64 = 1 << 12;

type Page = Pages<4096>;

fn l2() -> Result<L2, Failed> {
    L2::try_new(&l2_vmmcall, Paging::Nested, 1)
}

fn page() -> Result<Physical<Page>, Failed> {
    // SAFETY: bytes are valid as zeros.
    Ok(unsafe { zeroed::<Page>()? })
}

/// Taken apart, to release one of it too early.
fn apart(l2: L2) -> Parts {
    // SAFETY: that is the fault; whoever commits it drops `bound` before the rest.
    unsafe { l2.into_parts() }
}

/// Releases what a Box owns, and leaves the Box as it is.
fn released<T>(owner: &Physical<T>) {
    let pointer = NonNull::from(&**owner).cast();
    // SAFETY: none: that the owner still thinks it owns this is the fault.
    unsafe { PhysicalAllocator.deallocate(pointer, Layout::new::<T>()) }
}

fn vmcb_entered_after() -> Outcome {
    let Parts { bound, vmcb, host_vmcb: _host, .. } = apart(l2()?);
    let svm = Svm::on()?;
    released(&vmcb);
    step("VMRUN");
    // SAFETY: none: the VMCB is released. That the module keeps it makes this bearable.
    let status = unsafe { kernel::freeonce_svm_run(bound.0.get()) };
    drop(svm);
    drop(bound);
    mem::forget(vmcb);
    if status == 0 { Ok(()) } else { Err(Failed(status)) }
}

/// Gives the CPU the L2, releases a part of it, and takes the L2 back.
macro_rules! released_while_bound {
    ($field:ident) => {{
        let mut l2 = l2()?;
        l2.bind()?;
        let parts = apart(l2);
        step("release");
        released(&parts.$field);
        let Parts { bound, $field, .. } = parts;
        drop(bound);
        mem::forget($field);
        Ok(())
    }};
}

fn table_released_while_bound() -> Outcome {
    let mut l2 = l2()?;
    l2.bind()?;
    let mut parts = apart(l2);
    let npt = parts.npt.as_mut().ok_or(UNEXPECTED)?;
    step("release");
    drop(npt.take_table(2));
    Ok(())
}

fn page_released_while_bound() -> Outcome {
    let mut l2 = l2()?;
    l2.bind()?;
    let parts = apart(l2);
    step("release");
    // SAFETY: none, until it is forgotten below: that it is released too early is the fault.
    unsafe { parts.memory.release_early() };
    let Parts { bound, memory, .. } = parts;
    drop(bound);
    mem::forget(memory);
    Ok(())
}

/// An L2 by its own page tables, which a copy of its root leads to.
fn l2_with_root(root: &mut Physical<Page>) -> Result<L2, Failed> {
    let mut l2 = L2::try_new(&l2_cpuid, Paging::Own, 1)?;
    // SAFETY: who calls this releases `root` too early, and enters no more.
    let parts = unsafe { l2.parts_mut() };
    root.0.copy_from_slice(parts.memory.root());
    parts.vmcb.cr3 = gpa(&**root);
    Ok(l2)
}

fn page_table_released_while_bound() -> Outcome {
    let mut root = page()?;
    let mut l2 = l2_with_root(&mut root)?;
    l2.bind()?;
    step("release");
    drop(root);
    Ok(())
}

fn own_page_released_while_bound() -> Outcome {
    let spare = page()?;
    let mut l2 = L2::try_new(&l2_cpuid, Paging::Own, 1)?;
    // SAFETY: it is entered no more.
    unsafe { l2.map(SPARE, gpa(&*spare))? };
    l2.bind()?;
    step("release");
    drop(spare);
    Ok(())
}

/// A page that the programs here leave alone.
const SPARE: u64 = memory::NOT_NESTED;

/// Mapped for one VMRUN, without a fault before it and without a flush after it.
fn enter_with(l2: &mut L2, svm: &Svm, to: u64) -> Outcome {
    l2.enter(svm)?;
    // SAFETY: no program here touches that page.
    unsafe { l2.map_anything(SPARE, to)? };
    l2.enter(svm)?;
    l2.unmap(SPARE)
}

fn page_of_nobody() -> Outcome {
    let svm = Svm::on()?;
    enter_with(&mut l2()?, &svm, 0)
}

fn vmsave(to: *const u8) -> Outcome {
    // SAFETY: none: a released page will do. The module withholds what would raise #GP.
    match unsafe { kernel::freeonce_vmsave(to.cast()) } {
        0 => Ok(()),
        error => Err(Failed(error)),
    }
}

fn vmsave_released() -> Outcome {
    let _svm = Svm::on()?;
    let page = page()?;
    let to = (&raw const *page).cast();
    drop(page);
    step("VMSAVE");
    vmsave(to)
}

fn vmsave_misaligned() -> Outcome {
    let _svm = Svm::on()?;
    // SAFETY: bytes are valid as zeros.
    let room = unsafe { zeroed::<Pages<8192>>()? };
    step("VMSAVE");
    match vmsave(room.0[8..].as_ptr()) {
        Err(Failed(EFAULT)) => Ok(()),
        _ => Err(UNEXPECTED),
    }
}

/// A save area that goes while the CPU has its address.
fn host_save_area_released() -> Outcome {
    let _pinned = Pinned::here();
    let area = ManuallyDrop::new(page()?);
    // SAFETY: a page of our own.
    let status = unsafe { kernel::freeonce_svm_on(gpa(&**area)) };
    if status != 0 {
        drop(ManuallyDrop::into_inner(area));
        return Err(Failed(status));
    }
    step("release");
    released(&area);
    // SAFETY: on since above.
    unsafe { kernel::freeonce_svm_off() };
    Ok(())
}

fn host_save_area_given_after() -> Outcome {
    let _pinned = Pinned::here();
    let area = page()?;
    let address = gpa(&*area);
    drop(area);
    step("VM_HSAVE_PA");
    // SAFETY: none: the page is released, which the module bears.
    match unsafe { kernel::freeonce_svm_on(address) } {
        0 => {
            // SAFETY: on since above.
            unsafe { kernel::freeonce_svm_off() };
            Ok(())
        }
        error => Err(Failed(error)),
    }
}

fn bound_after(change: impl FnOnce(&mut Vmcb)) -> Outcome {
    let mut l2 = l2()?;
    // SAFETY: none: what it is given is the fault. It is never entered.
    change(unsafe { l2.vmcb_mut() });
    l2.bind()
}

fn iopm_too_short() -> Outcome {
    // SAFETY: bytes are valid as zeros.
    let short = unsafe { zeroed::<Pages<8192>>()? };
    bound_after(|vmcb| vmcb.iopm_base = gpa(&*short))
}

fn vmcb_in_pool() -> Outcome {
    let pool = Box::<[u8; 16384], Global>::try_new_zeroed_in(Global)?;
    // SAFETY: bytes are valid as zeros.
    let pool = unsafe { pool.assume_init() };
    let address = gpa(&*pool);
    let start = address.next_multiple_of(4096);
    bound_after(|vmcb| vmcb.iopm_base = start + 8192)
}

/// An L2 whose VMCB stands elsewhere, which nobody must enter.
fn vmcb_at(place: NonNull<u8>) -> Outcome {
    let mut l2 = l2()?;
    // SAFETY: room for a VMCB, ours, and not the one that is copied.
    unsafe { ptr::copy_nonoverlapping(ptr::from_ref(l2.vmcb()).cast(), place.as_ptr(), 4096) };
    // SAFETY: none: where it is misplaced nobody must enter it.
    unsafe { l2.parts_mut() }.bound.0.vmcb_gpa = kernel::freeonce_gpa(place.as_ptr());
    let svm = Svm::on()?;
    step("VMRUN");
    match l2.enter(&svm) {
        Ok(_) | Err(Failed(EFAULT)) => Ok(()),
        Err(error) => Err(error),
    }
}

const EFAULT: i32 = -14;

fn vmcb_misaligned() -> Outcome {
    // SAFETY: bytes are valid as zeros.
    let room = unsafe { zeroed::<Pages<8192>>()? };
    // SAFETY: inside of the two pages.
    let outcome = vmcb_at(unsafe { NonNull::from(&*room).cast::<u8>().add(8) });
    drop(room);
    outcome
}

fn vmcb_uncached() -> Outcome {
    let request = ContiguousRequest {
        size: 4096,
        align: 4096,
        lowest: 0,
        highest: u64::MAX,
        boundary: 0,
        cache: kernel::CACHE_UNCACHED,
        node: kernel::ANY_NODE,
    };
    // SAFETY: the callee reads the request and keeps no pointer to it.
    let page = unsafe { kernel::freeonce_contiguous_alloc(&request) };
    let page = NonNull::new(page).ok_or(NO_MEMORY)?;
    let outcome = vmcb_at(page);
    // SAFETY: allocated above, with this size and alignment.
    unsafe { kernel::freeonce_contiguous_free(page.as_ptr(), 4096, 4096) };
    outcome
}

fn vmcb_shared() -> Outcome {
    let mut one = l2()?;
    let mut other = l2()?;
    one.bind()?;
    // SAFETY: none: two with one VMCB are the fault. Neither is entered.
    unsafe { other.parts_mut().bound.0.vmcb_gpa = one.parts_mut().bound.0.vmcb_gpa };
    step("second L2");
    // The other's own host VMCB, maps and tables are not reached: one sin.
    other.bind()
}

fn host_save_area_shared() -> Outcome {
    let area = page()?;
    let address = gpa(&*area);
    if cpu_count() < 2 {
        crate::ledger::unsupported("a second CPU");
        return Ok(());
    }
    // SAFETY: the page lives until SVM is off on both.
    let on = || match unsafe { kernel::freeonce_svm_on(address) } {
        0 => Ok(()),
        error => Err(Failed(error)),
    };
    let off = || {
        // SAFETY: does nothing where it is not on.
        unsafe { kernel::freeonce_svm_off() };
        Ok(())
    };
    let outcome = on_cpu(0, on).and_then(|()| on_cpu(1, on));
    on_cpu(0, off)?;
    on_cpu(1, off)?;
    outcome
}

fn read_msr(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: an MSR that every CPU with SVM has.
    unsafe { asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high) };
    u64::from(high) << 32 | u64::from(low)
}

fn write_msr(msr: u32, value: u64) {
    // SAFETY: values that SVM allows; the module puts them back when the run is settled.
    unsafe { asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32) };
}

fn efer_left() -> Outcome {
    let _pinned = Pinned::here();
    write_msr(EFER, read_msr(EFER) | EFER_SVME);
    Ok(())
}

fn efer_left_on_the_last_cpu() -> Outcome {
    on_cpu(cpu_count() - 1, || {
        write_msr(EFER, read_msr(EFER) | EFER_SVME);
        Ok(())
    })
}

fn host_save_area_left() -> Outcome {
    let _pinned = Pinned::here();
    let area = page()?;
    write_msr(VM_HSAVE_PA, gpa(&*area));
    Ok(())
}

/// EFER.SVME stays set: what clearing it does to GIF the manual leaves open (15.4), and KVM
/// sets GIF.
fn gif_left() -> Outcome {
    let pinned = Pinned::here();
    write_msr(EFER, read_msr(EFER) | EFER_SVME);
    // SAFETY: interrupts are held from here on, until the module notices.
    unsafe { asm!("clgi") };
    drop(pinned);
    Ok(())
}

/// Enters an L2; then the module goes, and leaves what is planted.
fn unloaded(left: u32) -> Outcome {
    kernel::unload_after(left);
    play(&l2_cpuid, |_| (), None)
}

const fn fault(
    name: &'static CStr,
    lesson: &'static CStr,
    body: fn() -> Outcome,
    expected: &'static [crate::scenario::Expectation],
) -> Scenario {
    Scenario::new(name, SECTION, lesson, body).needs(c"svm").expecting(expected)
}

macro_rules! fault {
    ($rule:expr, $kind:expr, $name:literal, $body:expr, $lesson:literal) => {
        fault($name, $lesson, || $body, &[finding($rule, $kind)])
    };
}

const NONE: &CStr = c"none";
const HARDWARE: &CStr = c"hardware-use-after-free";

macro_rules! hardware {
    ($name:literal, $body:expr, $lesson:literal) => {
        fault($name, $lesson, || $body, &[finding(HARDWARE, CONTIGUOUS)]).shares()
    };
}

#[rustfmt::skip]
const SCENARIOS: &[Scenario] = &[
    fault!(HARDWARE, CONTIGUOUS, c"fault/hardware-use-after-free/contiguous/rust/vmcb-entered", vmcb_entered_after(),
        c"VMRUN with the address of a released VMCB: #VMEXIT writes into it."),
    hardware!(c"fault/hardware-use-after-free/contiguous/rust/vmcb", released_while_bound!(vmcb),
        c"A VMCB released while its L2 can still be entered."),
    hardware!(c"fault/hardware-use-after-free/contiguous/rust/host-vmcb", released_while_bound!(host_vmcb),
        c"What VMSAVE of the host goes to, released before the last VMRUN."),
    hardware!(c"fault/hardware-use-after-free/contiguous/rust/iopm", released_while_bound!(iopm),
        c"An I/O permissions map released while its L2 can still be entered."),
    hardware!(c"fault/hardware-use-after-free/contiguous/rust/msrpm", released_while_bound!(msrpm),
        c"An MSR permissions map released while its L2 can still be entered."),
    hardware!(c"fault/hardware-use-after-free/contiguous/rust/nested-table", table_released_while_bound(),
        c"A nested page table released while nCR3 leads to it."),
    hardware!(c"fault/hardware-use-after-free/contiguous/rust/nested-page", page_released_while_bound(),
        c"Memory of an L2 released while its nested page table maps it."),
    hardware!(c"fault/hardware-use-after-free/contiguous/rust/page-table", page_table_released_while_bound(),
        c"A page table of an L2 without nested paging released while CR3 leads to it."),
    hardware!(c"fault/hardware-use-after-free/contiguous/rust/page", own_page_released_while_bound(),
        c"Memory of an L2 without nested paging released while its page table maps it."),
    fault!(HARDWARE, NONE, c"fault/hardware-use-after-free/none/rust/nested-page-of-nobody", page_of_nobody(),
        c"Memory of no allocation, mapped for one VMRUN without a fault."),
    hardware!(c"fault/hardware-use-after-free/contiguous/rust/vmsave", vmsave_released(),
        c"VMSAVE to a released page."),
    hardware!(c"fault/hardware-use-after-free/contiguous/rust/host-save-area", host_save_area_released(),
        c"A host save area released while VM_HSAVE_PA points at it."),
    hardware!(c"fault/hardware-use-after-free/contiguous/rust/host-save-area-given", host_save_area_given_after(),
        c"VM_HSAVE_PA set to a released page."),
    hardware!(c"fault/hardware-use-after-free/contiguous/rust/iopm-short", iopm_too_short(),
        c"An I/O permissions map is 12 KiB, not 8."),
    fault!(HARDWARE, c"pool", c"fault/hardware-use-after-free/pool/rust/iopm-short", vmcb_in_pool(),
        c"An I/O permissions map that runs out of its pool allocation."),
    fault!(c"misplaced", CONTIGUOUS, c"fault/misplaced/contiguous/rust/vmcb-misaligned", vmcb_misaligned(),
        c"A VMCB must be aligned to a page; the CPU is never given this one."),
    fault!(c"misplaced", CONTIGUOUS, c"fault/misplaced/contiguous/rust/vmsave-misaligned", vmsave_misaligned(),
        c"VMSAVE to what is not aligned to a page; the CPU is never given it."),
    fault!(c"misplaced", CONTIGUOUS, c"fault/misplaced/contiguous/rust/vmcb-uncached", vmcb_uncached(),
        c"A VMCB must be in write-back memory."),
    fault!(c"misplaced", CONTIGUOUS, c"fault/misplaced/contiguous/rust/vmcb-shared", vmcb_shared(),
        c"Two L2s that can both be entered have one VMCB."),
    fault!(c"misplaced", CONTIGUOUS, c"fault/misplaced/contiguous/rust/host-save-area-shared", host_save_area_shared(),
        c"Two CPUs save the host in one page.").cpus(2),
    fault!(c"misplaced", NONE, c"fault/misplaced/none/rust/msrpm-above", bound_after(|vmcb| vmcb.msrpm_base = physical_limit()),
        c"A map above what the CPU has address bits for."),
    fault!(c"not-restored", NONE, c"fault/not-restored/none/rust/efer", efer_left(),
        c"EFER.SVME left on."),
    fault!(c"not-restored", NONE, c"fault/not-restored/none/rust/efer-elsewhere", efer_left_on_the_last_cpu(),
        c"EFER.SVME left on, on another CPU than the scenario's.").cpus(2),
    fault!(c"not-restored", NONE, c"fault/not-restored/none/rust/vm-hsave-pa", host_save_area_left(),
        c"VM_HSAVE_PA left behind."),
    fault!(c"not-restored", NONE, c"fault/not-restored/none/rust/efer-at-unload", unloaded(kernel::LEFT_EFER),
        c"EFER.SVME left on when the module went."),
    fault!(c"not-restored", NONE, c"fault/not-restored/none/rust/vm-hsave-pa-at-unload", unloaded(kernel::LEFT_HOST_SAVE_AREA),
        c"VM_HSAVE_PA left behind when the module went."),
    fault!(c"not-restored", NONE, c"fault/not-restored/none/rust/gif", gif_left(),
        c"GIF left 0: interrupts are held."),
];
crate::scenarios!(SCENARIOS);

// SPDX-License-Identifier: GPL-2.0
//! The hypervisor that the article's author wanted, and the faults of the original's history.

use crate::hypervisor::{Hypervisor, IdentityMap, Processor, ProcessorData, Shared};
use crate::kernel;
use crate::ledger::{label, named, step};
use crate::physical::PhysicalAllocator;
use crate::scenario::{CONTIGUOUS, Expectation, Outcome, POOL, Scenario, UNEXPECTED, finding};
use crate::svm::{EFER_SVME, Pages, Physical, cpu_count, cpuid, on_cpu, on_each_cpu, zeroed};
use alloc::boxed::Box;
use core::alloc::{Allocator, Layout};
use core::arch::asm;
use core::ffi::CStr;
use core::mem;
use core::ptr::NonNull;

const SECTION: &CStr = c"A hypervisor";

const EFER: u32 = 0xc000_0080;
const SVM_BIT: u32 = 1 << 2;

fn efer() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: an MSR that every 64-bit CPU has.
    unsafe { asm!("rdmsr", in("ecx") EFER, out("eax") low, out("edx") high) };
    u64::from(high) << 32 | u64::from(low)
}

/// WRMSR of what RDMSR gave must change nothing.
fn rewrite_efer() {
    let found = efer();
    // SAFETY: the value that stands there.
    unsafe {
        asm!("wrmsr", in("ecx") EFER, in("eax") found as u32, in("edx") (found >> 32) as u32)
    };
}

fn svm_is_hidden() -> bool {
    cpuid(0x8000_0001, 0).ecx & SVM_BIT == 0 && efer() & EFER_SVME == 0
}

/// On every CPU: CPUID, RDMSR and WRMSR exit, and Linux goes on.
fn inside() -> Outcome {
    on_each_cpu(|| {
        rewrite_efer();
        if svm_is_hidden() { Ok(()) } else { Err(UNEXPECTED) }
    })
}

fn outside() -> Outcome {
    on_each_cpu(|| if cpuid(0x8000_0001, 0).ecx & SVM_BIT != 0 { Ok(()) } else { Err(UNEXPECTED) })
}

fn stay(milliseconds: u32) -> Outcome {
    let hypervisor = named_start()?;
    inside()?;
    // Timers tick and tasks come and go.
    kernel::freeonce_sleep(milliseconds);
    step("nested page fault");
    // SAFETY: nothing is there that a read could change.
    unsafe { kernel::freeonce_touch(IdentityMap::end()) };
    step("leave");
    drop(hypervisor);
    outside()
}

fn named_start() -> Result<Hypervisor, crate::scenario::Failed> {
    step("virtualize");
    let hypervisor = Hypervisor::start()?;
    step("in guest mode");
    Ok(hypervisor)
}

/// The original tears each CPU down by hand, and its Drop does so again.
fn double_teardown() -> Outcome {
    let mut hypervisor = named_start()?;
    for processor in &mut hypervisor.processors {
        processor.devirtualize();
        let data = NonNull::from(&*processor.data).cast();
        // SAFETY: none: the Box still owns it, which is the fault.
        unsafe { PhysicalAllocator.deallocate(data, Layout::new::<ProcessorData>()) };
    }
    step("drop");
    drop(hypervisor);
    outside()
}

/// A box made at home: it allocates and derefs, and forgot Drop.
struct HomeMadeBox<T>(NonNull<T>);

impl<T> HomeMadeBox<T> {
    fn new(owner: Physical<T>) -> Self {
        let (pointer, _) = Box::into_raw_with_allocator(owner);
        // SAFETY: a Box is never null.
        HomeMadeBox(unsafe { NonNull::new_unchecked(pointer) })
    }

    fn get(&self) -> *const T {
        self.0.as_ptr()
    }
}

/// As the original keeps each CPU's data, here beside a hypervisor that is sound.
fn home_made_box() -> Outcome {
    // SAFETY: bytes are valid as zeros.
    let trace = HomeMadeBox::new(unsafe { zeroed::<Pages<4096>>()? });
    label(trace.get().cast(), "trace");
    stay(1)
}

/// A hook keeps a copy of the page that it changed, and whoever unloads forgets it.
struct Hook {
    #[allow(dead_code)]
    copy: Physical<Pages<4096>>,
    #[allow(dead_code)]
    original: u64,
}

fn hook_left() -> Outcome {
    let hypervisor = named_start()?;
    // SAFETY: bytes are valid as zeros.
    let copy = named("hooked page", unsafe { zeroed::<Pages<4096>>()? });
    let hook = named("hook", Box::try_new(Hook { copy, original: 0x1000 })?);
    Box::leak(hook);
    step("unload");
    drop(hypervisor);
    outside()
}

/// Teardown for the CPU that runs it: the others stay in guest mode on memory that goes.
fn teardown_on_one_cpu() -> Outcome {
    if cpu_count() < 2 {
        crate::ledger::unsupported("a second CPU");
        return Ok(());
    }
    let shared = Shared::try_new()?;
    let mut first = Processor::try_new(0)?;
    let mut last = Processor::try_new(1)?;
    // SAFETY: none for the last: it never leaves, which is the fault.
    unsafe {
        first.virtualize(&shared)?;
        last.virtualize(&shared)?;
    }
    step("teardown");
    drop(first);
    // What Drop would do is what was forgotten: only the memory goes.
    let last = mem::ManuallyDrop::new(last);
    label(NonNull::from(&*last.data).as_ptr().cast(), "last");
    let data = NonNull::from(&*last.data).cast();
    // SAFETY: none: the CPU is still in guest mode on it, which is the fault.
    unsafe { PhysicalAllocator.deallocate(data, Layout::new::<ProcessorData>()) };
    drop(shared);
    Ok(())
}

/// An address that VMRUN would answer with #GP, while GIF is 0: the module withholds it.
fn vmcb_misplaced() -> Outcome {
    let shared = Shared::try_new()?;
    let mut processor = Processor::try_new(0)?;
    // SAFETY: it is dropped before `shared`.
    unsafe { processor.virtualize(&shared)? };
    step("VMRUN");
    processor.misplace_vmcb(8);
    // Not guest mode any more, after the exit of this at the latest.
    let seen = on_cpu(0, || {
        cpuid(0, 0);
        if cpuid(0x8000_0001, 0).ecx & SVM_BIT != 0 { Ok(()) } else { Err(UNEXPECTED) }
    });
    drop(processor);
    seen
}

/// In none of the ranges that the permissions map has bits for; KVM's own MSRs end with it.
const UNMAPPED_MSR: u32 = 0x4b56_4dff;

/// Whether this CPU takes it, and what is read.
fn read_msr(number: u32) -> (bool, u64) {
    let mut value = 0;
    // SAFETY: the callee writes to `value` and keeps no pointer.
    let error = unsafe { kernel::freeonce_msr_read(number, &mut value) };
    (error == 0, value)
}

/// What exits and is no affair of the hypervisor's is in guest mode what it was before.
fn other_msr() -> Outcome {
    let before = (read_msr(UNMAPPED_MSR), efer());
    let hypervisor = named_start()?;
    step("another MSR");
    // SAFETY: nobody uses it, if there is one.
    unsafe { kernel::freeonce_msr_write(UNMAPPED_MSR, 0) };
    let during = (read_msr(UNMAPPED_MSR), efer());
    step("SVME, which is hidden");
    // SAFETY: a CPU without SVM takes no such value.
    let taken = unsafe { kernel::freeonce_msr_write(EFER, efer() | EFER_SVME) } == 0;
    drop(hypervisor);
    if before == during && !taken { Ok(()) } else { Err(UNEXPECTED) }
}

/// A hypervisor that made the call for it would lend it Linux's rights.
fn program_vmmcall() -> Outcome {
    let hypervisor = named_start()?;
    step("VMMCALL at CPL 3");
    // SAFETY: the path is a string.
    let status = unsafe { kernel::freeonce_program(c"/bin/vmmcall".as_ptr()) };
    drop(hypervisor);
    outside()?;
    if status == 0 { Ok(()) } else { Err(UNEXPECTED) }
}

/// Moved out; the storage goes with the end of this function.
fn unboxed<T>(owner: Box<T>) -> T {
    *owner
}

/// The data that its handlers use, released while they are at work.
fn handler_data_released() -> Outcome {
    let Hypervisor { processors, shared } = named_start()?;
    step("release");
    let moved = unboxed(shared);
    step("leave");
    drop(processors);
    drop(moved);
    outside()
}

const fn used(what: &'static CStr) -> Expectation {
    finding(c"hardware-use-after-free", CONTIGUOUS)
        .of(what)
        .at(c"teardown")
        .because(c"the other CPU is still in guest mode")
}

const fn scenario(
    name: &'static CStr,
    lesson: &'static CStr,
    body: fn() -> Outcome,
    expected: &'static [Expectation],
) -> Scenario {
    Scenario::new(name, SECTION, lesson, body).needs(c"svm").cpus(2).expecting(expected)
}

#[rustfmt::skip]
const SCENARIOS: &[Scenario] = &[
    scenario(c"hypervisor/virtualize", c"Linux becomes the guest on every CPU, goes on, and leaves; the compiler releases everything.",
        || stay(20), &[]),
    scenario(c"hypervisor/virtualize_for_a_while", c"Linux stays in guest mode for a second and answers from there.",
        || stay(1000), &[]),
    scenario(c"hypervisor/other_msr", c"An MSR that exits and is not the hypervisor's is what it is without it.", other_msr, &[]),
    scenario(c"hypervisor/program_vmmcall", c"VMMCALL of a program is refused, also on KVM, which answers those of Linux.", program_vmmcall, &[]),
    scenario(c"hypervisor/handler_data_released", c"What a handler uses is in use as long as Linux is its guest.", handler_data_released, &[
        finding(c"hardware-use-after-free", POOL).of(c"shared").at(c"release").because(c"the handlers of all CPUs use it"),
    ]),
    scenario(c"hypervisor/double_teardown", c"A teardown by hand, and Drop after it.", double_teardown, &[
        finding(c"double-free", CONTIGUOUS).of(c"processor").at(c"drop").because(c"the teardown by hand released it, and so does Drop"),
        finding(c"double-free", CONTIGUOUS).of(c"processor").at(c"drop").because(c"the teardown by hand released it, and so does Drop"),
    ]),
    scenario(c"hypervisor/home_made_box", c"A box made at home that forgot Drop.", home_made_box, &[
        finding(c"leak", CONTIGUOUS).of(c"trace").because(c"a home-made box has no Drop but the one you write"),
    ]),
    scenario(c"hypervisor/hook_left", c"A hook that is never released at unload.", hook_left, &[
        finding(c"leak", CONTIGUOUS).of(c"hooked page").because(c"the hook that owns it leaked"),
        finding(c"leak", POOL).of(c"hook").because(c"unload forgot it"),
    ]),
    scenario(c"hypervisor/vmcb_misplaced", c"A VMCB that is not aligned ends guest mode, and Linux goes on.", vmcb_misplaced, &[
        finding(c"misplaced", CONTIGUOUS).of(c"processor").at(c"VMRUN").because(c"the hypervisor gave an address that is not a page's"),
    ]),
    scenario(c"hypervisor/teardown_on_one_cpu", c"Teardown on one CPU only: the other runs on released memory.", teardown_on_one_cpu, &[
        used(c"last"), used(c"msrpm"), used(c"iopm"), used(c"npt"),
        finding(c"hardware-use-after-free", POOL).of(c"shared").at(c"teardown").because(c"the other CPU's handler is still to come back to it"),
        finding(c"not-restored", c"none").because(c"the other CPU never left"),
    ]),
];
crate::scenarios!(SCENARIOS);

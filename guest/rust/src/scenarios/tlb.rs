// SPDX-License-Identifier: GPL-2.0
//! What a CPU's TLB keeps of an L2, by CPU and ASID. AMD manual volume 2, 15.16.

use super::svm::{l2_cpuid, l2_vmmcall};
use crate::ledger::{named, step, unsupported};
use crate::physical::gpa;
use crate::scenario::{CONTIGUOUS, Expectation, Failed, Outcome, Scenario, UNEXPECTED, finding};
use crate::svm::{L2, Pages, Paging, Physical, Svm, cpu_count, memory, on_cpu, zeroed};
use core::ffi::CStr;

type Page = Pages<4096>;
type Block = Pages<65536>;

/// A page that the programs here leave alone.
const SPARE: u64 = memory::NOT_NESTED;

fn l2() -> Result<L2, Failed> {
    L2::try_new(&l2_vmmcall, Paging::Nested, 1)
}

fn page() -> Result<Physical<Page>, Failed> {
    // SAFETY: bytes are valid as zeros.
    Ok(named("page", unsafe { zeroed::<Page>()? }))
}

type Enter = fn(&mut L2, &Svm) -> Outcome;

/// Without a flush, as a hypervisor does nearly always.
fn enter(l2: &mut L2, svm: &Svm) -> Outcome {
    // SAFETY: the programs here use no page that another L2 has had, or that this one has lost.
    unsafe { l2.enter_unflushed(svm) }.map(drop)
}

/// No program here touches it.
fn map(l2: &mut L2, page: &Page) -> Outcome {
    // SAFETY: so it is not written.
    unsafe { l2.map(SPARE, gpa(page)) }
}

fn change_asid(l2: &mut L2, asid: u32) {
    // SAFETY: an ASID leads nowhere by itself.
    unsafe { l2.vmcb_mut().asid = asid }
}

/// As everybody may: this flushes.
fn enter_and_flush(l2: &mut L2, svm: &Svm) -> Outcome {
    l2.enter(svm).map(drop)
}

/// Mapped for one VMRUN, without a fault before it and without a flush after it.
fn enter_with(l2: &mut L2, svm: &Svm, page: &Page) -> Outcome {
    enter_and_flush(l2, svm)?;
    map(l2, page)?;
    enter(l2, svm)?;
    l2.unmap(SPARE)
}

fn released(page: Physical<Page>) {
    step("release");
    drop(page);
}

/// An L2 that goes from CPU to CPU.
struct Migrating(*mut L2);

// SAFETY: used by the one CPU that `on_cpu` runs it on, while the owner waits.
unsafe impl Sync for Migrating {}

impl Migrating {
    fn on<F: Fn(&mut L2, &Svm) -> Outcome + Sync>(&self, cpu: u32, body: F) -> Outcome {
        // SAFETY: as above.
        on_cpu(cpu, || body(unsafe { &mut *self.0 }, &Svm::on()?))
    }
}

fn on_two_cpus(body: fn() -> Outcome) -> Outcome {
    if cpu_count() < 2 {
        unsupported("a second CPU");
        return Ok(());
    }
    body()
}

/// Each CPU has entered it, and each has flushed before the release.
fn flushed_on_both_cpus() -> Outcome {
    let page = page()?;
    let mut l2 = l2()?;
    let l2 = Migrating(&mut l2);
    l2.on(0, |l2, _| map(l2, &page))?;
    l2.on(0, enter_and_flush)?;
    l2.on(1, enter)?;
    l2.on(1, |l2, _| l2.unmap(SPARE))?;
    l2.on(0, enter_and_flush)?;
    l2.on(1, enter_and_flush)?;
    released(page);
    l2.on(0, enter)?;
    l2.on(1, enter)
}

/// As KVM does: an L2 gets another ASID on each CPU that it comes to, and nobody uses the old one.
fn new_asid_on_migration() -> Outcome {
    let page = page()?;
    let mut l2 = l2()?;
    let l2 = Migrating(&mut l2);
    l2.on(0, |l2, _| map(l2, &page))?;
    l2.on(0, enter_and_flush)?;
    l2.on(1, |l2, svm| {
        change_asid(l2, 2);
        enter(l2, svm)?;
        l2.unmap(SPARE)?;
        enter_and_flush(l2, svm)
    })?;
    released(page);
    l2.on(0, |l2, svm| {
        change_asid(l2, 3);
        enter(l2, svm)
    })
}

/// Also as KVM does: what matters is that nobody enters in between.
fn released_before_the_flush() -> Outcome {
    let page = page()?;
    let svm = Svm::on()?;
    let mut l2 = l2()?;
    enter_and_flush(&mut l2, &svm)?;
    map(&mut l2, &page)?;
    enter(&mut l2, &svm)?;
    l2.unmap(SPARE)?;
    released(page);
    enter_and_flush(&mut l2, &svm)?;
    enter(&mut l2, &svm)
}

fn flushed_by_another_l2() -> Outcome {
    let page = page()?;
    let svm = Svm::on()?;
    let mut first = l2()?;
    let mut second = L2::try_new(&l2_vmmcall, Paging::Nested, 2)?;
    enter_with(&mut first, &svm, &page)?;
    enter_and_flush(&mut second, &svm)?;
    released(page);
    enter(&mut first, &svm)
}

/// One L2 after another under one ASID. `enter_second` must flush.
fn asid_again(enter_second: Enter) -> Outcome {
    let page = page()?;
    let svm = Svm::on()?;
    let mut first = l2()?;
    map(&mut first, &page)?;
    enter_and_flush(&mut first, &svm)?;
    drop(first);
    released(page);
    let mut second = l2()?;
    step("same ASID");
    enter_second(&mut second, &svm)
}

/// Two L2s in turns under one ASID. `enter_second` must flush, though its L2 is as it was.
fn asid_in_turns(enter_second: Enter) -> Outcome {
    let page = page()?;
    let svm = Svm::on()?;
    let (mut first, mut second) = (l2()?, l2()?);
    map(&mut first, &page)?;
    enter_and_flush(&mut second, &svm)?;
    enter_and_flush(&mut first, &svm)?;
    drop(first);
    released(page);
    step("second again");
    enter_second(&mut second, &svm)
}

/// An L2 by its own page tables. `asid`: under which INVLPGA takes the page; right is 1.
fn one_page_flushed(asid: u32) -> Outcome {
    let page = page()?;
    let svm = Svm::on()?;
    let mut l2 = L2::try_new(&l2_cpuid, Paging::Own, 1)?;
    map(&mut l2, &page)?;
    enter_and_flush(&mut l2, &svm)?;
    l2.unmap(SPARE)?;
    svm.invlpga(SPARE, asid)?;
    released(page);
    enter(&mut l2, &svm)
}

/// With this many tables of pages an L2 has 1 GiB, the first 2 MiB its own.
const TABLES: usize = 512;
const TABLE_SPAN: u64 = 2 << 20;

/// 1 GiB in pages of 4 KiB: 16 pages side by side, again and again.
fn fragmented() -> Result<(Physical<Block>, L2), Failed> {
    // SAFETY: bytes are valid as zeros.
    let block = named("page", unsafe { zeroed::<Block>()? });
    let mut l2 = L2::try_with_tables(&l2_vmmcall, Paging::Nested, 1, TABLES - 1)?;
    // SAFETY: no program here touches more than the first 2 MiB.
    let npt = unsafe { l2.parts_mut() }.npt.as_mut().ok_or(UNEXPECTED)?;
    for table in 1..TABLES as u64 {
        npt.map_table(table * TABLE_SPAN, |page| gpa(&*block) + page % 16 * memory::PAGE)?;
    }
    Ok((block, l2))
}

fn entered_fragmented() -> Outcome {
    let (_block, mut l2) = fragmented()?;
    let svm = Svm::on()?;
    enter_and_flush(&mut l2, &svm)?;
    enter(&mut l2, &svm)
}

fn released_of_fragmented() -> Outcome {
    let (block, mut l2) = fragmented()?;
    l2.bind()?;
    step("release");
    drop(block);
    Ok(())
}

fn released_without_a_flush() -> Outcome {
    let page = page()?;
    let svm = Svm::on()?;
    let mut l2 = l2()?;
    enter_with(&mut l2, &svm, &page)?;
    enter(&mut l2, &svm)?;
    released(page);
    enter(&mut l2, &svm)
}

/// Another ASID flushes nothing: under the first the CPU may have the page yet.
fn released_under_another_asid() -> Outcome {
    let page = page()?;
    let svm = Svm::on()?;
    let mut l2 = l2()?;
    enter_with(&mut l2, &svm, &page)?;
    change_asid(&mut l2, 2);
    enter(&mut l2, &svm)?;
    released(page);
    change_asid(&mut l2, 1);
    enter(&mut l2, &svm)
}

/// TLB_CONTROL empties the TLB of the CPU that executes this VMRUN, and of no other.
fn released_after_the_flush_of_another_cpu() -> Outcome {
    let page = page()?;
    let mut l2 = l2()?;
    let l2 = Migrating(&mut l2);
    l2.on(0, |l2, svm| enter_with(l2, svm, &page))?;
    l2.on(1, enter_and_flush)?;
    released(page);
    l2.on(0, enter)
}

const SECTION: &CStr = c"SVM";
const PLANTED_SECTION: &CStr = c"Planted faults, from Rust";

const fn right(name: &'static CStr, lesson: &'static CStr, body: fn() -> Outcome) -> Scenario {
    Scenario::new(name, SECTION, lesson, body).needs(c"svm").shares()
}

const FOUND: &[Expectation] = &[finding(c"hardware-use-after-free", CONTIGUOUS).of(c"page")];

const fn fault(name: &'static CStr, lesson: &'static CStr, body: fn() -> Outcome) -> Scenario {
    Scenario::new(name, PLANTED_SECTION, lesson, body).needs(c"svm").shares().expecting(FOUND)
}

#[rustfmt::skip]
const SCENARIOS: &[Scenario] = &[
    right(c"svm/tlb/flushed_on_both_cpus", c"An L2 was on two CPUs, so both flush what it has lost.",
        || on_two_cpus(flushed_on_both_cpus)).cpus(2),
    right(c"svm/tlb/new_asid_on_migration", c"An ASID that nobody uses any more needs no flush.",
        || on_two_cpus(new_asid_on_migration)).cpus(2),
    right(c"svm/tlb/released_before_the_flush", c"A page may go before the flush, if nobody enters in between.",
        released_before_the_flush),
    right(c"svm/tlb/flushed_by_another_l2", c"TLB_CONTROL 1 flushes the TLB of a CPU for all its L2s.",
        flushed_by_another_l2),
    right(c"svm/tlb/asid_again", c"An ASID that comes back is flushed first.",
        || asid_again(enter_and_flush)),
    right(c"svm/tlb/asid_in_turns", c"Two L2s take turns under one ASID, and each VMRUN flushes.",
        || asid_in_turns(enter_and_flush)),
    right(c"svm/tlb/one_page_flushed", c"INVLPGA takes one page of an L2 without nested paging.",
        || one_page_flushed(1)),
    right(c"svm/fragmented", c"1 GiB in pages of 4 KiB: each page that the CPU may use is known.",
        entered_fragmented),
];
crate::scenarios!(SCENARIOS);

#[rustfmt::skip]
const PLANTED: &[Scenario] = &[
    fault(c"fault/hardware-use-after-free/contiguous/rust/nested-page-stale",
        c"A page that was mapped for one VMRUN, and released; the next VMRUN flushes nothing.",
        released_without_a_flush),
    fault(c"fault/hardware-use-after-free/contiguous/rust/nested-page-stale-asid",
        c"A page that was mapped under one ASID, and released under another, which flushes nothing.",
        released_under_another_asid),
    fault(c"fault/hardware-use-after-free/contiguous/rust/nested-page-stale-cpu",
        c"A page that an L2 had on one CPU, and that was released when another CPU had flushed.",
        || on_two_cpus(released_after_the_flush_of_another_cpu)).cpus(2),
    fault(c"fault/hardware-use-after-free/contiguous/rust/nested-page-stale-next-l2",
        c"An L2 goes with its page, and the next one gets its ASID without a flush.",
        || asid_again(enter)),
    fault(c"fault/hardware-use-after-free/contiguous/rust/nested-page-stale-in-turns",
        c"Two L2s take turns under one ASID; one goes with its page, and the other's VMRUN flushes nothing.",
        || asid_in_turns(enter)),
    fault(c"fault/hardware-use-after-free/contiguous/rust/page-stale",
        c"INVLPGA under another ASID takes nothing of this L2, whose page is released.",
        || one_page_flushed(2)),
    fault(c"fault/hardware-use-after-free/contiguous/rust/nested-page-of-many",
        c"Memory of an L2 of 1 GiB in pages of 4 KiB released while all of them lead to it.",
        released_of_fragmented),
];
crate::scenarios!(PLANTED);

// SPDX-License-Identifier: GPL-2.0
//! VMRUN: the CPU is handed memory by its physical address, runs L2s, and comes back.
//!
//! A program in `specimens/l2` says which exits it must make; here stands what its L2 needs.

use crate::kernel;
use crate::ledger::{step, unsupported};
use crate::physical::gpa;
use crate::scenario::{Failed, Outcome, Scenario, UNEXPECTED};
use crate::svm::{
    Budget, CR0_AM, CR0_TS, Event, Exit, Intercept, L2, OVER_BUDGET, Pages, Paging, Program, Svm,
    Vmcb, cpu_count, cpuid, handler, lacks, memory, on_cpu, on_each_cpu, play, play_on, zeroed,
};
use core::ffi::CStr;
use core::sync::atomic::{AtomicU32, Ordering};

const SECTION: &CStr = c"SVM";

macro_rules! programs {
    ($($name:ident)*) => {
        #[allow(non_upper_case_globals)]
        unsafe extern "C" { $(pub safe static $name: Program;)* }
    };
}

programs! {
    l2_chatty l2_cpuid l2_cr l2_cr0_sel_write l2_cr_read l2_descriptor_tables l2_dr l2_endless
    l2_exception_ac l2_exception_db l2_exception_df l2_exception_nm l2_exception_ts
    l2_exceptions l2_exception_bp l2_exception_of l2_exception_br l2_exception_mf l2_exception_xf l2_hlt l2_icebp l2_injection l2_intr
    l2_invd l2_invlpg l2_io l2_iret l2_msr_both l2_msr_high l2_msr_none l2_msr_read
    l2_msr_write l2_mwait l2_mxcsr l2_nested_page_faults l2_pause l2_popf l2_pushf l2_rdpmc l2_rdpru
    l2_rdtsc l2_rdtscp l2_real_mode l2_registers l2_rsm l2_shutdown l2_skinit l2_string_io
    l2_svm_instructions l2_swint l2_task_switch l2_vintr l2_vmmcall l2_wbinvd l2_xsetbv
}

fn nothing(_: &mut L2) {}

/// For what a program here needs of its L2.
fn vmcb(l2: &mut L2) -> &mut Vmcb {
    // SAFETY: none is led to other memory, and each ends by an exit.
    unsafe { l2.vmcb_mut() }
}

fn msrs(l2: &mut L2, read: bool, write: bool) {
    // SAFETY: the programs write what these MSRs have.
    unsafe {
        l2.pass_all_msrs();
        for msr in [0x174, 0xc000_0081] {
            l2.intercept_msr(msr, read, write);
        }
    }
}

fn ports(l2: &mut L2) {
    // SAFETY: the programs use no port of a device.
    unsafe { l2.pass_ports_below(0x80) }
}

/// Each pair of bits, and the third range, of which all bits stay set.
fn msr_permissions() -> Outcome {
    play(&l2_msr_none, |l2| msrs(l2, false, false), None)?;
    play(&l2_msr_read, |l2| msrs(l2, true, false), None)?;
    play(&l2_msr_write, |l2| msrs(l2, false, true), None)?;
    play(&l2_msr_both, |l2| msrs(l2, true, true), None)?;
    play(&l2_msr_high, nothing, None)
}

fn io_permissions() -> Outcome {
    play(&l2_io, ports, None)?;
    play(&l2_string_io, ports, None)
}

fn with_intercept(program: &'static Program, what: Intercept) -> Outcome {
    play(program, |l2| vmcb(l2).intercept(what, true), None)
}

fn cr0_selective() -> Outcome {
    let set_up = |l2: &mut L2| {
        vmcb(l2).intercept(Intercept::CR0_SEL_WRITE, true);
        vmcb(l2).intercept_cr = 0;
    };
    play(&l2_cr0_sel_write, set_up, None)
}

fn no_device() -> Outcome {
    play(&l2_exception_nm, |l2| vmcb(l2).cr0 |= CR0_TS, None)
}

fn alignment() -> Outcome {
    let lacking = Some((Exit::Vmmcall, "#AC is never raised"));
    play(&l2_exception_ac, |l2| vmcb(l2).cr0 |= CR0_AM, lacking)
}

fn no_room_in_tss() -> Outcome {
    play(&l2_exception_ts, |l2| vmcb(l2).tr.limit = 3, None)
}

fn double_fault() -> Outcome {
    let set_up = |l2: &mut L2| {
        vmcb(l2).intercept_exceptions = 1 << 8;
        vmcb(l2).idtr.limit = 0;
    };
    play(&l2_exception_df, set_up, Some((Exit::Shutdown, "#DF is not intercepted")))
}

fn triple_fault() -> Outcome {
    let set_up = |l2: &mut L2| {
        vmcb(l2).intercept_exceptions = 0;
        vmcb(l2).idtr.limit = 0;
    };
    play(&l2_shutdown, set_up, None)
}

fn injection() -> Outcome {
    play(&l2_injection, |l2| vmcb(l2).inject(Event::Interrupt(0x20)), None)
}

/// KVM without NRIP save takes it for an instruction of the L2's to be run again, and there
/// is none.
fn software_event() -> Outcome {
    let mut l2 = L2::try_new(&l2_injection, Paging::Nested, 1)?;
    vmcb(&mut l2).inject(Event::Software(0x20));
    match l2.run(&Svm::on()?, &mut Budget::default())? {
        Exit::Vmmcall if l2.vmcb().rip() == handler(0x20) => Ok(()),
        Exit::Vmmcall => {
            unsupported("software event is lost");
            Ok(())
        }
        _ => Err(UNEXPECTED),
    }
}

fn virtual_interrupt() -> Outcome {
    let set_up = |l2: &mut L2| {
        vmcb(l2).intercept(Intercept::VINTR, true);
        vmcb(l2).virtual_interrupt(0x20);
    };
    play(&l2_vintr, set_up, None)
}

/// RDTSC's own intercept would come first on some CPUs.
fn rdtscp() -> Outcome {
    let set_up = |l2: &mut L2| vmcb(l2).intercept(Intercept::RDTSC, false);
    play(&l2_rdtscp, set_up, Some((Exit::Vmmcall, "RDTSCP not intercepted")))
}

/// CPUID Fn0000_0001_ECX[3].
fn mwait() -> Outcome {
    if cpuid(1, 0).ecx & 1 << 3 == 0 {
        return lacks(&l2_mwait, "CPUID Fn1_ECX[3]");
    }
    play(&l2_mwait, nothing, None)
}

/// CPUID Fn8000_0008_EBX[4].
fn rdpru() -> Outcome {
    if cpuid(0x8000_0008, 0).ebx & 1 << 4 == 0 {
        return lacks(&l2_rdpru, "CPUID Fn8000_0008_EBX[4]");
    }
    play(&l2_rdpru, nothing, None)
}

/// CPUID Fn8000_0001_ECX[12].
fn skinit() -> Outcome {
    if cpuid(0x8000_0001, 0).ecx & 1 << 12 == 0 {
        return lacks(&l2_skinit, "CPUID 8000_0001_ECX[12]");
    }
    play(&l2_skinit, nothing, None)
}

fn without_nested_paging() -> Outcome {
    let mut l2 = L2::try_new(&l2_cpuid, Paging::Own, 1)?;
    play_on(&Svm::on()?, &l2_cpuid, &mut l2, None)
}

/// Mapped without a fault, used, unmapped, and released when the TLB is flushed.
fn page_for_a_while() -> Outcome {
    // SAFETY: bytes are valid as zeros.
    let page = unsafe { zeroed::<Pages<4096>>()? };
    let mut l2 = L2::try_new(&l2_cpuid, Paging::Nested, 1)?;
    let svm = Svm::on()?;
    let mut budget = Budget::default();
    l2.run(&svm, &mut budget)?;
    // SAFETY: the program does not write there.
    unsafe { l2.map(memory::NOT_NESTED, gpa(&*page))? };
    l2.run(&svm, &mut budget)?;
    l2.unmap(memory::NOT_NESTED)?;
    l2.run(&svm, &mut budget)?;
    drop(page);
    l2.run(&svm, &mut budget).map(drop)
}

/// On each CPU in turn, from outside of it.
fn on_every_cpu() -> Outcome {
    for cpu in 0..cpu_count() {
        on_cpu(cpu, || play(&l2_cpuid, nothing, None))?;
    }
    Ok(())
}

/// An L2 on each CPU at the same time, each entered many times.
fn all_at_once() -> Outcome {
    let asid = AtomicU32::new(1);
    on_each_cpu(|| {
        let mut l2 = L2::try_new(&l2_cpuid, Paging::Nested, asid.fetch_add(1, Ordering::Relaxed))?;
        let svm = Svm::on()?;
        let start = l2.vmcb().rip();
        for _ in 0..20 {
            vmcb(&mut l2).set_rip(start);
            play_on(&svm, &l2_cpuid, &mut l2, None)?;
        }
        Ok(())
    })
}

/// Three L2s in turn on one CPU, each with an ASID and a program of its own.
fn several_in_turn() -> Outcome {
    let mut cpuid = L2::try_new(&l2_cpuid, Paging::Nested, 1)?;
    let mut rdtsc = L2::try_new(&l2_rdtsc, Paging::Own, 2)?;
    let mut real = L2::try_new(&l2_real_mode, Paging::Nested, 3)?;
    let svm = Svm::on()?;
    let mut budget = Budget::default();
    for _ in 0..10 {
        let exits = [
            cpuid.run(&svm, &mut budget)?,
            rdtsc.run(&svm, &mut budget)?,
            real.run(&svm, &mut budget)?,
        ];
        if exits != [Exit::Cpuid, Exit::Rdtsc, Exit::Cpuid] {
            return Err(UNEXPECTED);
        }
    }
    Ok(())
}

fn ends_over_budget(program: &'static Program, budget: &mut Budget) -> Outcome {
    let mut l2 = L2::try_new(program, Paging::Nested, 1)?;
    let svm = Svm::on()?;
    loop {
        match l2.run(&svm, budget) {
            Ok(Exit::Cpuid) => continue,
            Err(Failed(error)) if error == OVER_BUDGET.0 => return Ok(()),
            _ => return Err(UNEXPECTED),
        }
    }
}

/// One that loops and one that exits for ever.
fn budget() -> Outcome {
    ends_over_budget(&l2_endless, &mut Budget::new(u32::MAX, 30))?;
    ends_over_budget(&l2_chatty, &mut Budget::new(100, 60_000))
}

/// The L2 writes over all that it can; the module compares the host's registers.
fn registers() -> Outcome {
    play(&l2_registers, nothing, None)
}

/// L1 sends itself an NMI while GIF is 0, and takes it after the exit.
fn nmi() -> Outcome {
    let mut l2 = L2::try_new(&l2_endless, Paging::Nested, 1)?;
    match l2.enter_into_nmi(&Svm::on()?)? {
        Exit::Nmi => Ok(()),
        _ => Err(UNEXPECTED),
    }
}

fn planted_register() -> Outcome {
    kernel::freeonce_inject_scramble();
    step("a forgetful switch");
    play(&l2_cpuid, nothing, None)
}

const fn exit(name: &'static CStr, lesson: &'static CStr, body: fn() -> Outcome) -> Scenario {
    Scenario::new(name, SECTION, lesson, body).needs(c"svm").shares()
}

/// As `exit`, for a part of SVM that a CPU may lack.
const fn part(
    name: &'static CStr,
    needs: &'static CStr,
    lesson: &'static CStr,
    body: fn() -> Outcome,
) -> Scenario {
    Scenario::new(name, SECTION, lesson, body).needs(needs).shares()
}

/// What a CPU without that part does instead, and how to say it.
macro_rules! observed {
    ($name:literal, $needs:literal, $program:ident, $lesson:literal, $instead:expr, $said:literal) => {
        part($name, $needs, $lesson, || play(&$program, nothing, Some(($instead, $said))))
    };
}

macro_rules! plain {
    ($name:literal, $program:ident, $lesson:literal) => {
        exit($name, $lesson, || play(&$program, nothing, None))
    };
}

#[rustfmt::skip]
const SCENARIOS: &[Scenario] = &[
    exit(c"svm/vmrun_exits", c"VMCB, save areas, bitmaps and nested page tables as Box<T, PhysicalAllocator>: released by the compiler, after SVM is off.",
        || play(&l2_real_mode, nothing, None)),
    exit(c"svm/without_nested_paging", c"The L2's own page tables lead straight to L1's memory.", without_nested_paging),
    exit(c"svm/page_for_a_while", c"A page that was mapped and unmapped is the owner's again when the TLB is flushed.", page_for_a_while),
    exit(c"svm/on_every_cpu", c"An L2 runs on any CPU of L1.", on_every_cpu).cpus(2),
    exit(c"svm/all_cpus_at_once", c"Each CPU has its L2 and its host save area.", all_at_once).cpus(2),
    exit(c"svm/several_in_turn", c"L2s with ASIDs of their own share a CPU.", several_in_turn),
    exit(c"svm/budget", c"An L2 that loops or exits for ever is ended.", budget),
    exit(c"svm/registers", c"What an L2 does to registers, L1 never sees.", registers),
    plain!(c"svm/mxcsr_0", l2_mxcsr, c"An L2's registers stay its own, also where they are 0."),
    plain!(c"svm/exit/cpuid", l2_cpuid, c"CPUID."),
    plain!(c"svm/exit/rdtsc", l2_rdtsc, c"RDTSC."),
    part(c"svm/exit/rdtscp", c"svm:rdtscp", c"RDTSCP.", rdtscp),
    plain!(c"svm/exit/rdpmc", l2_rdpmc, c"RDPMC."),
    exit(c"svm/exit/msr", c"RDMSR and WRMSR exit by their bits in the MSRPM, and only by those.", msr_permissions),
    exit(c"svm/exit/io", c"IN, OUT and their string forms exit by their bits in the IOPM.", io_permissions),
    plain!(c"svm/exit/hlt", l2_hlt, c"HLT."),
    plain!(c"svm/exit/pause", l2_pause, c"PAUSE."),
    plain!(c"svm/exit/invlpg", l2_invlpg, c"INVLPG."),
    observed!(c"svm/exit/invd", c"svm:invd", l2_invd, c"INVD.", Exit::Wbinvd, "INVD exits as WBINVD"),
    plain!(c"svm/exit/wbinvd", l2_wbinvd, c"WBINVD."),
    plain!(c"svm/exit/rsm", l2_rsm, c"RSM."),
    observed!(c"svm/exit/icebp", c"svm:icebp", l2_icebp, c"ICEBP.", Exit::Exception(6), "ICEBP is #UD"),
    plain!(c"svm/exit/cr", l2_cr, c"CR0, read and written; writes of the others; SMSW, CLTS, LMSW."),
    observed!(c"svm/exit/cr_read", c"svm:cr_read", l2_cr_read, c"Reads of CR2, CR3, CR4 and CR8.", Exit::CrRead(0), "CR2 exits as CR0"),
    exit(c"svm/exit/cr0_sel_write", c"A write of CR0 that changes more than TS and MP.", cr0_selective),
    plain!(c"svm/exit/dr", l2_dr, c"Each debug register, read and written."),
    plain!(c"svm/exit/descriptor_tables", l2_descriptor_tables, c"SGDT, SIDT, SLDT, STR, LGDT, LIDT, LLDT, LTR."),
    exit(c"svm/exit/pushf", c"PUSHF.", || with_intercept(&l2_pushf, Intercept::PUSHF)),
    exit(c"svm/exit/popf", c"POPF.", || with_intercept(&l2_popf, Intercept::POPF)),
    exit(c"svm/exit/iret", c"IRET.", || with_intercept(&l2_iret, Intercept::IRET)),
    exit(c"svm/exit/swint", c"INT n.", || with_intercept(&l2_swint, Intercept::SWINT)),
    plain!(c"svm/exit/exceptions", l2_exceptions, c"#DE, #UD, #NP, #SS, #GP, #PF with their error codes."),
    plain!(c"svm/exit/exception_db", l2_exception_db, c"#DB by single step."),
    observed!(c"svm/exit/exception_bp", c"svm:exception_bp", l2_exception_bp, c"#BP.", Exit::Vmmcall, "#BP is not intercepted"),
    observed!(c"svm/exit/exception_of", c"svm:exception_of", l2_exception_of, c"#OF.", Exit::Vmmcall, "#OF is not intercepted"),
    plain!(c"svm/exit/exception_br", l2_exception_br, c"#BR."),
    plain!(c"svm/exit/exception_mf", l2_exception_mf, c"#MF."),
    observed!(c"svm/exit/exception_xf", c"svm:exception_xf", l2_exception_xf, c"#XF.", Exit::Vmmcall, "#XF is never raised"),
    exit(c"svm/exit/exception_nm", c"#NM.", no_device),
    part(c"svm/exit/exception_ac", c"svm:exception_ac", c"#AC at CPL 3.", alignment),
    exit(c"svm/exit/exception_ts", c"#TS.", no_room_in_tss),
    part(c"svm/exit/exception_df", c"svm:exception_df", c"#DF, when no other exception is intercepted.", double_fault),
    observed!(c"svm/exit/task_switch", c"svm:task_switch", l2_task_switch, c"A task switch in 32-bit protected mode.", Exit::Vmmcall, "task switch: no exit"),
    exit(c"svm/exit/shutdown", c"A triple fault of the L2 is an exit, not a reset of L1.", triple_fault),
    plain!(c"svm/exit/vmmcall", l2_vmmcall, c"VMMCALL."),
    plain!(c"svm/exit/svm_instructions", l2_svm_instructions, c"VMRUN, VMLOAD, VMSAVE, STGI, CLGI, INVLPGA in an L2."),
    part(c"svm/exit/skinit", c"svm:skinit", c"SKINIT.", skinit),
    plain!(c"svm/exit/nested_page_faults", l2_nested_page_faults, c"#NPF: not present, write, execute, reserved bit, beyond the tables."),
    part(c"svm/exit/mwait", c"svm:mwait", c"MONITOR and MWAIT.", mwait),
    observed!(c"svm/exit/xsetbv", c"svm:xsetbv", l2_xsetbv, c"XSETBV.", Exit::Vmmcall, "XSETBV not intercepted"),
    part(c"svm/exit/rdpru", c"svm:rdpru", c"RDPRU.", rdpru),
    exit(c"svm/exit/injection", c"An injected event comes before the first instruction.", injection),
    part(c"svm/exit/injection_software", c"svm:software_event", c"The same of a software interrupt.", software_event),
    exit(c"svm/exit/vintr", c"A virtual interrupt, as soon as the L2 would take it.", virtual_interrupt),
    plain!(c"svm/exit/intr", l2_intr, c"An interrupt of the host ends the L2's run."),
    exit(c"svm/exit/nmi", c"An NMI of the host ends the L2's run, and the host takes it.", nmi),
];
crate::scenarios!(SCENARIOS);

const PLANTED: &[Scenario] = &[Scenario::new(
    c"fault/not-restored/none/rust/host-register",
    c"Planted faults, from Rust",
    c"A world switch that forgets a register of the host is caught.",
    planted_register,
)
.needs(c"svm")
.expecting(&[crate::scenario::finding(c"not-restored", c"none")])];
crate::scenarios!(PLANTED);

// SPDX-License-Identifier: GPL-2.0
// What SVM leaves in a CPU: EFER, VM_HSAVE_PA, GIF. Told before and after a run, and put back.
#include <linux/irq_work.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/smp.h>
#include <asm/cpufeature.h>

#include "cpu/cpu.h"
#include "kernel/kernel.h"
#include "ledger/ledger.h"

#define ANSWER_NANOSECONDS NSEC_PER_SEC
#define OWN_ANSWER_NANOSECONDS (10 * NSEC_PER_MSEC)

/* What each CPU had when the module was loaded. */
struct known {
	u64 efer;
	u64 host_save_area;
	bool set;
};

static DEFINE_PER_CPU(struct known, known);

/* One question at a time, by the run mutex or at load and unload. */
static bool answered;

static void append(u64 efer, u64 host_save_area, u32 detail, u32 cpu)
{
	struct ledger_record record = {
		.type = LEDGER_CPU_STATE,
		.pointer = efer,
		.physical = host_save_area,
		.size = svm_physical_bits(),
		.serial = cpu,
		.detail = detail,
	};

	ledger_append(&record);
}

/* Whether TLB_CONTROL may flush by ASID (15.16.1). */
static u32 flushes_by_asid(void)
{
	return boot_cpu_has(X86_FEATURE_FLUSHBYASID) ? CPU_STATE_FLUSH_BY_ASID : 0;
}

/* Whether there can be guests with encrypted state (CPUID Fn8000_001F_EAX[3]). */
static u32 encrypts_state(void)
{
	bool known = cpuid_eax(0x80000000) >= 0x8000001f;

	return known && cpuid_eax(0x8000001f) & BIT(3) ? CPU_STATE_SEV_ES : 0;
}

static void read_state(u64 *efer, u64 *host_save_area)
{
	rdmsrq(MSR_EFER, *efer);
	if (svm_missing() || rdmsrq_safe(MSR_VM_HSAVE_PA, host_save_area))
		*host_save_area = 0;
}

static void tell(u32 gif)
{
	struct known *mine = this_cpu_ptr(&known);
	u64 efer, host_save_area;

	read_state(&efer, &host_save_area);
	if (!mine->set)
		*mine = (struct known){ efer, host_save_area, true };
	append(efer, host_save_area, gif | flushes_by_asid() | encrypts_state(),
	       raw_smp_processor_id());
}

static void put_back(void)
{
	const struct known *mine = this_cpu_ptr(&known);
	u64 efer, host_save_area;

	read_state(&efer, &host_save_area);
	if (host_save_area != mine->host_save_area)
		wrmsrq(MSR_VM_HSAVE_PA, mine->host_save_area);
	if (efer != mine->efer)
		wrmsrq(MSR_EFER, mine->efer);
}

static bool in_time(u64 nanoseconds)
{
	ktime_t start = ktime_get();

	while (!smp_load_acquire(&answered)) {
		/* Whoever waits may have been kept from looking meanwhile. */
		if (ktime_to_ns(ktime_sub(ktime_get(), start)) > nanoseconds)
			return smp_load_acquire(&answered);
		cpu_relax();
	}
	return true;
}

static void answer(struct irq_work *work)
{
	smp_store_release(&answered, true);
}

/* STGI needs EFER.SVME (15.17). */
static void set_gif(void)
{
	u64 efer;

	rdmsrq(MSR_EFER, efer);
	wrmsrq(MSR_EFER, efer | EFER_SVME);
	asm volatile("stgi");
	wrmsrq(MSR_EFER, efer);
}

/*
 * No instruction reads GIF. While it is 0 interrupts are held (15.17), so a CPU
 * that takes one has it set. A remote CPU shows it by answering at all.
 */
static void tell_own(void)
{
	struct irq_work work = IRQ_WORK_INIT_HARD(answer);
	u32 gif = CPU_STATE_GIF;

	answered = false;
	irq_work_queue(&work);
	if (!in_time(OWN_ANSWER_NANOSECONDS))
		gif = 0;
	tell(gif);
	if (!gif && !svm_missing())
		set_gif();
	irq_work_sync(&work);
}

static void tell_remote(void *unused)
{
	tell(CPU_STATE_GIF);
	smp_store_release(&answered, true);
}

/* Outlives a question that was never answered. */
static DEFINE_PER_CPU(call_single_data_t, question);

/*
 * False: it did not answer. Then the question stays queued, for tell_remote(), so the module
 * must stay too. At its exit that comes too late.
 */
static bool ask(u32 cpu)
{
	call_single_data_t *asked = per_cpu_ptr(&question, cpu);
	bool queued;

	answered = false;
	/* Once: one that was never answered is still queued, and -EBUSY. */
	if (!asked->func)
		INIT_CSD(asked, tell_remote, NULL);
	queued = !smp_call_function_single_async(cpu, asked);
	if (queued && in_time(ANSWER_NANOSECONDS))
		return true;
	if (queued)
		__module_get(THIS_MODULE);
	return false;
}

void cpu_state_append_all(void)
{
	u32 cpu, own;

	migrate_disable();
	own = raw_smp_processor_id();
	tell_own();
	for_each_online_cpu(cpu) {
		if (cpu != own && !ask(cpu))
			append(0, 0, CPU_STATE_SILENT, cpu);
	}
	migrate_enable();
}

static void restore(void *unused)
{
	put_back();
}

/* A fault of a scenario must not colour the next. */
void cpu_state_restore_all(void)
{
	on_each_cpu(restore, NULL, 1);
}

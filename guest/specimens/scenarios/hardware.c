// SPDX-License-Identifier: GPL-2.0
// Planted faults against what the CPU is given, and the L2 without one.
#include <linux/io.h>
#include <linux/preempt.h>
#include <linux/string.h>
#include <asm/processor.h>

#include "kernel/kernel.h"
#include "l2.h"
#include "scenarios.h"

#define BUDGET 1000

/* Releases what stands in *owner and forgets it: l2_close() must not release it again. */
static void lose(void *owner, size_t size)
{
	void **pointer = owner;

	STEP("release");
	l2_give(*pointer, size);
	*pointer = NULL;
}

static int vmmcall(void)
{
	struct l2 l2;
	int error = l2_open(&l2);

	if (error)
		return error;
	error = l2_enter(&l2.vcpu, BUDGET);
	if (!error && vmcb_read(l2.vmcb, VMCB_EXIT_CODE) != EXIT_VMMCALL)
		error = -EPROTO;
	l2_close(&l2);
	return error;
}

static int vmcb_entered(void)
{
	struct l2 l2;
	int error = l2_open(&l2);

	if (error)
		return error;
	lose(&l2.vmcb, VMCB_BYTES);
	error = l2_enter(&l2.vcpu, 1);
	l2_close(&l2);
	return error;
}

#define LOST_WHILE_BOUND(NAME, FIELD, SIZE)                      \
	static int NAME##_lost_while_bound(void)                 \
	{                                                        \
		struct l2 l2;                                    \
		int error = l2_open(&l2);                        \
                                                                 \
		if (error)                                       \
			return error;                            \
		error = freeonce_vcpu_bind(&l2.vcpu);            \
		lose(&l2.FIELD, SIZE);                           \
		l2_close(&l2);                                   \
		return error;                                    \
	}

LOST_WHILE_BOUND(vmcb, vmcb, VMCB_BYTES)
LOST_WHILE_BOUND(host_vmcb, host_vmcb, VMCB_BYTES)
LOST_WHILE_BOUND(iopm, iopm, IOPM_BYTES)
LOST_WHILE_BOUND(msrpm, msrpm, MSRPM_BYTES)
LOST_WHILE_BOUND(table, tables[1], PAGE_SIZE)
LOST_WHILE_BOUND(page, page, PAGE_SIZE)

/* Binds an L2 after a change to its VMCB or vcpu. */
#define BOUND_AFTER(NAME, CHANGE)                                \
	static int NAME(void)                                    \
	{                                                        \
		struct l2 l2;                                    \
		int error = l2_open(&l2);                        \
                                                                 \
		if (error)                                       \
			return error;                            \
		CHANGE;                                          \
		STEP("bind");                                    \
		error = freeonce_vcpu_bind(&l2.vcpu);            \
		l2_close(&l2);                                   \
		return error;                                    \
	}

/* 8 KiB where the CPU takes 12, and the other way round it would be no fault. */
BOUND_AFTER(iopm_short, vmcb_write(l2.vmcb, VMCB_IOPM_BASE, freeonce_gpa(l2.msrpm)))
BOUND_AFTER(iopm_above,
	    vmcb_write(l2.vmcb, VMCB_IOPM_BASE, 1ULL << boot_cpu_data.x86_phys_bits))

/* Long mode without nested paging, by the lowest four of the tables (5.3.4). Not to be entered. */
static void page_by_own_tables(struct l2 *l2)
{
	u64 *root = l2->tables[freeonce_paging_levels() - 4];

	vmcb_write(l2->vmcb, VMCB_NESTED_CONTROL, 0);
	vmcb_write(l2->vmcb, VMCB_CR0, X86_CR0_PG | X86_CR0_PE | X86_CR0_ET);
	vmcb_write(l2->vmcb, VMCB_CR3, freeonce_gpa(root));
	vmcb_write(l2->vmcb, VMCB_CR4, X86_CR4_PAE);
	vmcb_write(l2->vmcb, VMCB_EFER, EFER_SVME | EFER_LME | EFER_LMA);
}

#define LOST_WITHOUT_NESTED_PAGING(NAME, FIELD)                  \
	static int NAME##_lost_without_nested_paging(void)       \
	{                                                        \
		struct l2 l2;                                    \
		int error = l2_open(&l2);                        \
                                                                 \
		if (error)                                       \
			return error;                            \
		page_by_own_tables(&l2);                         \
		error = freeonce_vcpu_bind(&l2.vcpu);            \
		lose(&l2.FIELD, PAGE_SIZE);                      \
		l2_close(&l2);                                   \
		return error;                                    \
	}

LOST_WITHOUT_NESTED_PAGING(table, tables[freeonce_paging_levels() - 1])
LOST_WITHOUT_NESTED_PAGING(page, page)

/* The entry of the L2's second page, of which no fault ever asks. */
static u64 *spare_entry(struct l2 *l2)
{
	return &l2->tables[freeonce_paging_levels() - 1][1];
}

/* Its whole body on one CPU: another one's TLB has nothing that is stale. */
#define ON_ONE_CPU(BODY)         \
	static int BODY##_here(void) \
	{                            \
		int error;               \
                                 \
		freeonce_pin();          \
		error = BODY();          \
		freeonce_unpin();        \
		return error;            \
	}

/* Mapped for one VMRUN, without a fault before it and without a flush after it. */
static int enter_with(struct l2 *l2, u64 gpa)
{
	int error = l2_enter(&l2->vcpu, BUDGET);

	*spare_entry(l2) = gpa | 7; /* present, writable, user */
	error = error ?: l2_enter(&l2->vcpu, BUDGET);
	*spare_entry(l2) = 0;
	return error;
}

static int page_stale(void)
{
	void *page = l2_pages(PAGE_SIZE);
	struct l2 l2;
	int error = page ? l2_open(&l2) : -ENOMEM;

	if (error) {
		l2_give(page, PAGE_SIZE);
		return error;
	}
	error = enter_with(&l2, freeonce_gpa(page));
	error = error ?: l2_enter(&l2.vcpu, BUDGET);
	lose(&page, PAGE_SIZE);
	error = error ?: l2_enter(&l2.vcpu, BUDGET);
	l2_close(&l2);
	return error;
}
ON_ONE_CPU(page_stale)

/* The CPU may have read the table for the L2, and keep what it leads to. */
static int table_stale(void)
{
	void *table = l2_pages(PAGE_SIZE);
	struct l2 l2;
	int error = table ? l2_open(&l2) : -ENOMEM;
	u64 *entry;

	if (error) {
		l2_give(table, PAGE_SIZE);
		return error;
	}
	entry = &l2.tables[freeonce_paging_levels() - 2][1];
	*entry = freeonce_gpa(table) | 7; /* present, writable, user */
	error = l2_enter(&l2.vcpu, BUDGET);
	*entry = 0;
	lose(&table, PAGE_SIZE);
	error = error ?: l2_enter(&l2.vcpu, BUDGET);
	l2_close(&l2);
	return error;
}
ON_ONE_CPU(table_stale)

/* Memory of an L2 need not be contiguous; with act=real the kernel suffers its release, once. */
static int page_in_pool(void)
{
	void *page = freeonce_pool_alloc(PAGE_SIZE, PAGE_SIZE, TAG);
	struct l2 l2;
	int error = page ? l2_open(&l2) : -ENOMEM;

	if (error)
		goto out;
	*spare_entry(&l2) = freeonce_gpa(page) | 7; /* present, writable, user */
	error = freeonce_vcpu_bind(&l2.vcpu);
	STEP("release");
	freeonce_pool_free(page, PAGE_SIZE, PAGE_SIZE);
	page = NULL;
	l2_close(&l2);
out:
	if (page)
		freeonce_pool_free(page, PAGE_SIZE, PAGE_SIZE);
	return error;
}

/* Bound with one VMCB, and entered with another: what counts is what the CPU gets. */
static int vmcb_exchanged(void)
{
	void *other = l2_pages(VMCB_BYTES);
	struct l2 l2;
	int error = other ? l2_open(&l2) : -ENOMEM;

	if (error) {
		l2_give(other, VMCB_BYTES);
		return error;
	}
	memcpy(other, l2.vmcb, VMCB_BYTES);
	vmcb_write(other, VMCB_IOPM_BASE, freeonce_gpa(l2.msrpm));
	error = freeonce_vcpu_bind(&l2.vcpu);
	l2.vcpu.vmcb_gpa = freeonce_gpa(other);
	STEP("exchanged");
	error = error ?: l2_enter(&l2.vcpu, BUDGET);
	l2_close(&l2);
	l2_give(other, VMCB_BYTES);
	return error;
}

/* What a driver is loaded with is there as long as the driver is. */
static int in_static_memory(void)
{
	static u8 vmcb[VMCB_BYTES] __aligned(PAGE_SIZE), host_vmcb[VMCB_BYTES] __aligned(PAGE_SIZE);
	struct l2 l2;
	int error = l2_open(&l2);

	if (error)
		return error;
	memcpy(vmcb, l2.vmcb, VMCB_BYTES);
	l2.vcpu.vmcb_gpa = freeonce_gpa(vmcb);
	l2.vcpu.host_vmcb_gpa = freeonce_gpa(host_vmcb);
	error = l2_enter(&l2.vcpu, BUDGET);
	if (!error && vmcb_read(vmcb, VMCB_EXIT_CODE) != EXIT_VMMCALL)
		error = -EPROTO;
	l2_close(&l2);
	return error;
}

static int page_of_nobody(void)
{
	struct l2 l2;
	int error = l2_open(&l2);

	if (error)
		return error;
	error = enter_with(&l2, 0);
	l2_close(&l2);
	return error;
}

/* VMSAVE to a page at an offset, released before or not. */
static int vmsave(size_t offset, bool released)
{
	void *room = l2_pages(2 * PAGE_SIZE), *area = l2_pages(HOST_SAVE_AREA_BYTES);
	void *vmcb = room + offset;
	int error = -ENOMEM;

	freeonce_pin();
	if (room && area)
		error = freeonce_svm_on(freeonce_gpa(area));
	if (!error) {
		if (released)
			lose(&room, 2 * PAGE_SIZE);
		STEP("VMSAVE");
		error = freeonce_vmsave(vmcb);
		freeonce_svm_off();
	}
	freeonce_unpin();
	l2_give(room, 2 * PAGE_SIZE);
	l2_give(area, HOST_SAVE_AREA_BYTES);
	return error;
}

static int vmsave_released(void)
{
	return vmsave(0, true);
}

static int vmsave_misaligned(void)
{
	/* The module keeps it from the CPU, which would raise #GP. */
	return vmsave(16, false) == -EFAULT ? 0 : -EPROTO;
}

static int host_save_area_lost(void)
{
	void *area = l2_pages(HOST_SAVE_AREA_BYTES);
	int error = -ENOMEM;

	freeonce_pin();
	if (area)
		error = freeonce_svm_on(freeonce_gpa(area));
	lose(&area, HOST_SAVE_AREA_BYTES);
	if (!error)
		freeonce_svm_off();
	freeonce_unpin();
	return error;
}

static int vmcb_misaligned(void)
{
	void *room = l2_pages(2 * PAGE_SIZE);
	struct l2 l2;
	int error = room ? l2_open(&l2) : -ENOMEM;

	if (error) {
		l2_give(room, 2 * PAGE_SIZE);
		return error;
	}
	l2.vcpu.vmcb_gpa = freeonce_gpa(memcpy(room + 16, l2.vmcb, VMCB_BYTES));
	error = l2_enter(&l2.vcpu, 1);
	l2_close(&l2);
	l2_give(room, 2 * PAGE_SIZE);
	/* The module keeps it from the CPU, which would raise #GP. */
	return error == -EFAULT ? 0 : -EPROTO;
}

static int vmcb_uncached(void)
{
	struct contiguous_request request = { .size = VMCB_BYTES, .align = PAGE_SIZE, ANYWHERE };
	void *uncached;
	struct l2 l2;
	int error;

	request.cache = CACHE_UC;
	uncached = freeonce_contiguous_alloc(&request);
	error = uncached ? l2_open(&l2) : -ENOMEM;
	if (error) {
		l2_give(uncached, VMCB_BYTES);
		return error;
	}
	l2.vcpu.vmcb_gpa = freeonce_gpa(memcpy(uncached, l2.vmcb, VMCB_BYTES));
	error = l2_enter(&l2.vcpu, 1);
	l2_close(&l2);
	l2_give(uncached, VMCB_BYTES);
	return error;
}

static int vmcb_shared(void)
{
	struct l2 one, other;
	int error = l2_open(&one);

	if (error)
		return error;
	error = l2_open(&other);
	if (error) {
		l2_close(&one);
		return error;
	}
	error = freeonce_vcpu_bind(&one.vcpu);
	other.vcpu.vmcb_gpa = one.vcpu.vmcb_gpa;
	STEP("second L2");
	error = error ?: freeonce_vcpu_bind(&other.vcpu);
	l2_close(&other);
	l2_close(&one);
	return error;
}

static int efer_left(void)
{
	u64 efer;

	freeonce_pin();
	rdmsrq(MSR_EFER, efer);
	wrmsrq(MSR_EFER, efer | EFER_SVME);
	freeonce_unpin();
	return 0;
}

static int leave_efer(void *unused)
{
	return efer_left();
}

static int efer_left_elsewhere(void)
{
	return freeonce_on_cpu(freeonce_cpu_count() - 1, leave_efer, NULL);
}

static int host_save_area_left(void)
{
	void *area = l2_pages(HOST_SAVE_AREA_BYTES);

	if (!area)
		return -ENOMEM;
	freeonce_pin();
	wrmsrq(MSR_VM_HSAVE_PA, freeonce_gpa(area));
	freeonce_unpin();
	l2_give(area, HOST_SAVE_AREA_BYTES);
	return 0;
}

/*
 * Interrupts are held from here on, until the module notices. EFER.SVME stays set:
 * what clearing it does to GIF the manual leaves open (15.4), and KVM sets GIF.
 */
static int gif_left(void)
{
	freeonce_pin();
	efer_left();
	asm volatile("clgi");
	freeonce_unpin();
	return 0;
}

static int register_forgotten(void)
{
	freeonce_inject_scramble();
	return vmmcall();
}

/* SVM on and off, and then no module any more. */
static int unload(void)
{
	unload_after(0);
	return vmmcall();
}

static int efer_left_at_unload(void)
{
	unload_after(LEFT_EFER);
	return vmmcall();
}

static int host_save_area_left_at_unload(void)
{
	unload_after(LEFT_HOST_SAVE_AREA);
	return vmmcall();
}

#define USED(NAME, RUN, LESSON)                                                      \
	FAULT("hardware-use-after-free/contiguous/c/" NAME,                 \
		       "hardware-use-after-free", "contiguous", RUN, LESSON, .needs = "svm")
#define MISPLACED(KIND, NAME, RUN, LESSON) \
	FAULT("misplaced/" KIND "/c/" NAME, "misplaced", KIND, RUN, LESSON, .needs = "svm")
#define LEFT(NAME, RUN, LESSON, ...) \
	FAULT("not-restored/none/c/" NAME, "not-restored", "none", RUN, LESSON, \
	      .needs = "svm", __VA_ARGS__)

static const struct scenario hardware_scenarios[] = {
	USED("vmcb-entered", vmcb_entered,
	     "VMRUN with the address of a released VMCB: #VMEXIT writes into it."),
	USED("vmcb", vmcb_lost_while_bound,
	     "A VMCB released while its L2 can still be entered."),
	USED("host-vmcb", host_vmcb_lost_while_bound,
	     "What VMSAVE of the host goes to, released before the last VMRUN."),
	USED("iopm", iopm_lost_while_bound,
	     "An I/O permissions map released while its L2 can still be entered."),
	USED("msrpm", msrpm_lost_while_bound,
	     "An MSR permissions map released while its L2 can still be entered."),
	USED("nested-table", table_lost_while_bound,
	     "A nested page table released while nCR3 leads to it."),
	USED("nested-page", page_lost_while_bound,
	     "Memory of an L2 released while its nested page table maps it."),
	USED("page-table", table_lost_without_nested_paging,
	     "A page table of an L2 without nested paging released while CR3 leads to it."),
	USED("page", page_lost_without_nested_paging,
	     "Memory of an L2 without nested paging released while its page table maps it."),
	USED("nested-page-stale", page_stale_here,
	     "A page that was mapped for one VMRUN, and released; the next VMRUN flushes nothing."),
	USED("nested-table-stale", table_stale_here,
	     "A nested page table taken out and released; the next VMRUN flushes nothing."),
	FAULT("hardware-use-after-free/none/c/nested-page-of-nobody", "hardware-use-after-free",
	      "none", page_of_nobody,
	      "Memory of no allocation, mapped for one VMRUN without a fault.", .needs = "svm"),
	FAULT("hardware-use-after-free/pool/c/nested-page", "hardware-use-after-free", "pool",
	      page_in_pool, "Pool memory of an L2 released while its nested page table maps it.",
	      .needs = "svm"),
	USED("vmcb-exchanged", vmcb_exchanged,
	     "An L2 bound with one VMCB and entered with another: a short map in the second."),
	USED("vmsave", vmsave_released, "VMSAVE to a released page."),
	USED("host-save-area", host_save_area_lost,
	     "A host save area released while VM_HSAVE_PA points at it."),
	USED("iopm-short", iopm_short, "An I/O permissions map is 12 KiB, not 8."),
	MISPLACED("contiguous", "vmcb-misaligned", vmcb_misaligned,
		  "A VMCB must be aligned to a page; the CPU is never given this one."),
	MISPLACED("contiguous", "vmsave-misaligned", vmsave_misaligned,
		  "VMSAVE to what is not aligned to a page; the CPU is never given it."),
	MISPLACED("contiguous", "vmcb-uncached", vmcb_uncached,
		  "A VMCB must be in write-back memory."),
	MISPLACED("contiguous", "vmcb-shared", vmcb_shared,
		  "Two L2s that can both be entered have one VMCB."),
	MISPLACED("none", "iopm-above", iopm_above,
		  "A map above what the CPU has address bits for."),
	LEFT("efer", efer_left, "EFER.SVME left on."),
	LEFT("efer-elsewhere", efer_left_elsewhere,
	     "EFER.SVME left on, on another CPU than the scenario's.", CPUS(2)),
	LEFT("vm-hsave-pa", host_save_area_left, "VM_HSAVE_PA left behind."),
	LEFT("efer-at-unload", efer_left_at_unload, "EFER.SVME left on when the module went."),
	LEFT("vm-hsave-pa-at-unload", host_save_area_left_at_unload,
	     "VM_HSAVE_PA left behind when the module went."),
	LEFT("gif", gif_left, "GIF left 0: interrupts are held."),
	LEFT("host-register", register_forgotten,
	     "A world switch that forgets a register of the host is caught."),
};
SCENARIOS(hardware_scenarios);

static const struct scenario l2_scenarios[] = {
	SCENARIO("c/l2", "The two allocators, from C",
		 "An L2 made by hand: the CPU has no claim on it after the unbinding.",
		 vmmcall, .needs = "svm", SHARES),
	SCENARIO("c/l2_static", "The two allocators, from C",
		 "Static memory may be given to the CPU: it is there as long as its module.",
		 in_static_memory, .needs = "svm", SHARES),
	SCENARIO("module/unload", "The module",
		 "A module that used SVM leaves every CPU as it found it.",
		 unload, .needs = "svm"),
};
SCENARIOS(l2_scenarios);

// SPDX-License-Identifier: GPL-2.0
// The host's registers: the same after a VMRUN as before, and if not, told.
#include <linux/atomic.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/segment.h>
#include <asm/special_insns.h>

#include "cpu/cpu.h"
#include "cpu/host_state.h"
#include "kernel/kernel.h"
#include "ledger/ledger.h"

#define XSTATE_COMPONENTS ~0ULL /* of those that XCR0 enables */
#define LEGACY_BYTES 512
#define XSAVE_HEADER_BYTES 64
#define MXCSR_AFTER_RESET 0x1f80
#define MXCSR_OFFSET 24
#define CONTROL_WORD_AFTER_RESET 0x37f

static void **images; /* by CPU: the host's own while an L2 runs */
static void **checked; /* by CPU: read back after */
static atomic_t scramble; /* planted */

static bool has_xsave(void)
{
	return boot_cpu_has(X86_FEATURE_OSXSAVE);
}

/* Room for all that XCR0 can enable, in the standard format; XSAVE wants 64-byte alignment. */
size_t host_fpu_bytes(void)
{
	return roundup_pow_of_two(has_xsave() ? cpuid_ecx(0xd) : 2 * LEGACY_BYTES);
}

static void **open_images(void)
{
	void **image = kvcalloc(nr_cpu_ids, sizeof(*image), GFP_KERNEL);
	int cpu;

	for (cpu = 0; image && cpu < nr_cpu_ids; cpu++)
		image[cpu] = kvzalloc(host_fpu_bytes(), GFP_KERNEL);
	return image;
}

static void close_images(void **image)
{
	int cpu;

	for (cpu = 0; image && cpu < nr_cpu_ids; cpu++)
		kvfree(image[cpu]);
	kvfree(image);
}

static bool all_there(void **image)
{
	int cpu;

	for (cpu = 0; image && cpu < nr_cpu_ids; cpu++)
		if (!image[cpu])
			return false;
	return image;
}

int host_state_open(void)
{
	images = open_images();
	checked = open_images();
	if (all_there(images) && all_there(checked))
		return 0;
	host_state_close();
	return -ENOMEM;
}

void host_state_close(void)
{
	close_images(images);
	close_images(checked);
}

static void save(void *image)
{
	if (has_xsave())
		asm volatile("xsave64 (%0)" : : "r"(image), "a"((u32)XSTATE_COMPONENTS),
			     "d"((u32)(XSTATE_COMPONENTS >> 32)) : "memory");
	else
		asm volatile("fxsave64 (%0)" : : "r"(image) : "memory");
}

static void load(const void *image)
{
	if (has_xsave())
		asm volatile("xrstor64 (%0)" : : "r"(image), "a"((u32)XSTATE_COMPONENTS),
			     "d"((u32)(XSTATE_COMPONENTS >> 32)) : "memory");
	else
		asm volatile("fxrstor64 (%0)" : : "r"(image) : "memory");
}

/* An image as after reset: zeros, but for these two words (11.5.2). */
void host_fpu_reset(void *image)
{
	memset(image, 0, host_fpu_bytes());
	*(u16 *)image = CONTROL_WORD_AFTER_RESET;
	*(u32 *)(image + MXCSR_OFFSET) = MXCSR_AFTER_RESET;
}

/*
 * The L2's FPU, SSE and AVX registers in, the host's kept, until host_fpu_leave() on
 * this CPU. Between kernel_fpu_begin() and kernel_fpu_end().
 */
void host_fpu_enter(void *image)
{
	save(images[raw_smp_processor_id()]);
	load(image);
}

/*
 * A world switch that forgets registers of the host: CR2, since nothing rests on it,
 * and XMM0, which stands for nothing within kernel_fpu_begin(). Once.
 */
static void forget_registers(void)
{
	if (!atomic_xchg(&scramble, 0))
		return;
	native_write_cr2(~native_read_cr2());
	/* Each byte of XMM0 one more than it was. */
	asm volatile("pcmpeqd %%xmm1, %%xmm1\n\tpsubb %%xmm1, %%xmm0" : : : "memory");
}

void freeonce_inject_scramble(void)
{
	atomic_set(&scramble, 1);
}
EXPORT_SYMBOL_GPL(freeonce_inject_scramble);

/* At the start of each run and at its end. */
void host_state_reset(void)
{
	atomic_set(&scramble, 0);
}

void host_fpu_leave(void *image)
{
	int cpu = raw_smp_processor_id();

	save(image);
	load(images[cpu]);
	forget_registers();
	save(checked[cpu]);
}

/* Where the two images differ, counted from 1. The header tells what is in use, not a register. */
static u64 fpu_difference(void)
{
	int cpu = raw_smp_processor_id();
	const u8 *before = images[cpu], *after = checked[cpu];
	size_t at, behind = LEGACY_BYTES + XSAVE_HEADER_BYTES;

	if (!memcmp(before, after, LEGACY_BYTES) &&
	    !memcmp(before + behind, after + behind, host_fpu_bytes() - behind))
		return 0;
	for (at = 0; at < host_fpu_bytes(); at++) {
		if (at == LEGACY_BYTES)
			at += XSAVE_HEADER_BYTES;
		if (before[at] != after[at])
			return at + 1;
	}
	return 0;
}

static u64 table_register(const struct desc_ptr *table)
{
	return table->address ^ (u64)table->size << 48;
}

static void take_tables(u64 *value)
{
	struct desc_ptr gdt, idt;
	u16 ldtr, tr;

	native_store_gdt(&gdt);
	store_idt(&idt);
	asm volatile("sldt %0" : "=rm"(ldtr));
	asm volatile("str %0" : "=rm"(tr));
	value[HOST_GDTR] = table_register(&gdt);
	value[HOST_IDTR] = table_register(&idt);
	value[HOST_LDTR] = ldtr;
	value[HOST_TR] = tr;
}

static u64 selectors(void)
{
	u16 ds, es, fs, gs;

	savesegment(ds, ds);
	savesegment(es, es);
	savesegment(fs, fs);
	savesegment(gs, gs);
	return ds | (u64)es << 16 | (u64)fs << 32 | (u64)gs << 48;
}

static void take_debug(u64 *value)
{
	asm volatile("mov %%db0, %0" : "=r"(value[HOST_DR0]));
	asm volatile("mov %%db1, %0" : "=r"(value[HOST_DR1]));
	asm volatile("mov %%db2, %0" : "=r"(value[HOST_DR2]));
	asm volatile("mov %%db3, %0" : "=r"(value[HOST_DR3]));
	asm volatile("mov %%db6, %0" : "=r"(value[HOST_DR6]));
	asm volatile("mov %%db7, %0" : "=r"(value[HOST_DR7]));
}

static void take_msrs(u64 *value)
{
	static const struct { u32 msr; u8 at; } msrs[] = {
		{ MSR_EFER, HOST_EFER }, { MSR_FS_BASE, HOST_FS_BASE },
		{ MSR_GS_BASE, HOST_GS_BASE }, { MSR_KERNEL_GS_BASE, HOST_KERNEL_GS_BASE },
		{ MSR_STAR, HOST_STAR }, { MSR_LSTAR, HOST_LSTAR }, { MSR_CSTAR, HOST_CSTAR },
		{ MSR_SYSCALL_MASK, HOST_SFMASK }, { MSR_IA32_SYSENTER_CS, HOST_SYSENTER_CS },
		{ MSR_IA32_SYSENTER_ESP, HOST_SYSENTER_ESP },
		{ MSR_IA32_SYSENTER_EIP, HOST_SYSENTER_EIP }, { MSR_IA32_CR_PAT, HOST_PAT },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(msrs); i++)
		rdmsrq(msrs[i].msr, value[msrs[i].at]);
}

static void take_control(u64 *value)
{
	value[HOST_CR0] = native_read_cr0();
	value[HOST_CR2] = native_read_cr2();
	value[HOST_CR3] = __native_read_cr3();
	value[HOST_CR4] = native_read_cr4();
	asm volatile("mov %%cr8, %0" : "=r"(value[HOST_CR8]));
}

/* With interrupts off, so that nothing else changes them. The FPU is compared by the way. */
void host_state_take(struct host_state *state)
{
	take_control(state->value);
	take_debug(state->value);
	take_msrs(state->value);
	take_tables(state->value);
	state->value[HOST_SELECTORS] = selectors();
	state->value[HOST_XCR0] = has_xsave() ? xgetbv(XCR_XFEATURE_ENABLED_MASK) : 0;
	state->value[HOST_FPU] = 0;
}

static void append_difference(enum ledger_host_register which, u64 before, u64 after)
{
	struct ledger_record record = {
		.type = LEDGER_HOST_REGISTER,
		.detail = which,
		.pointer = before,
		.physical = after,
	};

	ledger_append(&record);
}

/* After host_fpu_leave(). */
void host_state_compare(const struct host_state *before)
{
	struct host_state after;
	int i;

	host_state_take(&after);
	after.value[HOST_FPU] = fpu_difference();
	for (i = 0; i < HOST_REGISTERS; i++)
		if (before->value[i] != after.value[i])
			append_difference(i, before->value[i], after.value[i]);
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small hypervisor: one L2 in real mode with nested paging, of one page. It knows the AMD manual
 * (volume 2, chapter 15) and nothing of freeonce.
 */
#ifndef SVM_H
#define SVM_H

#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>

#define LEVELS 4
#define L2_PAGE 0x1000 /* the L2's address of its only page */
#define L2_FLAG 0x800  /* in there: the L2 sets it when it runs; it halts when the next byte is set */
#define EXIT_HLT 0x78

struct l2 {
	unsigned long vmcb;
	unsigned long host; /* what VMLOAD brings back */
	unsigned long iopm;
	unsigned long msrpm;
	unsigned long table[LEVELS]; /* the root first */
	unsigned long page;
};

static unsigned long save_areas[NR_CPUS];

/* Not by the kernel's functions: others do without them too. */
static inline void svm_wrmsr(u32 msr, u64 value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline u64 svm_rdmsr(u32 msr)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return low | (u64)high << 32;
}

static inline void svm_cpu_on(void *unused)
{
	svm_wrmsr(MSR_EFER, svm_rdmsr(MSR_EFER) | EFER_SVME);
	svm_wrmsr(MSR_VM_HSAVE_PA, virt_to_phys((void *)save_areas[smp_processor_id()]));
}

static inline void svm_cpu_off(void *unused)
{
	svm_wrmsr(MSR_VM_HSAVE_PA, 0);
	svm_wrmsr(MSR_EFER, svm_rdmsr(MSR_EFER) & ~EFER_SVME);
}

static inline void svm_free(unsigned long pages, unsigned int order)
{
	if (pages)
		free_pages(pages, order);
}

static inline void svm_free_save_areas(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		svm_free(save_areas[cpu], 0);
}

static inline int svm_on(void)
{
	int cpu;

	if (!boot_cpu_has(X86_FEATURE_SVM))
		return -EOPNOTSUPP;
	for_each_possible_cpu(cpu) {
		save_areas[cpu] = get_zeroed_page(GFP_KERNEL);
		if (!save_areas[cpu]) {
			svm_free_save_areas();
			return -ENOMEM;
		}
	}
	on_each_cpu(svm_cpu_on, NULL, 1);
	return 0;
}

static inline void svm_off(void)
{
	on_each_cpu(svm_cpu_off, NULL, 1);
	svm_free_save_areas();
}

static inline void *l2_field(const struct l2 *l2, unsigned int offset)
{
	return (void *)(l2->vmcb + offset);
}

static inline void l2_segment(const struct l2 *l2, unsigned int offset, u16 attributes)
{
	*(u16 *)l2_field(l2, offset + 2) = attributes;
	*(u32 *)l2_field(l2, offset + 4) = 0xffff;
}

/* Also of one that is half made. */
static inline void l2_free(struct l2 *l2)
{
	int level;

	svm_free(l2->vmcb, 0);
	svm_free(l2->host, 0);
	svm_free(l2->iopm, 2);
	svm_free(l2->msrpm, 1);
	for (level = 0; level < LEVELS; level++)
		svm_free(l2->table[level], 0);
	svm_free(l2->page, 0);
	memset(l2, 0, sizeof(*l2));
}

static inline void l2_map(struct l2 *l2, int level, unsigned long below)
{
	u64 *table = (u64 *)l2->table[level];

	WRITE_ONCE(table[level == LEVELS - 1 ? L2_PAGE >> PAGE_SHIFT : 0],
		   virt_to_phys((void *)below) | 7);
}

/* To its begin: ready: movb $1, (FLAG); 1: cmpb $0, (FLAG + 1); je 1b; hlt. */
static inline void l2_reset(struct l2 *l2)
{
	static const u8 program[] = {
		0xc6, 0x06, 0x00, 0x18, 0x01, 0x80, 0x3e, 0x01, 0x18, 0x00, 0x74, 0xf9, 0xf4,
	};

	memcpy((void *)l2->page, program, sizeof(program));
	*(u64 *)l2_field(l2, 0x578) = L2_PAGE; /* RIP */
}

static inline volatile u8 *l2_flag(const struct l2 *l2)
{
	return (volatile u8 *)(l2->page + L2_FLAG);
}

static inline int l2_make(struct l2 *l2, u32 asid)
{
	static const unsigned int segments[] = { 0x400, 0x420, 0x430, 0x440, 0x450 };
	int i;

	l2->vmcb = get_zeroed_page(GFP_KERNEL);
	l2->host = get_zeroed_page(GFP_KERNEL);
	l2->iopm = __get_free_pages(GFP_KERNEL | __GFP_ZERO, 2);
	l2->msrpm = __get_free_pages(GFP_KERNEL | __GFP_ZERO, 1);
	l2->page = get_zeroed_page(GFP_KERNEL);
	for (i = 0; i < LEVELS; i++)
		l2->table[i] = get_zeroed_page(GFP_KERNEL);
	if (!l2->vmcb || !l2->host || !l2->iopm || !l2->msrpm || !l2->page || !l2->table[0] ||
	    !l2->table[1] || !l2->table[2] || !l2->table[3]) {
		l2_free(l2);
		return -ENOMEM;
	}
	for (i = 0; i < LEVELS; i++)
		l2_map(l2, i, i < LEVELS - 1 ? l2->table[i + 1] : l2->page);
	for (i = 0; i < ARRAY_SIZE(segments); i++)
		l2_segment(l2, segments[i], 0x93);
	l2_segment(l2, 0x410, 0x9b);
	l2_segment(l2, 0x470, 0x82);
	l2_segment(l2, 0x490, 0x8b);
	*(u32 *)l2_field(l2, 0x464) = *(u32 *)l2_field(l2, 0x484) = 0xffff;
	*(u32 *)l2_field(l2, 0x0c) = 1 << 24 | 1u << 31; /* HLT, SHUTDOWN */
	*(u32 *)l2_field(l2, 0x10) = 1;                  /* VMRUN, which must be */
	*(u64 *)l2_field(l2, 0x40) = virt_to_phys((void *)l2->iopm);
	*(u64 *)l2_field(l2, 0x48) = virt_to_phys((void *)l2->msrpm);
	*(u32 *)l2_field(l2, 0x58) = asid;
	*(u8 *)l2_field(l2, 0x5c) = 1; /* TLB_CONTROL: whatever was before, flush */
	*(u64 *)l2_field(l2, 0x90) = 1;
	*(u64 *)l2_field(l2, 0xb0) = virt_to_phys((void *)l2->table[0]);
	*(u64 *)l2_field(l2, 0x4d0) = EFER_SVME;
	*(u64 *)l2_field(l2, 0x558) = 0x10;
	*(u64 *)l2_field(l2, 0x560) = 0x400;
	*(u64 *)l2_field(l2, 0x568) = 0xffff0ff0;
	*(u64 *)l2_field(l2, 0x570) = 2;
	*(u64 *)l2_field(l2, 0x668) = 0x0007040600070406ULL;
	l2_reset(l2);
	return 0;
}

/* The L2 may keep what it has in the TLB from the next VMRUN on. */
static inline void l2_keep_tlb(struct l2 *l2)
{
	*(u8 *)l2_field(l2, 0x5c) = 0;
}

/* One VMRUN on this CPU. An interrupt waits until the L2 halts: it has IF 0, and none is intercepted. */
static noinline __maybe_unused void l2_enter(struct l2 *l2)
{
	unsigned long flags;

	local_irq_save(flags);
	asm volatile("clgi\n\t"
		     "push %%rbp\n\t"
		     "push %%rdx\n\t"
		     "xchg %%rax, %%rdx\n\t"
		     "vmsave %%rax\n\t"
		     "xchg %%rax, %%rdx\n\t"
		     "vmload %%rax\n\t"
		     "vmrun %%rax\n\t"
		     "vmsave %%rax\n\t"
		     "pop %%rax\n\t"
		     "vmload %%rax\n\t"
		     "pop %%rbp\n\t"
		     "stgi\n\t"
		     "nop\n\tnop\n\tnop"
		     : : "a"(virt_to_phys((void *)l2->vmcb)), "d"(virt_to_phys((void *)l2->host))
		     : "rbx", "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
		       "r15", "memory", "cc");
	local_irq_restore(flags);
}

/* From its begin to its end. -EIO: it did not halt. */
static inline int l2_run(struct l2 *l2)
{
	l2_reset(l2);
	l2_flag(l2)[1] = 1;
	l2_enter(l2);
	return *(u32 *)l2_field(l2, 0x70) == EXIT_HLT ? 0 : -EIO;
}

#endif

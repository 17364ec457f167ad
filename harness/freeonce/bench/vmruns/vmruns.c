// SPDX-License-Identifier: GPL-2.0
// 20,000 VMRUNs of a VMCB that does not change, as KVM enters an L2, and how long they took. The L2 halts at
// once. It knows the AMD manual (volume 2, chapter 15) and nothing of freeonce.
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>

#define VMRUNS 20000
#define AT_A_TIME 1000
#define LEVELS 4
#define L2_PAGE 0x1000
#define EXIT_HLT 0x78

/* Each a block of pages, at its order below. The tables, the root first; what VMLOAD brings back. */
enum part { VMCB, HOST, IOPM, MSRPM, PAGE, SAVE_AREA, TABLE, PARTS = TABLE + LEVELS };

static const unsigned int orders[PARTS] = { [IOPM] = 2, [MSRPM] = 1 };
static unsigned long parts[PARTS];

static unsigned long nanoseconds;
module_param(nanoseconds, ulong, 0444);
MODULE_PARM_DESC(nanoseconds, "what all of them took");

static u64 gpa(enum part part)
{
	return virt_to_phys((void *)parts[part]);
}

static void *field(unsigned int offset)
{
	return (void *)(parts[VMCB] + offset);
}

static void segment(unsigned int offset, u16 attributes)
{
	*(u16 *)field(offset + 2) = attributes;
	*(u32 *)field(offset + 4) = 0xffff;
}

static void fill(void)
{
	static const unsigned int data[] = { 0x400, 0x420, 0x430, 0x440, 0x450 };
	int i;

	for (i = 0; i < LEVELS; i++)
		((u64 *)parts[TABLE + i])[i == LEVELS - 1 ? L2_PAGE >> PAGE_SHIFT : 0] =
			gpa(i == LEVELS - 1 ? PAGE : TABLE + i + 1) | 7;
	*(u8 *)parts[PAGE] = 0xf4; /* HLT */
	for (i = 0; i < ARRAY_SIZE(data); i++)
		segment(data[i], 0x93);
	segment(0x410, 0x9b);
	segment(0x470, 0x82);
	segment(0x490, 0x8b);
	*(u32 *)field(0x464) = *(u32 *)field(0x484) = 0xffff;
	*(u32 *)field(0x0c) = 1 << 24 | 1u << 31; /* HLT, SHUTDOWN */
	*(u32 *)field(0x10) = 1;                  /* VMRUN, which must be */
	*(u64 *)field(0x40) = gpa(IOPM);
	*(u64 *)field(0x48) = gpa(MSRPM);
	*(u32 *)field(0x58) = 1;
	*(u64 *)field(0x90) = 1;
	*(u64 *)field(0xb0) = gpa(TABLE);
	*(u64 *)field(0x4d0) = EFER_SVME;
	*(u64 *)field(0x558) = 0x10;
	*(u64 *)field(0x560) = 0x400;
	*(u64 *)field(0x568) = 0xffff0ff0;
	*(u64 *)field(0x570) = 2;
	*(u64 *)field(0x578) = L2_PAGE;
	*(u64 *)field(0x668) = 0x0007040600070406ULL;
}

/* An interrupt waits until GIF is 1 again: none is intercepted, and the L2 has IF 0. */
static noinline void enter(void)
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
		     : : "a"(gpa(VMCB)), "d"(gpa(HOST))
		     : "rbx", "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
		       "r15", "memory", "cc");
	local_irq_restore(flags);
}

static void write(u32 msr, u64 value)
{
	wrmsr(msr, (u32)value, value >> 32);
}

static void work(int count)
{
	u64 efer;

	get_cpu();
	efer = __rdmsr(MSR_EFER);
	write(MSR_EFER, efer | EFER_SVME);
	write(MSR_VM_HSAVE_PA, gpa(SAVE_AREA));
	while (count--)
		enter();
	write(MSR_VM_HSAVE_PA, 0);
	write(MSR_EFER, efer);
	put_cpu();
}

static void free_parts(void)
{
	enum part part;

	for (part = 0; part < PARTS; part++)
		if (parts[part])
			free_pages(parts[part], orders[part]);
}

static int __init vmruns_init(void)
{
	enum part part;
	ktime_t start;
	int done;

	if (!boot_cpu_has(X86_FEATURE_SVM))
		return -EOPNOTSUPP;
	for (part = 0; part < PARTS; part++) {
		parts[part] = __get_free_pages(GFP_KERNEL | __GFP_ZERO, orders[part]);
		if (!parts[part]) {
			free_parts();
			return -ENOMEM;
		}
	}
	fill();
	work(AT_A_TIME); /* warm */
	start = ktime_get();
	for (done = 0; done < VMRUNS; done += AT_A_TIME) {
		work(AT_A_TIME);
		cond_resched();
	}
	nanoseconds = ktime_to_ns(ktime_sub(ktime_get(), start));
	if (*(u32 *)field(0x70) == EXIT_HLT)
		return 0;
	free_parts();
	return -EIO;
}

static void __exit vmruns_exit(void)
{
	free_parts();
}

module_init(vmruns_init);
module_exit(vmruns_exit);
MODULE_DESCRIPTION("What VMRUNs cost");
MODULE_LICENSE("GPL");

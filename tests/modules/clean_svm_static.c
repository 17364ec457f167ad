// SPDX-License-Identifier: GPL-2.0
// What the CPU is given is the module's own memory, which lives as long as the module.
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "svm.h"

static u8 save_area[PAGE_SIZE] __aligned(PAGE_SIZE);
static u8 state[PAGE_SIZE] __aligned(PAGE_SIZE);

static u64 physical(const void *of)
{
	return page_to_phys(vmalloc_to_page(of));
}

static void on(void *unused)
{
	svm_wrmsr(MSR_EFER, svm_rdmsr(MSR_EFER) | EFER_SVME);
	svm_wrmsr(MSR_VM_HSAVE_PA, physical(save_area));
	asm volatile("vmsave %%rax\n\tnop\n\tnop" : : "a"(physical(state)) : "memory");
}

static int __init clean_svm_static_init(void)
{
	if (!boot_cpu_has(X86_FEATURE_SVM))
		return -EOPNOTSUPP;
	return smp_call_function_single(0, on, NULL, 1);
}

static void __exit clean_svm_static_exit(void)
{
	smp_call_function_single(0, svm_cpu_off, NULL, 1);
}

module_init(clean_svm_static_init);
module_exit(clean_svm_static_exit);
MODULE_DESCRIPTION("A save area in .bss");
MODULE_LICENSE("GPL");

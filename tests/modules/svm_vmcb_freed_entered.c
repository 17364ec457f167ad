// SPDX-License-Identifier: GPL-2.0
// A VMCB is released while another CPU is in guest mode with it.
#include "svm.h"

static struct l2 l2;

static void enter(void *unused)
{
	l2_enter(&l2);
}

static void release(void)
{
	free_page(l2.vmcb);
	l2.vmcb = 0;
}

static int __init svm_vmcb_freed_entered_init(void)
{
	int error = svm_on(), here, there;

	if (error)
		return error;
	error = l2_make(&l2, 1);
	if (error) {
		svm_off();
		return error;
	}
	here = get_cpu();
	there = cpumask_any_but(cpu_online_mask, here);
	smp_call_function_single(there, enter, NULL, 0);
	while (!l2_flag(&l2)[0])
		cpu_relax();
	release();
	l2_flag(&l2)[1] = 1;
	put_cpu();
	return 0;
}

static void __exit svm_vmcb_freed_entered_exit(void)
{
	svm_off();
	l2_free(&l2);
}

module_init(svm_vmcb_freed_entered_init);
module_exit(svm_vmcb_freed_entered_exit);
MODULE_DESCRIPTION("A VMCB that a CPU is at");
MODULE_LICENSE("GPL");

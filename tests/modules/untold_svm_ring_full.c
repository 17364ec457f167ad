// SPDX-License-Identifier: GPL-2.0
// More is given to the CPU than the instrument can note, with every CPU stopped: nobody may read it before.
#include <linux/stop_machine.h>

#include "svm.h"

#define SAVES 9000 /* the ring has 8192 places */

static unsigned long area;

static int save_often(void *unused)
{
	unsigned int i;

	for (i = 0; i < SAVES; i++)
		asm volatile("vmsave %%rax\n\t"
			     "nop\n\tnop" : : "a"(virt_to_phys((void *)area)) : "memory");
	return 0;
}

static int __init untold_svm_ring_full_init(void)
{
	int error = svm_on();

	if (error)
		return error;
	area = get_zeroed_page(GFP_KERNEL);
	if (!area) {
		svm_off();
		return -ENOMEM;
	}
	stop_machine(save_often, NULL, NULL);
	free_page(area);
	return 0;
}

static void __exit untold_svm_ring_full_exit(void)
{
	svm_off();
}

module_init(untold_svm_ring_full_init);
module_exit(untold_svm_ring_full_exit);
MODULE_DESCRIPTION("A hypervisor that is quicker than who listens");
MODULE_LICENSE("GPL");

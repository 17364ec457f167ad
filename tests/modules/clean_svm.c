// SPDX-License-Identifier: GPL-2.0
// A hypervisor that gives the CPU nothing that it takes back too early: on every CPU, again and again.
#include <linux/mm.h>

#include "svm.h"

#define ROUNDS 20

/*
 * A table is exchanged, and released once the TLB has forgotten it. `gone`: the kernel frees it.
 */
static int exchange(struct l2 *l2, bool gone)
{
	unsigned long old = l2->table[LEVELS - 1], table = get_zeroed_page(GFP_KERNEL);
	int error;

	if (!table)
		return -ENOMEM;
	l2->table[LEVELS - 1] = table;
	l2_map(l2, LEVELS - 1, l2->page);
	l2_map(l2, LEVELS - 2, table);
	*(u8 *)l2_field(l2, 0x5c) = 1;
	error = l2_run(l2);
	if (gone)
		put_page(virt_to_page((void *)old));
	else
		free_page(old);
	return error;
}

static int __init clean_svm_init(void)
{
	struct l2 l2 = { 0 };
	int error = svm_on(), round;

	if (error)
		return error;
	for (round = 0; !error && round < ROUNDS; round++) {
		error = l2_make(&l2, 1 + round);
		if (error)
			break;
		get_cpu();
		error = l2_run(&l2);
		l2_keep_tlb(&l2);
		error = error ?: l2_run(&l2);
		put_cpu();
		error = error ?: exchange(&l2, round & 1);
		l2_free(&l2);
	}
	if (error)
		svm_off();
	return error;
}

static void __exit clean_svm_exit(void)
{
	svm_off();
}

module_init(clean_svm_init);
module_exit(clean_svm_exit);
MODULE_DESCRIPTION("A hypervisor");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
// A nested page table is unlinked and released by another CPU while the L2 runs that was entered
// with a flush.
#include "svm.h"

static struct l2 l2;
static unsigned long table;

static void exchange(void *unused)
{
	unsigned long old = l2.table[LEVELS - 1];

	while (!l2_flag(&l2)[0])
		cpu_relax();
	l2.table[LEVELS - 1] = table;
	l2_map(&l2, LEVELS - 1, l2.page);
	l2_map(&l2, LEVELS - 2, table);
	free_page(old);
	l2_flag(&l2)[1] = 1;
}

static int __init svm_table_unlinked_entered_init(void)
{
	int error = svm_on(), here;

	if (error)
		return error;
	table = get_zeroed_page(GFP_KERNEL);
	error = table ? l2_make(&l2, 1) : -ENOMEM;
	if (error) {
		svm_free(table, 0);
		svm_off();
		return error;
	}
	here = get_cpu();
	l2_run(&l2);
	l2_reset(&l2);
	l2_flag(&l2)[0] = l2_flag(&l2)[1] = 0;
	smp_call_function_single(cpumask_any_but(cpu_online_mask, here), exchange, NULL, 0);
	l2_enter(&l2);
	put_cpu();
	return 0;
}

static void __exit svm_table_unlinked_entered_exit(void)
{
	svm_off();
	l2_free(&l2);
}

module_init(svm_table_unlinked_entered_init);
module_exit(svm_table_unlinked_entered_exit);
MODULE_DESCRIPTION("A table that an L2 goes by");
MODULE_LICENSE("GPL");

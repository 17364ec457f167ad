// SPDX-License-Identifier: GPL-2.0
// A nested page table is exchanged and released, and no TLB is told.
#include "svm.h"

static struct l2 l2;

static int __init svm_table_without_flush_init(void)
{
	unsigned long old, table = get_zeroed_page(GFP_KERNEL);
	int error = table ? svm_on() : -ENOMEM;

	if (error)
		goto free_table;
	error = l2_make(&l2, 1);
	if (error)
		goto off;
	get_cpu();
	l2_run(&l2);
	l2_keep_tlb(&l2);
	old = l2.table[LEVELS - 1];
	l2.table[LEVELS - 1] = table;
	l2_map(&l2, LEVELS - 1, l2.page);
	l2_map(&l2, LEVELS - 2, table);
	free_page(old);
	l2_run(&l2);
	put_cpu();
	return 0;

off:
	svm_off();
free_table:
	free_page(table);
	return error;
}

static void __exit svm_table_without_flush_exit(void)
{
	l2_free(&l2);
	svm_off();
}

module_init(svm_table_without_flush_init);
module_exit(svm_table_without_flush_exit);
MODULE_DESCRIPTION("A flush that is missing");
MODULE_LICENSE("GPL");

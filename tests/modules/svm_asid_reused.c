// SPDX-License-Identifier: GPL-2.0
// The next L2 has the ASID of one that is gone, and nothing was flushed in between.
#include "svm.h"

static struct l2 first, second;

static int __init svm_asid_reused_init(void)
{
	int error = svm_on();

	if (error)
		return error;
	error = l2_make(&first, 5);
	if (error)
		goto off;
	error = l2_make(&second, 5);
	if (error)
		goto free;
	l2_keep_tlb(&second);
	get_cpu();
	l2_run(&first);
	free_page(first.table[LEVELS - 1]);
	first.table[LEVELS - 1] = 0;
	l2_run(&second);
	put_cpu();
	return 0;

free:
	l2_free(&first);
off:
	svm_off();
	return error;
}

static void __exit svm_asid_reused_exit(void)
{
	l2_free(&first);
	l2_free(&second);
	svm_off();
}

module_init(svm_asid_reused_init);
module_exit(svm_asid_reused_exit);
MODULE_DESCRIPTION("An ASID that is used again");
MODULE_LICENSE("GPL");

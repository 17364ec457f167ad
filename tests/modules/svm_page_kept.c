// SPDX-License-Identifier: GPL-2.0
// The L2's page is released, and its tables have it still when it is entered, with a flush.
#include "svm.h"

static struct l2 l2;

static int __init svm_page_kept_init(void)
{
	int error = svm_on();

	if (error)
		return error;
	error = l2_make(&l2, 1);
	if (error) {
		svm_off();
		return error;
	}
	l2_run(&l2);
	free_page(l2.page);
	l2.page = 0;
	l2_enter(&l2);
	return 0;
}

static void __exit svm_page_kept_exit(void)
{
	l2_free(&l2);
	svm_off();
}

module_init(svm_page_kept_init);
module_exit(svm_page_kept_exit);
MODULE_DESCRIPTION("A page that an L2 has still");
MODULE_LICENSE("GPL");

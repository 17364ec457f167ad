// SPDX-License-Identifier: GPL-2.0
// Likewise, of a page that is the page allocator's again: no quarantine has it.
#include <linux/mm.h>

#include "svm.h"

static struct l2 l2;

static int __init svm_page_free_init(void)
{
	int error = svm_on();

	if (error)
		return error;
	error = l2_make(&l2, 1);
	if (error) {
		svm_off();
		return error;
	}
	get_cpu();
	l2_run(&l2);
	put_page(virt_to_page((void *)l2.page));
	l2.page = 0;
	l2_enter(&l2);
	put_cpu();
	return 0;
}

static void __exit svm_page_free_exit(void)
{
	l2_free(&l2);
	svm_off();
}

module_init(svm_page_free_init);
module_exit(svm_page_free_exit);
MODULE_DESCRIPTION("A free page that an L2 has");
MODULE_LICENSE("GPL");

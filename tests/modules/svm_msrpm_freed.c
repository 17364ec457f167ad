// SPDX-License-Identifier: GPL-2.0
// The MSR permissions map is released before the last VMRUN.
#include "svm.h"

static struct l2 l2;

static int __init svm_msrpm_freed_init(void)
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
	free_pages(l2.msrpm, 1);
	l2.msrpm = 0;
	l2_run(&l2);
	return 0;
}

static void __exit svm_msrpm_freed_exit(void)
{
	l2_free(&l2);
	svm_off();
}

module_init(svm_msrpm_freed_init);
module_exit(svm_msrpm_freed_exit);
MODULE_DESCRIPTION("A permissions map that is gone");
MODULE_LICENSE("GPL");

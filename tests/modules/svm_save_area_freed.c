// SPDX-License-Identifier: GPL-2.0
// The host save areas are released while EFER.SVME is on.
#include "svm.h"

static int __init svm_save_area_freed_init(void)
{
	return svm_on();
}

static void __exit svm_save_area_freed_exit(void)
{
	int here = get_cpu();

	free_page(save_areas[here]);
	save_areas[here] = 0;
	put_cpu();
	svm_off();
}

module_init(svm_save_area_freed_init);
module_exit(svm_save_area_freed_exit);
MODULE_DESCRIPTION("A host save area that a CPU has still");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
// SVM is turned off on this CPU alone.
#include "svm.h"

static int __init svm_left_on_one_cpu_init(void)
{
	return svm_on();
}

static void __exit svm_left_on_one_cpu_exit(void)
{
	get_cpu();
	svm_cpu_off(NULL);
	put_cpu();
	svm_free_save_areas();
}

module_init(svm_left_on_one_cpu_init);
module_exit(svm_left_on_one_cpu_exit);
MODULE_DESCRIPTION("A teardown on one CPU");
MODULE_LICENSE("GPL");

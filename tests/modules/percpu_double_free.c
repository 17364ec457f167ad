// SPDX-License-Identifier: GPL-2.0
// The destructor runs, and unload does its work once more.
#include <linux/module.h>
#include <linux/percpu.h>

static u64 __percpu *counters;

static noinline void destroy(void)
{
	free_percpu(counters);
	pr_info("destroyed\n");
}

static int __init percpu_double_free_init(void)
{
	counters = alloc_percpu(u64);
	if (!counters)
		return -ENOMEM;
	destroy();
	return 0;
}

static void __exit percpu_double_free_exit(void)
{
	free_percpu(counters);
	counters = NULL;
}

module_init(percpu_double_free_init);
module_exit(percpu_double_free_exit);
MODULE_DESCRIPTION("Counters released twice");
MODULE_LICENSE("GPL");

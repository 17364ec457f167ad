// SPDX-License-Identifier: GPL-2.0
// One counter a CPU, never released.
#include <linux/module.h>
#include <linux/percpu.h>

static u64 __percpu *counters;

static int __init percpu_leak_init(void)
{
	counters = alloc_percpu(u64);
	if (!counters)
		return -ENOMEM;
	this_cpu_inc(*counters);
	return 0;
}

static void __exit percpu_leak_exit(void)
{
	this_cpu_inc(*counters);
}

module_init(percpu_leak_init);
module_exit(percpu_leak_exit);
MODULE_DESCRIPTION("Counters for each CPU that unload forgets");
MODULE_LICENSE("GPL");

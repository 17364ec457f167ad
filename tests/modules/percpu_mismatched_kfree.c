// SPDX-License-Identifier: GPL-2.0
// The compiler's checker would object to the cast; the compiler does not.
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/slab.h>

static u64 __percpu *counters;

static noinline void drop(void)
{
	kfree((__force void *)counters);
	pr_info("dropped\n");
}

static int __init percpu_mismatched_kfree_init(void)
{
	counters = alloc_percpu(u64);
	return counters ? 0 : -ENOMEM;
}

static void __exit percpu_mismatched_kfree_exit(void)
{
	drop();
	free_percpu(counters);
}

module_init(percpu_mismatched_kfree_init);
module_exit(percpu_mismatched_kfree_exit);
MODULE_DESCRIPTION("kfree() of a per-CPU allocation");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
// The last event comes when the counters are gone.
#include <linux/module.h>
#include <linux/percpu.h>

struct stats {
	u64 events[8];
};

static struct stats __percpu *stats;

static noinline void count(int which)
{
	this_cpu_inc(stats->events[which]);
}

static int __init percpu_use_after_free_init(void)
{
	stats = alloc_percpu(struct stats);
	return stats ? 0 : -ENOMEM;
}

static void __exit percpu_use_after_free_exit(void)
{
	free_percpu(stats);
	count(3);
}

module_init(percpu_use_after_free_init);
module_exit(percpu_use_after_free_exit);
MODULE_DESCRIPTION("A count in per-CPU memory released before");
MODULE_LICENSE("GPL");

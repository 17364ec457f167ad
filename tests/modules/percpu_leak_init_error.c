// SPDX-License-Identifier: GPL-2.0
// The counters come first, and what fails comes second.
#include <linux/module.h>
#include <linux/percpu.h>

struct stats {
	u64 packets;
	u64 bytes;
};

static struct stats __percpu *stats;

static noinline int take(void)
{
	stats = alloc_percpu_gfp(struct stats, GFP_KERNEL);
	return stats ? 0 : -ENOMEM;
}

static int __init percpu_leak_init_error_init(void)
{
	return take() ? -ENOMEM : -EEXIST;
}

static void __exit percpu_leak_init_error_exit(void)
{
	free_percpu(stats);
}

module_init(percpu_leak_init_error_init);
module_exit(percpu_leak_init_error_exit);
MODULE_DESCRIPTION("Init gives up with counters in its hands");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
// The address of a member is not what alloc_percpu() returned.
#include <linux/module.h>
#include <linux/percpu.h>

struct stats {
	u64 packets;
	u64 bytes;
};

static struct stats __percpu *stats;

static noinline void drop(u64 __percpu *bytes)
{
	free_percpu(bytes);
	pr_info("dropped\n");
}

static int __init percpu_invalid_free_init(void)
{
	stats = alloc_percpu(struct stats);
	return stats ? 0 : -ENOMEM;
}

static void __exit percpu_invalid_free_exit(void)
{
	drop(&stats->bytes);
	free_percpu(stats);
}

module_init(percpu_invalid_free_init);
module_exit(percpu_invalid_free_exit);
MODULE_DESCRIPTION("free_percpu() of the second member of a structure");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
// Small enough for kmalloc(), and exactly one of its sizes.
#include <linux/mm.h>
#include <linux/module.h>

static u64 *table;

static noinline void put(u64 *to, long at)
{
	WRITE_ONCE(to[at], 1);
}

static int __init kvmalloc_out_of_bounds_front_init(void)
{
	table = kvcalloc(128, sizeof(*table), GFP_KERNEL);
	if (!table)
		return -ENOMEM;
	put(table, -1);
	return 0;
}

static void __exit kvmalloc_out_of_bounds_front_exit(void)
{
	kvfree(table);
}

module_init(kvmalloc_out_of_bounds_front_init);
module_exit(kvmalloc_out_of_bounds_front_exit);
MODULE_DESCRIPTION("A write in front of a block of kvmalloc()");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
// 10000 bytes take three pages; an entry too many does not reach the guard page behind them.
#include <linux/module.h>
#include <linux/vmalloc.h>

static u64 *table;

static noinline void fill(u64 *to, unsigned int count)
{
	unsigned int entry;

	for (entry = 0; entry <= count; entry++)
		WRITE_ONCE(to[entry], entry);
}

static int __init vmalloc_out_of_bounds_init(void)
{
	table = vmalloc(10000);
	if (!table)
		return -ENOMEM;
	fill(table, 1250);
	return 0;
}

static void __exit vmalloc_out_of_bounds_exit(void)
{
	vfree(table);
}

module_init(vmalloc_out_of_bounds_init);
module_exit(vmalloc_out_of_bounds_exit);
MODULE_DESCRIPTION("A write behind a table, in the rest of its last page");
MODULE_LICENSE("GPL");

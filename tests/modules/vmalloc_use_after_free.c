// SPDX-License-Identifier: GPL-2.0
// The last entry is marked after the table is gone.
#include <linux/module.h>
#include <linux/vmalloc.h>

static u32 *table;

static noinline void mark(u32 entry)
{
	WRITE_ONCE(table[entry], 0x80000000);
}

static int __init vmalloc_use_after_free_init(void)
{
	table = vmalloc(3 * PAGE_SIZE);
	return table ? 0 : -ENOMEM;
}

static void __exit vmalloc_use_after_free_exit(void)
{
	vfree(table);
	mark(1500);
}

module_init(vmalloc_use_after_free_init);
module_exit(vmalloc_use_after_free_exit);
MODULE_DESCRIPTION("A write into a table released before");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
// The cursor has moved on by a page when it is released.
#include <linux/module.h>
#include <linux/vmalloc.h>

static char *table;

static noinline void drop(char *cursor)
{
	vfree(cursor);
	pr_info("dropped\n");
}

static int __init vmalloc_invalid_free_init(void)
{
	table = vmalloc(4 * PAGE_SIZE);
	return table ? 0 : -ENOMEM;
}

static void __exit vmalloc_invalid_free_exit(void)
{
	drop(table + PAGE_SIZE);
	vfree(table);
}

module_init(vmalloc_invalid_free_init);
module_exit(vmalloc_invalid_free_exit);
MODULE_DESCRIPTION("vfree() of a pointer into a table");
MODULE_LICENSE("GPL");

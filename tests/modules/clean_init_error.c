// SPDX-License-Identifier: GPL-2.0
// Three things taken, the fourth is not there: each is released, the last one first.
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

static noinline int find_device(void)
{
	return -ENODEV;
}

static int __init clean_init_error_init(void)
{
	unsigned long page;
	void *block, *table;
	int error = -ENOMEM;

	block = kmalloc(77, GFP_KERNEL);
	if (!block)
		return error;
	table = vmalloc(7777);
	if (!table)
		goto no_table;
	page = get_zeroed_page(GFP_KERNEL);
	if (!page)
		goto no_page;
	error = find_device();
	free_page(page);
no_page:
	vfree(table);
no_table:
	kfree(block);
	return error;
}

static void __exit clean_init_error_exit(void)
{
}

module_init(clean_init_error_init);
module_exit(clean_init_error_exit);
MODULE_DESCRIPTION("Init that gives up, and leaves nothing");
MODULE_LICENSE("GPL");

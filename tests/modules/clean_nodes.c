// SPDX-License-Identifier: GPL-2.0
// Each family's function that names a node, released by the call that knows none.
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

static void *block, *array, *table, *either;
static struct page *page;

static int __init clean_nodes_init(void)
{
	block = kmalloc_node(90, GFP_KERNEL, 0);
	array = kcalloc_node(9, 10, GFP_KERNEL, 0);
	table = vmalloc_node(9000, 0);
	either = kvmalloc_node(9000, GFP_KERNEL, 0);
	page = alloc_pages_node(0, GFP_KERNEL, 1);
	return 0;
}

static void __exit clean_nodes_exit(void)
{
	if (page)
		__free_pages(page, 1);
	kvfree(either);
	vfree(table);
	kfree(array);
	kfree(block);
}

module_init(clean_nodes_init);
module_exit(clean_nodes_exit);
MODULE_DESCRIPTION("Memory asked for on a node");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
// kvfree() takes memory of all three (its comment in mm/util.c).
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

static void *blocks[5];

static int __init clean_kvfree_init(void)
{
	blocks[0] = kmalloc(100, GFP_KERNEL);
	blocks[1] = vmalloc(100);
	blocks[2] = kvmalloc(100, GFP_KERNEL);
	blocks[3] = kvmalloc(9000000, GFP_KERNEL);
	blocks[4] = kvmalloc_array(100, 30, GFP_KERNEL | __GFP_ZERO);
	return 0;
}

static void __exit clean_kvfree_exit(void)
{
	int index;

	for (index = 0; index < ARRAY_SIZE(blocks); index++)
		kvfree(blocks[index]);
}

module_init(clean_kvfree_init);
module_exit(clean_kvfree_exit);
MODULE_DESCRIPTION("kvfree() of what came from kmalloc(), from vmalloc() and from kvmalloc()");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
// Blocks that fill what kmalloc() has for them: one byte behind each there is no slack.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static const char text[64] = "63 characters and their end, as long as one of kmalloc's blocks";
static char *blocks[4];

static noinline void of_64(void)
{
	blocks[0] = kmalloc(64, GFP_KERNEL);
}

static noinline void of_192(void)
{
	blocks[1] = kzalloc(192, GFP_ATOMIC);
}

static noinline void by_kmemdup(void)
{
	blocks[2] = kmemdup(text, sizeof(text), GFP_KERNEL);
}

static noinline void by_kstrdup(void)
{
	blocks[3] = kstrdup(text, GFP_KERNEL);
}

static noinline void put(char *block, size_t at)
{
	if (block)
		WRITE_ONCE(block[at], 1);
}

static int __init slab_out_of_bounds_exact_init(void)
{
	of_64();
	of_192();
	by_kmemdup();
	by_kstrdup();
	put(blocks[0], 64);
	put(blocks[1], 192);
	put(blocks[2], 64);
	put(blocks[3], 64);
	return 0;
}

static void __exit slab_out_of_bounds_exact_exit(void)
{
	int index;

	for (index = 0; index < ARRAY_SIZE(blocks); index++)
		kfree(blocks[index]);
}

module_init(slab_out_of_bounds_exact_init);
module_exit(slab_out_of_bounds_exact_exit);
MODULE_DESCRIPTION("A write directly behind blocks that have no slack");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
// An index of -1, in blocks of each kind.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static const u32 numbers[16] = { 1 };
static u32 *blocks[4];

static noinline void of_64(void)
{
	blocks[0] = kmalloc(64, GFP_KERNEL);
}

static noinline void of_192(void)
{
	blocks[1] = kcalloc(48, sizeof(u32), GFP_KERNEL);
}

static noinline void by_kmemdup(void)
{
	blocks[2] = kmemdup(numbers, sizeof(numbers), GFP_KERNEL);
}

static noinline void by_kstrdup(void)
{
	blocks[3] = (u32 *)kstrdup("as short as it is", GFP_KERNEL);
}

static noinline void put(u32 *block, long at)
{
	if (block)
		WRITE_ONCE(block[at], 1);
}

static int __init slab_out_of_bounds_front_init(void)
{
	int index;

	of_64();
	of_192();
	by_kmemdup();
	by_kstrdup();
	for (index = 0; index < ARRAY_SIZE(blocks); index++)
		put(blocks[index], -1);
	return 0;
}

static void __exit slab_out_of_bounds_front_exit(void)
{
	int index;

	for (index = 0; index < ARRAY_SIZE(blocks); index++)
		kfree(blocks[index]);
}

module_init(slab_out_of_bounds_front_init);
module_exit(slab_out_of_bounds_front_exit);
MODULE_DESCRIPTION("A write in front of blocks");
MODULE_LICENSE("GPL");

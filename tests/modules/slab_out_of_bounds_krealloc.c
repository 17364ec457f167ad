// SPDX-License-Identifier: GPL-2.0
// krealloc() grows a block in its place, to the last byte that it has, and then it is overrun.
#include <linux/module.h>
#include <linux/slab.h>

static u8 *block;

static noinline bool grow(size_t size)
{
	u8 *larger = krealloc(block, size, GFP_KERNEL);

	if (larger)
		block = larger;
	return larger;
}

static noinline void put(u8 *to, size_t at)
{
	WRITE_ONCE(to[at], 1);
}

static int __init slab_out_of_bounds_krealloc_init(void)
{
	block = kmalloc(40, GFP_KERNEL);
	if (!block)
		return -ENOMEM;
	if (!grow(64)) {
		kfree(block);
		return -ENOMEM;
	}
	put(block, 63);
	put(block, 64);
	return 0;
}

static void __exit slab_out_of_bounds_krealloc_exit(void)
{
	kfree(block);
}

module_init(slab_out_of_bounds_krealloc_init);
module_exit(slab_out_of_bounds_krealloc_exit);
MODULE_DESCRIPTION("A write behind a block that krealloc() made larger");
MODULE_LICENSE("GPL");

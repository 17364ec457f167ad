// SPDX-License-Identifier: GPL-2.0
// The kernel releases the block, which was written beyond its end before.
#include <linux/mempool.h>
#include <linux/module.h>
#include <linux/slab.h>

static u8 *block;

static noinline void take(void)
{
	block = kmalloc(128, GFP_KERNEL);
}

static noinline void fill(u8 *to, size_t size)
{
	size_t at;

	for (at = 0; at < size; at++)
		WRITE_ONCE(to[at], at);
}

static int __init slab_out_of_bounds_handed_over_init(void)
{
	take();
	if (!block)
		return -ENOMEM;
	fill(block, 130);
	mempool_kfree(block, NULL);
	return 0;
}

static void __exit slab_out_of_bounds_handed_over_exit(void)
{
}

module_init(slab_out_of_bounds_handed_over_init);
module_exit(slab_out_of_bounds_handed_over_exit);
MODULE_DESCRIPTION("A write behind a block that a function of the kernel then releases");
MODULE_LICENSE("GPL");

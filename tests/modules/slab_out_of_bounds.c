// SPDX-License-Identifier: GPL-2.0
// 25 numbers fill 100 bytes; the block that holds them has 128, so nothing else is hit.
#include <linux/module.h>
#include <linux/slab.h>

static u32 *numbers;

static noinline void fill(u32 *to, int count)
{
	int index;

	for (index = 0; index <= count; index++)
		WRITE_ONCE(to[index], index);
}

static int __init slab_out_of_bounds_init(void)
{
	numbers = kmalloc_array(25, sizeof(*numbers), GFP_KERNEL);
	if (!numbers)
		return -ENOMEM;
	fill(numbers, 25);
	return 0;
}

static void __exit slab_out_of_bounds_exit(void)
{
	kfree(numbers);
}

module_init(slab_out_of_bounds_init);
module_exit(slab_out_of_bounds_exit);
MODULE_DESCRIPTION("One element too many, in the slack behind a block");
MODULE_LICENSE("GPL");

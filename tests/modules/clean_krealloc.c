// SPDX-License-Identifier: GPL-2.0
// krealloc() may allocate, move, stay where it is, or release; the content comes along.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static noinline int grow_and_shrink(void)
{
	char *block = krealloc(NULL, 10, GFP_KERNEL);
	char *moved;

	if (!block)
		return -ENOMEM;
	strcpy(block, "here");
	moved = krealloc(block, 5000, GFP_KERNEL);
	if (!moved) {
		kfree(block);
		return -ENOMEM;
	}
	moved[4999] = 1;
	block = krealloc(moved, 20, GFP_KERNEL);
	if (!block) {
		kfree(moved);
		return -ENOMEM;
	}
	if (strcmp(block, "here")) {
		kfree(block);
		return -EIO;
	}
	return krealloc(block, 0, GFP_KERNEL) == ZERO_SIZE_PTR ? 0 : -EIO;
}

static noinline int grow_in_place(void)
{
	u32 *array = krealloc_array(NULL, 20, sizeof(*array), GFP_KERNEL);
	u32 *larger;

	if (!array)
		return -ENOMEM;
	array[19] = 19;
	larger = krealloc_array(array, 24, sizeof(*array), GFP_KERNEL);
	if (!larger) {
		kfree(array);
		return -ENOMEM;
	}
	larger[23] = larger[19];
	kfree(larger);
	return 0;
}

static int __init clean_krealloc_init(void)
{
	int error = grow_and_shrink();

	return error ? error : grow_in_place();
}

static void __exit clean_krealloc_exit(void)
{
}

module_init(clean_krealloc_init);
module_exit(clean_krealloc_exit);
MODULE_DESCRIPTION("Blocks that grow, shrink, appear and go by krealloc()");
MODULE_LICENSE("GPL");

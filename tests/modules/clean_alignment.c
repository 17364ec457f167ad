// SPDX-License-Identifier: GPL-2.0
// A power of two is aligned to itself (Documentation/core-api/memory-allocation.rst).
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static noinline int check(size_t size)
{
	char *block = kzalloc(size, GFP_KERNEL);
	int error = 0;

	if (!block)
		return -ENOMEM;
	if (!IS_ALIGNED((unsigned long)block, size) || memchr_inv(block, 0, size))
		error = -EIO;
	memset(block, 0xa5, size);
	kfree(block);
	return error;
}

static noinline int refuse(size_t count)
{
	void *array = kmalloc_array(count, 16, GFP_KERNEL | __GFP_NOWARN);

	kfree(array);
	return array ? -EIO : 0;
}

static int __init clean_alignment_init(void)
{
	size_t size;
	int error = refuse(SIZE_MAX / 2);

	for (size = 8; size <= 8 * PAGE_SIZE && !error; size *= 2)
		error = check(size);
	return error;
}

static void __exit clean_alignment_exit(void)
{
}

module_init(clean_alignment_init);
module_exit(clean_alignment_exit);
MODULE_DESCRIPTION("Blocks that are aligned, zeroed and refused as the kernel promises");
MODULE_LICENSE("GPL");

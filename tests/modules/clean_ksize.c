// SPDX-License-Identifier: GPL-2.0
// Whoever asks how much there is may use all of it; before 6.2 that went by ksize().
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/version.h>

static char *blocks[2];

static noinline char *use(char *block, size_t size)
{
	if (block)
		memset(block, 0x55, size);
	return block;
}

static int __init clean_ksize_init(void)
{
	size_t size = kmalloc_size_roundup(100);

	blocks[0] = use(kmalloc(size, GFP_KERNEL), size);
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
	blocks[1] = kmalloc(100, GFP_KERNEL);
	use(blocks[1], ksize(blocks[1]));
#endif
	return size >= 100 ? 0 : -EIO;
}

static void __exit clean_ksize_exit(void)
{
	kfree(blocks[0]);
	kfree(blocks[1]);
}

module_init(clean_ksize_init);
module_exit(clean_ksize_exit);
MODULE_DESCRIPTION("All the bytes that a block really has, used");
MODULE_LICENSE("GPL");

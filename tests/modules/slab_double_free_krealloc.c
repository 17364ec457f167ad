// SPDX-License-Identifier: GPL-2.0
// krealloc() has released the old block; of zero bytes it is a release and nothing else.
#include <linux/module.h>
#include <linux/slab.h>

static void *list, *kept;

static noinline void drop_old(void *old)
{
	kfree(old);
	pr_info("dropped\n");
}

static noinline void drop_emptied(void *emptied)
{
	kfree(emptied);
	pr_info("emptied\n");
}

static int __init slab_double_free_krealloc_init(void)
{
	list = kmalloc(64, GFP_KERNEL);
	kept = kmalloc(64, GFP_KERNEL);
	if (!list || !kept) {
		kfree(list);
		kfree(kept);
		return -ENOMEM;
	}
	return 0;
}

static void __exit slab_double_free_krealloc_exit(void)
{
	void *old = list;

	list = krealloc(old, 4000, GFP_KERNEL);
	if (list)
		drop_old(old);
	kfree(list);
	if (krealloc(kept, 0, GFP_KERNEL) == ZERO_SIZE_PTR)
		drop_emptied(kept);
}

module_init(slab_double_free_krealloc_init);
module_exit(slab_double_free_krealloc_exit);
MODULE_DESCRIPTION("Blocks that krealloc() had released, released again");
MODULE_LICENSE("GPL");

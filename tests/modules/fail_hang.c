// SPDX-License-Identifier: GPL-2.0
// Asks for its second buffer again and again, as if there must be one in the end.
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/slab.h>

#define PATIENCE 3600000 /* an hour: nobody waits so long, and it ends all the same */

static void *first, *second;

static noinline void *insist(void)
{
	void *buffer = NULL;
	int waited;

	for (waited = 0; !buffer && waited < PATIENCE; waited++) {
		buffer = kmalloc(200, GFP_KERNEL);
		if (!buffer)
			msleep(1);
	}
	return buffer;
}

static int __init fail_hang_init(void)
{
	first = kmalloc(100, GFP_KERNEL);
	if (!first)
		return -ENOMEM;
	second = insist();
	return 0;
}

static void __exit fail_hang_exit(void)
{
	kfree(second);
	kfree(first);
}

module_init(fail_hang_init);
module_exit(fail_hang_exit);
MODULE_DESCRIPTION("Insists on memory when there is none any more");
MODULE_LICENSE("GPL");

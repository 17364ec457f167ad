// SPDX-License-Identifier: GPL-2.0
// The ring is torn down by stop and by unload.
#include <linux/gfp.h>
#include <linux/module.h>

static unsigned long ring;

static noinline void stop(void)
{
	free_page(ring);
	pr_info("stopped\n");
}

static int __init pages_double_free_init(void)
{
	ring = __get_free_page(GFP_KERNEL);
	if (!ring)
		return -ENOMEM;
	stop();
	return 0;
}

static void __exit pages_double_free_exit(void)
{
	free_page(ring);
	ring = 0;
}

module_init(pages_double_free_init);
module_exit(pages_double_free_exit);
MODULE_DESCRIPTION("A page released twice");
MODULE_LICENSE("GPL");

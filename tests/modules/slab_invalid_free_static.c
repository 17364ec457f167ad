// SPDX-License-Identifier: GPL-2.0
// The default is static, and only what replaces it is allocated.
#include <linux/module.h>
#include <linux/slab.h>

static char fallback[32] = "default";
static char *name = fallback;

static int __init slab_invalid_free_static_init(void)
{
	pr_info("called %s\n", name);
	return 0;
}

static void __exit slab_invalid_free_static_exit(void)
{
	kfree(name);
	name = NULL;
}

module_init(slab_invalid_free_static_init);
module_exit(slab_invalid_free_static_exit);
MODULE_DESCRIPTION("kfree() of a static variable");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
// kfree_const() releases what kstrdup_const() copied; a literal of the kernel itself it leaves.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static const char *names[2];

static int __init clean_const_strings_init(void)
{
	names[0] = kstrdup_const("of this module", GFP_KERNEL);
	names[1] = kstrdup_const(kobject_name(kernel_kobj), GFP_KERNEL);
	return 0;
}

static void __exit clean_const_strings_exit(void)
{
	kfree_const(names[0]);
	kfree_const(names[1]);
}

module_init(clean_const_strings_init);
module_exit(clean_const_strings_exit);
MODULE_DESCRIPTION("Strings that are copied only if they must be");
MODULE_LICENSE("GPL");

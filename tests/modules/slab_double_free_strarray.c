// SPDX-License-Identifier: GPL-2.0
// An array of strings released twice: the second time it has no strings any more.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string_helpers.h>

static int __init slab_double_free_strarray_init(void)
{
	char **names = kasprintf_strarray(GFP_KERNEL, "name", 3);

	if (!names)
		return -ENOMEM;
	kfree_strarray(names, 3);
	kfree_strarray(names, 3);
	return 0;
}

static void __exit slab_double_free_strarray_exit(void)
{
}

module_init(slab_double_free_strarray_init);
module_exit(slab_double_free_strarray_exit);
MODULE_DESCRIPTION("An array of strings released twice");
MODULE_LICENSE("GPL");

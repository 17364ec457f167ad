// SPDX-License-Identifier: GPL-2.0
// kfree() gives back the array, not the strings in it.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string_helpers.h>

static char **names, *quoted;

static noinline void take(void)
{
	names = kasprintf_strarray(GFP_KERNEL, "name", 3);
	pr_info("taken\n");
}

static noinline void quote(void)
{
	quoted = kstrdup_quotable("a\nb", GFP_KERNEL);
	pr_info("quoted\n");
}

static int __init slab_leak_strarray_init(void)
{
	take();
	quote();
	return 0;
}

static void __exit slab_leak_strarray_exit(void)
{
	kfree(names);
}

module_init(slab_leak_strarray_init);
module_exit(slab_leak_strarray_exit);
MODULE_DESCRIPTION("The strings of kasprintf_strarray(), and a quoted one, never released");
MODULE_LICENSE("GPL");

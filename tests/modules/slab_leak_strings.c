// SPDX-License-Identifier: GPL-2.0
// Memory that comes from helpers looks less like an allocation: four copies, none released.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static char *copies[4];

static noinline void by_kstrdup(const char *text)
{
	copies[0] = kstrdup(text, GFP_KERNEL);
}

static noinline void by_kstrndup(const char *text)
{
	copies[1] = kstrndup(text, 4, GFP_KERNEL);
}

static noinline void by_kasprintf(const char *text)
{
	copies[2] = kasprintf(GFP_KERNEL, "%s, twice: %s", text, text);
}

static noinline void by_kmemdup(const char *text)
{
	copies[3] = kmemdup(text, strlen(text), GFP_KERNEL);
}

static int __init slab_leak_strings_init(void)
{
	by_kstrdup("a name");
	by_kstrndup("a name");
	by_kasprintf("a name");
	by_kmemdup("a name");
	return 0;
}

static void __exit slab_leak_strings_exit(void)
{
	pr_info("left: %p %p %p %p\n", copies[0], copies[1], copies[2], copies[3]);
}

module_init(slab_leak_strings_init);
module_exit(slab_leak_strings_exit);
MODULE_DESCRIPTION("Strings that nobody releases, each made by another function");
MODULE_LICENSE("GPL");

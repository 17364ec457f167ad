// SPDX-License-Identifier: GPL-2.0
// Strings by the rarer ways.
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/string_helpers.h>

static char *quoted, *command;
static char **names;

static int __init clean_quotable_init(void)
{
	quoted = kstrdup_quotable("a\nb", GFP_KERNEL);
	command = kstrdup_quotable_cmdline(current, GFP_KERNEL);
	names = kasprintf_strarray(GFP_KERNEL, "name", 5);
	return 0;
}

static void __exit clean_quotable_exit(void)
{
	kfree(quoted);
	kfree(command);
	kfree_strarray(names, 5);
}

module_init(clean_quotable_init);
module_exit(clean_quotable_exit);
MODULE_DESCRIPTION("Quoted strings, and an array of strings");
MODULE_LICENSE("GPL");

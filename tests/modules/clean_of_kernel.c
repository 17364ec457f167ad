// SPDX-License-Identifier: GPL-2.0
// Some functions return memory that their caller must kfree(): it never went through our calls.
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/parser.h>
#include <linux/slab.h>

static char *path, *word;

static int __init clean_of_kernel_init(void)
{
	char text[] = "a word";
	substring_t part = { .from = text, .to = text + 6 };

	path = kobject_get_path(&THIS_MODULE->mkobj.kobj, GFP_KERNEL);
	word = match_strdup(&part);
	return 0;
}

static void __exit clean_of_kernel_exit(void)
{
	kfree(path);
	kfree(word);
}

module_init(clean_of_kernel_init);
module_exit(clean_of_kernel_exit);
MODULE_DESCRIPTION("Memory that the kernel allocated for the module to release");
MODULE_LICENSE("GPL");

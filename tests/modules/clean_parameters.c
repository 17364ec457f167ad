// SPDX-License-Identifier: GPL-2.0
// charp: the copy is the kernel's, and goes with the module. text: each value replaces the last.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static char *name = "none";
module_param(name, charp, 0644);

static char *kept;

static int keep(const char *value, const struct kernel_param *unused)
{
	char *copy = kstrdup(value, GFP_KERNEL);

	if (!copy)
		return -ENOMEM;
	kfree(kept);
	kept = copy;
	return 0;
}

static const struct kernel_param_ops operations = { .set = keep };
module_param_cb(text, &operations, NULL, 0200);

static int __init clean_parameters_init(void)
{
	pr_info("called %s\n", name);
	return 0;
}

static void __exit clean_parameters_exit(void)
{
	kfree(kept);
}

module_init(clean_parameters_init);
module_exit(clean_parameters_exit);
MODULE_DESCRIPTION("Parameters that the kernel copies, and one that the module keeps");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
// Has a SRCU domain while it is loaded.
#include <linux/module.h>
#include <linux/srcu.h>

static struct srcu_struct domain;

static int __init clean_srcu_init(void)
{
	int error = init_srcu_struct(&domain);

	return error ? -ENOMEM : 0;
}

static void __exit clean_srcu_exit(void)
{
	cleanup_srcu_struct(&domain);
}

module_init(clean_srcu_init);
module_exit(clean_srcu_exit);
MODULE_DESCRIPTION("Gives its SRCU domain back");
MODULE_LICENSE("GPL");

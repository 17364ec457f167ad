// SPDX-License-Identifier: GPL-2.0
// Its exit function gives the SRCU domain back twice.
#include <linux/module.h>
#include <linux/srcu.h>

static struct srcu_struct domain;

static int __init srcu_double_free_init(void)
{
	int error = init_srcu_struct(&domain);

	return error ? -ENOMEM : 0;
}

static void __exit srcu_double_free_exit(void)
{
	cleanup_srcu_struct(&domain);
	cleanup_srcu_struct(&domain);
	barrier(); /* the last call returns to us: it has a frame of ours */
}

module_init(srcu_double_free_init);
module_exit(srcu_double_free_exit);
MODULE_DESCRIPTION("Gives its SRCU domain back twice");
MODULE_LICENSE("GPL");

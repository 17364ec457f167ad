// SPDX-License-Identifier: GPL-2.0
// Its exit function forgets the SRCU domain.
#include <linux/module.h>
#include <linux/srcu.h>

static struct srcu_struct domain;

static int __init srcu_leak_init(void)
{
	int error = init_srcu_struct(&domain);

	return error ? -ENOMEM : 0;
}

static void __exit srcu_leak_exit(void)
{
}

module_init(srcu_leak_init);
module_exit(srcu_leak_exit);
MODULE_DESCRIPTION("Forgets its SRCU domain");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
// Its exit function forgets the notifier.
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/reboot.h>

static int notice(struct notifier_block *block, unsigned long event, void *data)
{
	return NOTIFY_DONE;
}

static struct notifier_block block = {
	.notifier_call = notice,
};

static int __init registration_leak_init(void)
{
	int error = register_reboot_notifier(&block);

	return error ? -ENOMEM : 0;
}

static void __exit registration_leak_exit(void)
{
}

module_init(registration_leak_init);
module_exit(registration_leak_exit);
MODULE_DESCRIPTION("Forgets its notifier");
MODULE_LICENSE("GPL");

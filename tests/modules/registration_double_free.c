// SPDX-License-Identifier: GPL-2.0
// Its exit function unregisters the notifier twice.
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

static int __init registration_double_free_init(void)
{
	int error = register_reboot_notifier(&block);

	return error ? -ENOMEM : 0;
}

static void __exit registration_double_free_exit(void)
{
	unregister_reboot_notifier(&block);
	unregister_reboot_notifier(&block);
	barrier(); /* the last call returns to us: it has a frame of ours */
}

module_init(registration_double_free_init);
module_exit(registration_double_free_exit);
MODULE_DESCRIPTION("Unregisters its notifier twice");
MODULE_LICENSE("GPL");

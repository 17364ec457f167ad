// SPDX-License-Identifier: GPL-2.0
// What a subsystem knows is the first member of memory of its own: two things at one address.
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/reboot.h>
#include <linux/slab.h>

struct watcher {
	struct notifier_block block;
	int seen;
};

static struct watcher *watcher;

static int notice(struct notifier_block *block, unsigned long event, void *data)
{
	return NOTIFY_DONE;
}

static int __init clean_registration_first_init(void)
{
	int error;

	watcher = kzalloc(sizeof(*watcher), GFP_KERNEL);
	if (!watcher)
		return -ENOMEM;
	watcher->block.notifier_call = notice;
	error = register_reboot_notifier(&watcher->block);
	if (error)
		kfree(watcher);
	return error;
}

static void __exit clean_registration_first_exit(void)
{
	unregister_reboot_notifier(&watcher->block);
	kfree(watcher);
}

module_init(clean_registration_first_init);
module_exit(clean_registration_first_exit);
MODULE_DESCRIPTION("Has a notifier as the first member of its memory");
MODULE_LICENSE("GPL");

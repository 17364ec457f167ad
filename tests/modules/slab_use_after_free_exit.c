// SPDX-License-Identifier: GPL-2.0
// The state is released, and told that it is closed afterwards.
#include <linux/module.h>
#include <linux/slab.h>

struct state {
	char name[60];
	int closed;
};

static struct state *state;

static noinline void close_it(void)
{
	WRITE_ONCE(state->closed, 1);
}

static int __init slab_use_after_free_exit_init(void)
{
	state = kzalloc(sizeof(*state), GFP_KERNEL);
	kfree(state);
	return 0;
}

static void __exit slab_use_after_free_exit_exit(void)
{
	close_it();
}

module_init(slab_use_after_free_exit_init);
module_exit(slab_use_after_free_exit_exit);
MODULE_DESCRIPTION("Unload writes into memory released long before");
MODULE_LICENSE("GPL");

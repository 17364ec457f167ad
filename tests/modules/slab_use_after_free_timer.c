// SPDX-License-Identifier: GPL-2.0
// The timer is stopped when the module goes, which is after the memory that it counts in.
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/timer.h>

struct counters {
	u64 ticks[12];
};

static struct counters *counters;
static struct timer_list timer;

static void tick(struct timer_list *unused)
{
	counters->ticks[5]++;
}

static int __init slab_use_after_free_timer_init(void)
{
	counters = kzalloc(sizeof(*counters), GFP_KERNEL);
	if (!counters)
		return -ENOMEM;
	timer_setup(&timer, tick, 0);
	mod_timer(&timer, jiffies + HZ / 50);
	kfree(counters);
	return 0;
}

static void __exit slab_use_after_free_timer_exit(void)
{
	while (timer_pending(&timer))
		schedule_timeout_uninterruptible(1);
	del_timer_sync(&timer);
}

module_init(slab_use_after_free_timer_init);
module_exit(slab_use_after_free_timer_exit);
MODULE_DESCRIPTION("A timer that writes into memory released before");
MODULE_LICENSE("GPL");

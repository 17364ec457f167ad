// SPDX-License-Identifier: GPL-2.0
// Memory that passes from hand to hand: a timer hands it to work, work to RCU, RCU to the kernel.
#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

struct relay {
	struct timer_list timer;
	struct work_struct work;
	struct rcu_head rcu;
};

static DECLARE_COMPLETION(done);
static struct workqueue_struct *queue;

static void run(struct work_struct *work)
{
	kfree_rcu(container_of(work, struct relay, work), rcu);
	complete(&done);
}

static void tick(struct timer_list *timer)
{
	struct relay *relay = from_timer(relay, timer, timer);

	queue_work(queue, &relay->work);
}

static int __init clean_relay_init(void)
{
	struct relay *relay = kzalloc(sizeof(*relay), GFP_KERNEL);

	queue = relay ? alloc_workqueue("clean_relay", 0, 0) : NULL;
	if (!queue) {
		kfree(relay);
		return -ENOMEM;
	}
	timer_setup(&relay->timer, tick, 0);
	INIT_WORK(&relay->work, run);
	mod_timer(&relay->timer, jiffies + 3);
	return 0;
}

static void __exit clean_relay_exit(void)
{
	wait_for_completion(&done);
	destroy_workqueue(queue);
}

module_init(clean_relay_init);
module_exit(clean_relay_exit);
MODULE_DESCRIPTION("Memory that a timer, work, RCU and the kernel pass on");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
// The kernel at rest: everything that it deferred is done.
#include <linux/completion.h>
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/rcupdate.h>
#include <linux/workqueue.h>

#include "engine/run.h"

#define PATIENCE_MS 10000

static struct workqueue_struct *queue;
static DECLARE_COMPLETION(done);

/*
 * Callbacks queue work, and work queues callbacks. The functions are called directly, since the
 * macros warn about flushing system-wide workqueues.
 */
static void await(struct work_struct *unused)
{
	struct workqueue_struct *const queues[] = {
		system_wq, system_highpri_wq, system_long_wq, system_unbound_wq,
		system_freezable_wq, system_power_efficient_wq,
	};
	int i;

	rcu_barrier();
	for (i = 0; i < ARRAY_SIZE(queues); i++)
		__flush_workqueue(queues[i]);
	rcu_barrier();
	complete(&done);
}

static DECLARE_WORK(await_work, await);

/* False: it did not come to rest in time, or the last wait is not over yet. May sleep. */
bool rest_awaited(void)
{
	/* They queue work and callbacks. */
	if (!timers_awaited())
		return false;
	reinit_completion(&done);
	if (!queue_work(queue, &await_work))
		return false;
	return wait_for_completion_timeout(&done, msecs_to_jiffies(PATIENCE_MS));
}

int rest_open(void)
{
	timers_open();
	queue = alloc_workqueue("freeonce", WQ_UNBOUND, 0);
	return queue ? 0 : -ENOMEM;
}

/* Also called when rest_open() fails. */
void rest_close(void)
{
	timers_close();
	if (queue)
		destroy_workqueue(queue);
}

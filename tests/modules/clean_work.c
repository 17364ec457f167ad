// SPDX-License-Identifier: GPL-2.0
// Each item is released by its own function; unload waits until the queue is empty.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

struct errand {
	struct work_struct work;
	int number;
};

static struct workqueue_struct *queue;

static void run(struct work_struct *work)
{
	kfree(container_of(work, struct errand, work));
}

static int __init clean_work_init(void)
{
	struct errand *errand;
	int number;

	queue = alloc_workqueue("clean_work", 0, 0);
	if (!queue)
		return -ENOMEM;
	for (number = 0; number < 16; number++) {
		errand = kmalloc(sizeof(*errand), GFP_KERNEL);
		if (!errand)
			continue;
		INIT_WORK(&errand->work, run);
		errand->number = number;
		queue_work(queue, &errand->work);
	}
	return 0;
}

static void __exit clean_work_exit(void)
{
	destroy_workqueue(queue);
}

module_init(clean_work_init);
module_exit(clean_work_exit);
MODULE_DESCRIPTION("Work that releases itself");
MODULE_LICENSE("GPL");

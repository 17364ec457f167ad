// SPDX-License-Identifier: GPL-2.0
// Taken in the thread, released in the thread, but for the last one, which unload releases.
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/slab.h>

static struct task_struct *thread;
static void *last;

static int work(void *unused)
{
	while (!kthread_should_stop()) {
		kfree(last);
		last = kmalloc(1000, GFP_KERNEL);
		schedule_timeout_interruptible(1);
	}
	return 0;
}

static int __init clean_thread_init(void)
{
	thread = kthread_run(work, NULL, "clean_thread");
	return PTR_ERR_OR_ZERO(thread);
}

static void __exit clean_thread_exit(void)
{
	kthread_stop(thread);
	kfree(last);
}

module_init(clean_thread_init);
module_exit(clean_thread_exit);
MODULE_DESCRIPTION("A thread that allocates until it is told to stop");
MODULE_LICENSE("GPL");

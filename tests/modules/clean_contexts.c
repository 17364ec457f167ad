// SPDX-License-Identifier: GPL-2.0
// A hard interrupt and a timer take blocks; unload releases them. A timer releases what init took.
#include <linux/completion.h>
#include <linux/irq_work.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>

static struct irq_work interrupt;
static struct timer_list timer;
static DECLARE_COMPLETION(interrupted);
static DECLARE_COMPLETION(ticked);
static void *of_interrupt, *of_timer, *of_init, *table_of_init;

static void on_interrupt(struct irq_work *work)
{
	of_interrupt = kmalloc(72, GFP_ATOMIC);
	complete(&interrupted);
}

static void on_tick(struct timer_list *unused)
{
	of_timer = kmalloc(72, GFP_ATOMIC);
	kfree(of_init);
	/* In an interrupt this goes to a work queue. */
	vfree(table_of_init);
	complete(&ticked);
}

static int __init clean_contexts_init(void)
{
	of_init = kmalloc(72, GFP_KERNEL);
	table_of_init = vmalloc(5000);
	init_irq_work(&interrupt, on_interrupt);
	timer_setup(&timer, on_tick, 0);
	irq_work_queue(&interrupt);
	mod_timer(&timer, jiffies + 2);
	return 0;
}

static void __exit clean_contexts_exit(void)
{
	wait_for_completion(&interrupted);
	wait_for_completion(&ticked);
	irq_work_sync(&interrupt);
	del_timer_sync(&timer);
	kfree(of_interrupt);
	kfree(of_timer);
}

module_init(clean_contexts_init);
module_exit(clean_contexts_exit);
MODULE_DESCRIPTION("Memory taken in interrupts and released in a process, and the other way");
MODULE_LICENSE("GPL");

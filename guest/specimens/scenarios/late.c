// SPDX-License-Identifier: GPL-2.0
// What uses memory when the scenario is over, and is waited for by no call of the scenario's.
#include <linux/bottom_half.h>
#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

#include "scenarios.h"

#define TICKS 16

static u64 *ticks;

static void *ticks_of(void *memory)
{
	ticks = memory;
	if (memory)
		LABEL(memory, "ticks");
	return memory;
}

static void *pool_ticks(void)
{
	return ticks_of(freeonce_pool_alloc_zeroed(TICKS * sizeof(u64), 8, TAG));
}

static void *slab_ticks(void)
{
	return ticks_of(kcalloc(TICKS, sizeof(u64), GFP_KERNEL));
}

static void give_pool_ticks(void)
{
	freeonce_pool_free(ticks, TICKS * sizeof(u64), 8);
}

static void give_slab_ticks(void)
{
	kfree(ticks);
}

static void count(void)
{
	WRITE_ONCE(ticks[5], ticks[5] + 1);
}

static void tick(struct timer_list *unused)
{
	count();
}

static DEFINE_TIMER(timer, tick);

/* With softirqs off this CPU runs no timer: it comes after what is done until they are on. */
static int timer_after(void *memory, void (*give)(void))
{
	if (!memory)
		return -ENOMEM;
	local_bh_disable();
	mod_timer(&timer, jiffies + 1);
	give();
	local_bh_enable();
	return 0;
}

static int pool_released_before_the_timer(void)
{
	return timer_after(pool_ticks(), give_pool_ticks);
}

static int slab_released_before_the_timer(void)
{
	return timer_after(slab_ticks(), give_slab_ticks);
}

static int slab_released_after_the_timer_was_deleted(void)
{
	if (!slab_ticks())
		return -ENOMEM;
	mod_timer(&timer, jiffies + 1);
	timer_delete_sync(&timer);
	give_slab_ticks();
	return 0;
}

static DECLARE_COMPLETION(given);

static void work_on_it(struct work_struct *unused)
{
	wait_for_completion(&given);
	count();
}

static DECLARE_WORK(work, work_on_it);

static int work_after(void *memory, void (*give)(void))
{
	if (!memory)
		return -ENOMEM;
	reinit_completion(&given);
	schedule_work(&work);
	give();
	complete(&given);
	return 0;
}

static int pool_released_before_the_work(void)
{
	return work_after(pool_ticks(), give_pool_ticks);
}

static int slab_released_before_the_work(void)
{
	return work_after(slab_ticks(), give_slab_ticks);
}

static int slab_released_after_the_work_was_flushed(void)
{
	if (!slab_ticks())
		return -ENOMEM;
	reinit_completion(&given);
	schedule_work(&work);
	complete(&given);
	flush_work(&work);
	give_slab_ticks();
	return 0;
}

static const struct scenario late[] = {
	FAULT("use-after-free/pool/c/timer", "use-after-free", "pool",
	      pool_released_before_the_timer, "A timer is deleted before what it uses is released."),
	FAULT("use-after-free/slab/c/timer", "use-after-free", "slab",
	      slab_released_before_the_timer, "The same of kmalloc(): it is due after the return."),
	OF_KERNEL("timer-deleted", slab_released_after_the_timer_was_deleted,
		  "timer_delete_sync(), then kfree()."),
	FAULT("use-after-free/pool/c/work", "use-after-free", "pool",
	      pool_released_before_the_work, "Work is flushed before what it uses is released."),
	FAULT("use-after-free/slab/c/work", "use-after-free", "slab",
	      slab_released_before_the_work, "The same of kmalloc(): it runs after the return."),
	OF_KERNEL("work-flushed", slab_released_after_the_work_was_flushed,
		  "flush_work(), then kfree()."),
};
SCENARIOS(late);

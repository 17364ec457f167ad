// SPDX-License-Identifier: GPL-2.0
// A timer that uses memory when the scenario is over, which no call of its waits for.
#include <linux/bottom_half.h>
#include <linux/jiffies.h>
#include <linux/slab.h>
#include <linux/timer.h>

#include "scenarios.h"

#define TICKS 16

static u64 *ticks;

static void tick(struct timer_list *unused)
{
	WRITE_ONCE(ticks[5], ticks[5] + 1);
}

static DEFINE_TIMER(timer, tick);

/* With softirqs off its CPU runs no timer: it comes after what is done until they are on. */
static int armed(void *memory)
{
	if (!memory)
		return -ENOMEM;
	ticks = memory;
	LABEL(memory, "ticks");
	mod_timer(&timer, jiffies + 1);
	return 0;
}

static int pool_released_before_it_ran(void)
{
	void *memory = freeonce_pool_alloc_zeroed(TICKS * sizeof(u64), 8, TAG);
	int error;

	local_bh_disable();
	error = armed(memory);
	if (!error)
		freeonce_pool_free(memory, TICKS * sizeof(u64), 8);
	local_bh_enable();
	return error;
}

static int slab_released_before_it_ran(void)
{
	void *memory = kcalloc(TICKS, sizeof(u64), GFP_KERNEL);
	int error;

	local_bh_disable();
	error = armed(memory);
	if (!error)
		kfree(memory);
	local_bh_enable();
	return error;
}

static int slab_released_after_it_was_deleted(void)
{
	int error = armed(kcalloc(TICKS, sizeof(u64), GFP_KERNEL));

	if (!error) {
		timer_delete_sync(&timer);
		kfree(ticks);
	}
	return error;
}

static const struct scenario timers[] = {
	FAULT("use-after-free/pool/c/timer", "use-after-free", "pool", pool_released_before_it_ran,
	      "A timer is deleted before what it uses is released."),
	FAULT("use-after-free/slab/c/timer", "use-after-free", "slab", slab_released_before_it_ran,
	      "The same of kmalloc(): the timer is due after the scenario has returned."),
	OF_KERNEL("timer-deleted", slab_released_after_it_was_deleted,
		  "timer_delete_sync(), then kfree()."),
};
SCENARIOS(timers);

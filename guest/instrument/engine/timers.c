// SPDX-License-Identifier: GPL-2.0
// Waits until each CPU has run the timers that are due.
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/cpu.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/percpu.h>
#include <linux/timer.h>

#include "engine/run.h"

#define PATIENCE_MS 10000

static DEFINE_PER_CPU(struct timer_list, last);
static atomic_t left = ATOMIC_INIT(0);
static DECLARE_COMPLETION(all_ran);

static void ran(struct timer_list *unused)
{
	if (atomic_dec_and_test(&left))
		complete(&all_ran);
}

/*
 * Waits until a timer of ours, due at the next tick, has run on each CPU. False: not in time, or
 * the last wait is not over yet.
 */
static bool one_awaited(void)
{
	unsigned int cpu;

	if (atomic_read(&left))
		return false;
	reinit_completion(&all_ran);
	cpus_read_lock();
	atomic_set(&left, num_online_cpus());
	for_each_online_cpu(cpu) {
		struct timer_list *timer = per_cpu_ptr(&last, cpu);

		timer->expires = jiffies + 1;
		add_timer_on(timer, cpu);
	}
	cpus_read_unlock();
	return wait_for_completion_timeout(&all_ran, msecs_to_jiffies(PATIENCE_MS));
}

/*
 * A CPU has several wheels and runs what is due in each, one wheel after the other: with its first
 * timer ours may come before others, its second one comes when all those have run.
 */
bool timers_awaited(void)
{
	lockdep_assert_held(&run_mutex);
	return one_awaited() && one_awaited();
}

void timers_open(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		timer_setup(per_cpu_ptr(&last, cpu), ran, TIMER_PINNED);
}

void timers_close(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		timer_delete_sync(per_cpu_ptr(&last, cpu));
}

// SPDX-License-Identifier: GPL-2.0
// Timers that are due have run: a CPU that was slow to do so is waited for.
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/cpu.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/percpu.h>
#include <linux/timer.h>

#include "engine/run.h"
#include "kernel/kernel.h"

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
 * A CPU runs its timers in the order in which they are due, so that one of ours, due at the next
 * tick, comes after all that were due before. False: not in time, or not even since last time.
 */
bool timers_awaited(void)
{
	unsigned int cpu;

	lockdep_assert_held(&run_mutex);
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

// SPDX-License-Identifier: GPL-2.0
// Code on a CPU of one's choice, in process context.
#include <linux/cpumask.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "books/books.h"
#include "cpu/cpu.h"

struct task {
	struct work_struct work;
	on_cpu_body body;
	void *argument;
	int result;
};

static DEFINE_PER_CPU(struct task, tasks);
static bool only_one; /* by the run mutex */

/*
 * While a scenario is on that declares one CPU: whatever the machine has, it runs on the first and
 * gets no other. By the task that runs it.
 */
void one_cpu_only(bool only)
{
	static struct cpumask before;

	if (only) {
		cpumask_copy(&before, current->cpus_ptr);
		set_cpus_allowed_ptr(current, cpumask_of(0));
	} else if (only_one) {
		set_cpus_allowed_ptr(current, &before);
	}
	only_one = only;
}

u32 freeonce_cpu_count(void)
{
	return only_one ? 1 : num_online_cpus();
}
EXPORT_SYMBOL_GPL(freeonce_cpu_count);

static void run(struct work_struct *work)
{
	struct task *task = container_of(work, struct task, work);

	task->result = task->body(task->argument);
}

static void start(u32 cpu, on_cpu_body body, void *argument)
{
	struct task *task = per_cpu_ptr(&tasks, cpu);

	task->body = body;
	task->argument = argument;
	INIT_WORK(&task->work, run);
	queue_work_on(cpu, system_long_wq, &task->work);
}

static int finish(u32 cpu)
{
	struct task *task = per_cpu_ptr(&tasks, cpu);

	flush_work(&task->work);
	return task->result;
}

/* A body that had another one done would wait for itself, or take the task that others are in. */
static bool in_body(void)
{
	const struct work_struct *work = current_work();

	return work && work->func == run;
}

/*
 * What `body` returns; -ENODEV; -EDEADLK in a body. Under the run mutex, like all that scenarios
 * call.
 */
int freeonce_on_cpu(u32 cpu, on_cpu_body body, void *argument)
{
	if (in_body())
		return -EDEADLK;
	if (only_one && cpu) {
		books_blind(BLIND_CPUS, 0);
		return -ENODEV;
	}
	if (cpu >= nr_cpu_ids || !cpu_online(cpu))
		return -ENODEV;
	start(cpu, body, argument);
	return finish(cpu);
}
EXPORT_SYMBOL_GPL(freeonce_on_cpu);

/*
 * All that are online at once, of which a scenario that declares one CPU has one. Returns when the
 * last one is done: 0, or what the last that failed returned. -EDEADLK in a body.
 */
int freeonce_on_each_cpu(on_cpu_body body, void *argument)
{
	int error = 0;
	u32 cpu;

	if (in_body())
		return -EDEADLK;
	for_each_online_cpu(cpu)
		if (!only_one || !cpu)
			start(cpu, body, argument);
	for_each_online_cpu(cpu)
		if (!only_one || !cpu)
			error = finish(cpu) ?: error;
	return error;
}
EXPORT_SYMBOL_GPL(freeonce_on_each_cpu);

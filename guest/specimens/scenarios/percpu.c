// SPDX-License-Identifier: GPL-2.0
// Per-CPU memory: used as it should be, and each sin against it.
#include <linux/percpu.h>
#include <linux/slab.h>

#include "scenarios.h"

struct stats {
	u64 events[8];
};

static int percpu_right(void)
{
	struct stats __percpu *stats = alloc_percpu(struct stats);

	if (!stats)
		return -ENOMEM;
	this_cpu_inc(stats->events[3]);
	free_percpu(stats);
	return 0;
}

static int percpu_leak(void)
{
	return alloc_percpu(struct stats) ? 0 : -ENOMEM;
}

static int percpu_double_free(void)
{
	struct stats __percpu *stats = alloc_percpu(struct stats);

	free_percpu(stats);
	STEP("second release");
	free_percpu(stats);
	return stats ? 0 : -ENOMEM;
}

static int percpu_mismatched_free(void)
{
	struct stats __percpu *stats = alloc_percpu(struct stats);

	STEP("kfree");
	kfree((void __force *)stats);
	free_percpu(stats);
	return stats ? 0 : -ENOMEM;
}

static int percpu_use_after_free(void)
{
	struct stats __percpu *stats = alloc_percpu(struct stats);

	free_percpu(stats);
	if (!stats)
		return -ENOMEM;
	this_cpu_inc(stats->events[3]);
	return 0;
}

static const struct scenario percpu_scenarios[] = {
	OF_KERNEL("percpu", percpu_right, "One release gives back every CPU's part."),
	FAULT("leak/percpu/c", "leak", "percpu", percpu_leak,
	      "Per-CPU memory that is never released is a leak on every CPU."),
	FAULT("double-free/percpu/c", "double-free", "percpu", percpu_double_free,
	      "The second release of one allocation is one too many."),
	FAULT("mismatched-free/percpu/c", "mismatched-free", "percpu", percpu_mismatched_free,
	      "Per-CPU memory goes back by free_percpu(): its cookie is no address."),
	FAULT("use-after-free/percpu/c", "use-after-free", "percpu", percpu_use_after_free,
	      "A count in released per-CPU memory breaks the poison of that CPU's part."),
};
SCENARIOS(percpu_scenarios);

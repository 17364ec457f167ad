// SPDX-License-Identifier: GPL-2.0
// What watching a VMRUN costs: round trips of one L2, bare and with each part of the watching.
#include <linux/errno.h>
#include <linux/irqflags.h>
#include <linux/ktime.h>

#include "bench/bench.h"
#include "books/books.h"

/* The L2 changes nothing that switch_world() saves but DR6, which is left as after reset. */
static void bare(struct vcpu *vcpu)
{
	unsigned long flags;

	local_irq_save(flags);
	vmrun_world_switch(vcpu);
	local_irq_restore(flags);
}

static void operands(struct vcpu *vcpu)
{
	operand_check(vcpu, true);
	bare(vcpu);
}

static void records(struct vcpu *vcpu)
{
	vcpu_append_entry(vcpu, false);
	bare(vcpu);
	vcpu_append_exit(vcpu);
}

static void unchecked(struct vcpu *vcpu)
{
	vcpu->flags |= VCPU_UNCHECKED;
	freeonce_svm_run(vcpu);
}

static void checked(struct vcpu *vcpu)
{
	vcpu->flags &= ~VCPU_UNCHECKED;
	freeonce_svm_run(vcpu);
}

const struct bench_vmrun bench_vmruns[BENCH_VMRUNS] = {
	{ "bare", bare },
	{ "operands", operands },
	{ "records", records },
	{ "unchecked", unchecked },
	{ "checked", checked },
};

static u64 nanoseconds(struct vcpu *vcpu, void (*trip)(struct vcpu *))
{
	ktime_t start = ktime_get();
	int i;

	for (i = 0; i < BENCH_TRIPS; i++)
		trip(vcpu);
	return ktime_to_ns(ktime_sub(ktime_get(), start)) / BENCH_TRIPS;
}

/* Turn by turn, so that what else the machine does falls on all of them alike. */
static void measure(struct vcpu *vcpu, void *into)
{
	u64 (*round)[BENCH_VMRUNS] = into;
	int i, j;

	for (i = 0; i < BENCH_VMRUNS; i++)
		nanoseconds(vcpu, bench_vmruns[i].trip); /* warm */
	for (i = 0; i < BENCH_ROUNDS; i++)
		for (j = 0; j < BENCH_VMRUNS; j++)
			round[i][j] = nanoseconds(vcpu, bench_vmruns[j].trip);
}

/* With the run mutex held, outside of any run. `into`: u64 [BENCH_ROUNDS][BENCH_VMRUNS]. */
int bench_measure_vmrun(const struct scenario_table *table, void *into)
{
	int error = table ? table->with_l2(measure, into) : -ENOENT;

	allocation_reclaim_all();
	return error;
}

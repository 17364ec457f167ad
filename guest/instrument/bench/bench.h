/* SPDX-License-Identifier: GPL-2.0 */
/* What watching costs. Each `into` is for scenario_bench(). */
#ifndef FREEONCE_BENCH_H
#define FREEONCE_BENCH_H

#include <linux/types.h>

#include "engine/engine.h"

/* pair.c: nanoseconds for one allocate/release pair. */
struct bench_pair {
	u64 bare;
	u64 ledger;
	u64 witness;
};

int bench_measure_pair(const struct scenario_table *table, void *into);

/* vmrun.c: nanoseconds for one VMRUN and its #VMEXIT. */
#define BENCH_VMRUNS 5
#define BENCH_ROUNDS 20
#define BENCH_TRIPS 200 /* all the records of all the rounds fit into the ledger */

struct bench_vmrun {
	const char *name;
	void (*trip)(struct vcpu *vcpu);
};

extern const struct bench_vmrun bench_vmruns[BENCH_VMRUNS];
int bench_measure_vmrun(const struct scenario_table *table, void *into);

#endif

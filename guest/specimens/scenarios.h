/* SPDX-License-Identifier: GPL-2.0 */
/* How a scenario is declared in C, and what the files of this module offer each other. */
#ifndef FREEONCE_SCENARIOS_H
#define FREEONCE_SCENARIOS_H

#include <linux/errno.h>
#include <linux/kernel.h>

#include "declared.h"
#include "engine/engine.h"
#include "families/families.h"
#include "ledger/ledger.h"

/* One array of scenarios of a file. There may be several. */
struct scenario_array {
	const struct scenario *first;
	size_t count;
};

/* Puts an array of `SCENARIO(...)` into the table. Entries without a name are left out. */
#define SCENARIOS(ARRAY)                                                          \
	static const struct scenario_array ARRAY##_in_table                       \
		__used __section("scenarios") = { ARRAY, ARRAY_SIZE(ARRAY) }

/*
 * One scenario that must be clean; behind RUN `EXPECT(FINDING(...), ...)`, `ENDS`, `CPUS`, `SHARES`,
 * `.needs`.
 */
#define SCENARIO(NAME, SECTION, LESSON, RUN, ...) \
	{                                         \
		.name = DECLARED_NAME(NAME),      \
		.section = SECTION,               \
		.language = "C",                  \
		.lesson = LESSON,                 \
		.run = RUN,                       \
		__VA_ARGS__                       \
	}

/* A finding that the audit must make; behind KIND `.at`, `.what`, `.because`. */
#define FINDING(RULE, KIND, ...) \
	{ .rule = DECLARED_RULE(RULE), .kind = DECLARED_KIND(KIND), __VA_ARGS__ }

/* How it loses its guest. It is then only run when named. */
#define ENDS(LOSS) .ends = DECLARED_LOSS(LOSS)

/*
 * How many CPUs it needs; with fewer it is unsupported. One that declares none needs one, runs on the
 * first, and is given no other.
 */
#define CPUS(COUNT) .cpus = DECLARED_CPUS(COUNT)

/* It leaves nothing behind: others may come before and after it in one guest. */
#define SHARES .shares = 1

/* Exactly these findings, in any order. */
#define EXPECT(...)                                                        \
	.expected = (const struct expectation[]){ __VA_ARGS__ },           \
	.expected_count = sizeof((const struct expectation[]){ __VA_ARGS__ }) / \
			  sizeof(struct expectation)

/* A planted fault: exactly one finding of this rule. */
#define FAULT(NAME, RULE, KIND, RUN, LESSON, ...)                           \
	SCENARIO("fault/" NAME, "Planted faults, from C", LESSON, RUN,      \
		 EXPECT(FINDING(RULE, KIND)), __VA_ARGS__)

/* The same calls used as they should be: nothing to find. */
#define OF_KERNEL(NAME, RUN, LESSON) \
	SCENARIO("kernel/" NAME, "The kernel's own allocators, from C", LESSON, RUN, SHARES)

#define STEP(text) freeonce_step(text, sizeof(text) - 1)
#define LABEL(pointer, text) freeonce_label(pointer, text, sizeof(text) - 1)

#define TAG FREEONCE_TAG('f', 'o', 'c', ' ')

#define ANYWHERE .highest = ~0ULL, .node = -1, .cache = CACHE_WB

/* table.c */
const struct scenario *scenario_at(size_t index);

/* unload.c: what this module leaves behind, if the last run planted it. */
enum unload_left {
	LEFT_EFER = 1,
	LEFT_HOST_SAVE_AREA = 2,
};

void unload_after(u32 planted);
void unload_leave(void);

/* rust/src/scenario.rs, rust/src/svm/bench.rs */
int freeonce_rust_run(const struct scenario *scenario);
int freeonce_rust_bench(void (*measure)(struct vcpu *vcpu, void *into), void *into);

#endif

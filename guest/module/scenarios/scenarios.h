/* SPDX-License-Identifier: GPL-2.0 */
/* How a scenario is declared in C. Each array ends with an entry without a name. */
#ifndef FREEONCE_SCENARIOS_H
#define FREEONCE_SCENARIOS_H

#include <linux/errno.h>
#include <linux/kernel.h>

#include "../freeonce.h"

#define EXPECT(...)                                                        \
	.expected = (const struct expectation[]){ __VA_ARGS__ },           \
	.expected_count = sizeof((const struct expectation[]){ __VA_ARGS__ }) / \
			  sizeof(struct expectation)

/* A planted fault: exactly one finding of this rule. */
#define FAULT(NAME, RULE, KIND, RUN, LESSON, ...)              \
	{                                                      \
		.name = "fault/" NAME,                         \
		.section = "Planted faults, from C",           \
		.language = "C",                               \
		.lesson = LESSON,                              \
		EXPECT({ .rule = RULE, .kind = KIND }),        \
		.run = RUN,                                    \
		__VA_ARGS__                                    \
	}

#define STEP(text) freeonce_step(text, sizeof(text) - 1)
#define LABEL(pointer, text) freeonce_label(pointer, text, sizeof(text) - 1)

#define TAG FREEONCE_TAG('f', 'o', 'c', ' ')

#define ANYWHERE .highest = ~0ULL, .node = -1, .cache = CACHE_WB

extern const struct scenario basic_scenarios[];
extern const struct scenario fault_scenarios[];
extern const struct scenario l2_scenarios[];
extern const struct scenario hardware_scenarios[];
extern const struct scenario postmortem_scenarios[];

#endif

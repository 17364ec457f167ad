// SPDX-License-Identifier: GPL-2.0
// All scenarios, C and Rust alike, in the order of the report: planted faults last.
#include <linux/string.h>

#include "scenarios.h"

/* specimens.lds */
extern const struct scenario_array scenarios_begin[], scenarios_end[];

/* In the order of the report. */
enum part { RUST, PLAIN, PLANTED, RUST_PLANTED, LOSING, PARTS };

static enum part part_of(const struct scenario *scenario)
{
	bool rust = !scenario->run;

	if (scenario->ends)
		return LOSING;
	if (str_has_prefix(scenario->name, "fault/"))
		return rust ? RUST_PLANTED : PLANTED;
	return rust ? RUST : PLAIN;
}

static const struct scenario *in_part(enum part part, size_t *index)
{
	const struct scenario_array *array;
	const struct scenario *one;

	for (array = scenarios_begin; array < scenarios_end; array++)
		for (one = array->first; one < array->first + array->count; one++)
			if (one->name && part_of(one) == part && !(*index)--)
				return one;
	return NULL;
}

/* NULL behind the last one. */
const struct scenario *scenario_at(size_t index)
{
	const struct scenario *scenario = NULL;
	enum part part;

	for (part = 0; part < PARTS && !scenario; part++)
		scenario = in_part(part, &index);
	return scenario;
}

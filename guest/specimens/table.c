// SPDX-License-Identifier: GPL-2.0
// All scenarios, C and Rust alike, in the order of the report: planted faults last.
#include <linux/string.h>

#include "scenarios.h"

/* specimens.lds */
extern const struct scenario_array scenarios_begin[], scenarios_end[];

enum part { PLAIN, PLANTED, LOSING };

static enum part part_of(const struct scenario *scenario)
{
	if (scenario->ends)
		return LOSING;
	return str_has_prefix(scenario->name, "fault/") ? PLANTED : PLAIN;
}

static const struct scenario *in_c(enum part part, size_t index)
{
	const struct scenario_array *array;
	const struct scenario *one;

	for (array = scenarios_begin; array < scenarios_end; array++)
		for (one = array->first; one < array->first + array->count; one++)
			if (one->name && part_of(one) == part && !index--)
				return one;
	return NULL;
}

static const struct scenario *plain(size_t index)
{
	return in_c(PLAIN, index);
}

static const struct scenario *fault(size_t index)
{
	return in_c(PLANTED, index);
}

static const struct scenario *losing(size_t index)
{
	return in_c(LOSING, index);
}

static const struct scenario *rust(size_t index)
{
	return freeonce_rust_scenario(false, index);
}

static const struct scenario *rust_fault(size_t index)
{
	return freeonce_rust_scenario(true, index);
}

/* NULL behind the last one. */
const struct scenario *scenario_at(size_t index)
{
	static const struct scenario *(*const parts[])(size_t) = {
		rust, plain, fault, rust_fault, losing,
	};
	const struct scenario *scenario;
	size_t part, i;

	for (part = 0; part < ARRAY_SIZE(parts); part++)
		for (i = 0; (scenario = parts[part](i)); i++)
			if (!index--)
				return scenario;
	return NULL;
}

// SPDX-License-Identifier: GPL-2.0
// All scenarios, C and Rust alike, in the order of the report: planted faults last.
#include "scenarios.h"

static const struct scenario *in_array(const struct scenario *array, size_t index)
{
	size_t i;

	for (i = 0; array[i].name; i++)
		if (i == index)
			return &array[i];
	return NULL;
}

static const struct scenario *basic(size_t index)
{
	return in_array(basic_scenarios, index);
}

static const struct scenario *fault(size_t index)
{
	return in_array(fault_scenarios, index);
}

static const struct scenario *l2(size_t index)
{
	return in_array(l2_scenarios, index);
}

static const struct scenario *hardware(size_t index)
{
	return in_array(hardware_scenarios, index);
}

static const struct scenario *postmortem(size_t index)
{
	return in_array(postmortem_scenarios, index);
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
		rust, basic, l2, fault, hardware, rust_fault, postmortem,
	};
	const struct scenario *scenario;
	size_t part, i;

	for (part = 0; part < ARRAY_SIZE(parts); part++)
		for (i = 0; (scenario = parts[part](i)); i++)
			if (!index--)
				return scenario;
	return NULL;
}

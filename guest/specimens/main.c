// SPDX-License-Identifier: GPL-2.0
// The specimens: code that freeonce judges, right and wrong. A module like any other to it.
#include <linux/module.h>

#include "scenarios.h"

static int run(const struct scenario *scenario)
{
	return scenario->run ? scenario->run() : freeonce_rust_run(scenario);
}

static const struct scenario_table table = {
	.owner = THIS_MODULE,
	.at = scenario_at,
	.run = run,
	.with_l2 = freeonce_rust_bench,
};

static int __init specimens_init(void)
{
	return freeonce_register_scenarios(&table);
}

static void __exit specimens_exit(void)
{
	freeonce_unregister_scenarios();
	unload_leave();
}

module_init(specimens_init);
module_exit(specimens_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("freeonce's scenarios: owners, planted faults, L2s, a hypervisor");

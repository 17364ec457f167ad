// SPDX-License-Identifier: GPL-2.0
// A buffer of the kernel's, and its release.
#include <linux/slab.h>

#include "scenarios.h"

static int buffer(void)
{
	char *text = kmalloc(100, GFP_KERNEL);

	if (!text)
		return -ENOMEM;
	STEP("release");
	kfree(text);
	return 0;
}

static const struct scenario buffer_scenarios[] = {
	SCENARIO("mine/buffer", "My own code, in C", "What kmalloc() gave, kfree() takes.", buffer),
};
SCENARIOS(buffer_scenarios);

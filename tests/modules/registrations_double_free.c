// SPDX-License-Identifier: GPL-2.0
// Has each subsystem forget it twice.
#include "registrations.h"

static void __exit registrations_double_free_exit(void)
{
	int i;

	give_all(ARRAY_SIZE(pairs));
	for (i = 0; i < ARRAY_SIZE(pairs); i++)
		pairs[i].again();
}

module_init(take_all);
module_exit(registrations_double_free_exit);
MODULE_DESCRIPTION("Is forgotten twice");
MODULE_LICENSE("GPL");

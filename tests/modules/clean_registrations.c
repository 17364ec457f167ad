// SPDX-License-Identifier: GPL-2.0
// Is known to every subsystem that there is a pair of functions for, and takes all of it back.
#include "registrations.h"

static void __exit clean_registrations_exit(void)
{
	give_all(ARRAY_SIZE(pairs));
}

module_init(take_all);
module_exit(clean_registrations_exit);
MODULE_DESCRIPTION("Is known to every subsystem");
MODULE_LICENSE("GPL");

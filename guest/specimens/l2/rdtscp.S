/* SPDX-License-Identifier: GPL-2.0 */
/* RDTSCP, 15.9. */
#include "program.h"

	program rdtscp, LONG
	exit	EXIT_RDTSCP, rdtscp
	done

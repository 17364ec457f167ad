/* SPDX-License-Identifier: GPL-2.0 */
/* RDTSC, 15.9. */
#include "program.h"

	program rdtsc, LONG
	exit	EXIT_RDTSC, rdtsc
	done

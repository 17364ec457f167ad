/* SPDX-License-Identifier: GPL-2.0 */
/* INT n, 15.9. */
#include "program.h"

	program swint, LONG
	exit	EXIT_SWINT, int $0x20
	done

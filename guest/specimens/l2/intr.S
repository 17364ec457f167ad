/* SPDX-License-Identifier: GPL-2.0 */
/* An interrupt of the host ends the run of an L2 that never would, 15.13.1. */
#include "program.h"

	program intr, LONG
	exit_at	EXIT_INTR, ANYWHERE, "CODE_BASE + 76f - 70b"
75:	jmp	75b
76:
	done

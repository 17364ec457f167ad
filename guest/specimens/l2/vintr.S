/* SPDX-License-Identifier: GPL-2.0 */
/* A virtual interrupt as soon as the L2 would take it, 15.13.5. */
#include "program.h"

	program vintr, LONG
	exit_at	EXIT_VINTR, ANYWHERE, GO_ON
	sti
	nop
	nop
	done

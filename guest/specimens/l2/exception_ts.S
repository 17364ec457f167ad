/* SPDX-License-Identifier: GPL-2.0 */
/* #TS: INT n at CPL 3, and the TSS has no room for a stack, 15.12.11. */
#include "program.h"

	program exception_ts, LONG
	push	$DATA_DPL3
	push	$STACK_TOP
	push	$2
	push	$CODE_DPL3
	push	$CODE_BASE + 75f - 70b
	iretq
75:	exit	EXIT_EXCEPTION(10), int $0x20
	done

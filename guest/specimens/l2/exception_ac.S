/* SPDX-License-Identifier: GPL-2.0 */
/* #AC: a misaligned access at CPL 3 with CR0.AM and RFLAGS.AC, 15.12.17. */
#include "program.h"

	program exception_ac, LONG
	push	$DATA_DPL3
	push	$STACK_TOP
	push	$0x40002
	push	$CODE_DPL3
	push	$CODE_BASE + 75f - 70b
	iretq
75:	exit_with EXIT_EXCEPTION(17), 0, ~0, mov DATA + 1, %eax
	done

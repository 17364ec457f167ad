/* SPDX-License-Identifier: GPL-2.0 */
/* #DB by single step: a trap, behind the instruction, 15.12.2. */
#include "program.h"

	program exception_db, LONG
	push	$0x102
	popf
	nop
	exit_at	EXIT_EXCEPTION(1), "CODE_BASE + 75f - 70b", GO_ON
75:
	done

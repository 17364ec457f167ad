/* SPDX-License-Identifier: GPL-2.0 */
/* #NPF: not present, write, execute, reserved bit, beyond the tables, 15.25.6. Whether the
 * fault on a reserved bit is one of a present page (bit 0), emulators do not agree. */
#include "program.h"

	program nested_page_faults, LONG
	exit_with EXIT_NPF, 4, 0x1f, mov NOT_NESTED, %eax
	exit_with EXIT_NPF, 6, 0x1f, mov %eax, NOT_NESTED
	mov	READ_ONLY, %eax
	exit_with EXIT_NPF, 7, 0x1f, mov %eax, READ_ONLY
	mov	NO_EXECUTE, %eax
	mov	$NO_EXECUTE, %eax
	jmp	*%rax
	expect	EXIT_NPF, 0x15, 0x1f, NO_EXECUTE, "CODE_BASE + 75f - 70b", 0
75:	exit_with EXIT_NPF, 0xc, 0x1e, mov RESERVED_BIT, %eax
	exit_with EXIT_NPF, 4, 0x1f, mov BEYOND, %eax
	done

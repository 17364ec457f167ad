/* SPDX-License-Identifier: GPL-2.0 */
/* Control registers, 15.9. */
#include "program.h"

	program cr, LONG
	exit	EXIT_CR_READ(0), mov %cr0, %rax
	exit	EXIT_CR_WRITE(0), mov %rax, %cr0
	exit	EXIT_CR_WRITE(2), mov %rax, %cr2
	exit	EXIT_CR_WRITE(3), mov %rax, %cr3
	exit	EXIT_CR_WRITE(4), mov %rax, %cr4
	exit	EXIT_CR_WRITE(8), mov %rax, %cr8
	exit	EXIT_CR_READ(0), smsw %ax
	exit	EXIT_CR_WRITE(0), clts
	exit	EXIT_CR_WRITE(0), lmsw %ax
	done

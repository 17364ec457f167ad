/* SPDX-License-Identifier: GPL-2.0 */
/* Reads of control registers, 15.9. Of its own: QEMU 9.1 and later takes each for one of CR0. */
#include "program.h"

	program cr_read, LONG
	exit	EXIT_CR_READ(2), mov %cr2, %rax
	exit	EXIT_CR_READ(3), mov %cr3, %rax
	exit	EXIT_CR_READ(4), mov %cr4, %rax
	exit	EXIT_CR_READ(8), mov %cr8, %rax
	done

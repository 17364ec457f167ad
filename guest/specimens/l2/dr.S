/* SPDX-License-Identifier: GPL-2.0 */
/* Debug registers, 15.9. */
#include "program.h"

	program dr, LONG
	.irp	number, 0, 1, 2, 3, 6, 7
	exit	EXIT_DR_READ(\number), mov %db\number, %rax
	exit	EXIT_DR_WRITE(\number), mov %rax, %db\number
	.endr
	done

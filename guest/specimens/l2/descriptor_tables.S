/* SPDX-License-Identifier: GPL-2.0 */
/* Loads and stores of GDTR, IDTR, LDTR and TR, 15.9. */
#include "program.h"

	program descriptor_tables, LONG
	exit	EXIT_GDTR_READ, sgdt DATA
	exit	EXIT_IDTR_READ, sidt DATA
	exit	EXIT_LDTR_READ, sldt %ax
	exit	EXIT_TR_READ, str %ax
	exit	EXIT_GDTR_WRITE, lgdt DATA
	exit	EXIT_IDTR_WRITE, lidt DATA
	exit	EXIT_LDTR_WRITE, lldt %ax
	exit	EXIT_TR_WRITE, ltr %ax
	done

/* SPDX-License-Identifier: GPL-2.0 */
/* A write of CR0 that changes more than TS and MP, 15.9; CR0 writes as such go through. */
#include "program.h"

	program cr0_sel_write, LONG
	mov	%cr0, %rax
	mov	%rax, %cr0
	or	$0x40000000, %eax
	exit	EXIT_CR0_SEL_WRITE, mov %rax, %cr0
	done

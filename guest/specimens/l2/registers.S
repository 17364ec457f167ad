/* SPDX-License-Identifier: GPL-2.0 */
/* Writes over every register that VMRUN does not bring back by itself. */
#include "program.h"

	program registers, LONG
	fninit
	fldpi
	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	pcmpeqd	%xmm\number, %xmm\number
	.endr
	.irp	register, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	mov	$-1, %\register
	.endr
	mov	$DATA_DPL3, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
	swapgs
	done

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RDMSR and WRMSR through the permissions map, 15.11: an MSR of each of its ranges with
 * each pair of bits, and one of no range, which always exits. EXITINFO1: 0 read, 1 write.
 * Those that go through are the L2's own, by VMLOAD and VMSAVE.
 */
#include "program.h"

#define SYSENTER_CS 0x174
#define STAR 0xc0000081
#define TSC_RATIO 0xc0010064
#define NO_RANGE 0x40000000

	.macro may_exit intercepted, info, instruction
	.if	\intercepted
	exit_with EXIT_MSR, \info, ~0, \instruction
	.else
	\instruction
	.endif
	.endm

	.macro access msr, read, write
	mov	$\msr, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	may_exit \read, 0, rdmsr
	xor	%eax, %eax
	xor	%edx, %edx
	may_exit \write, 1, wrmsr
	.endm

	.macro bits name, read, write
	program \name, LONG
	access	SYSENTER_CS, \read, \write
	access	STAR, \read, \write
	access	NO_RANGE, 1, 1
	done
	.endm

	bits	msr_none, 0, 0
	bits	msr_read, 1, 0
	bits	msr_write, 0, 1
	bits	msr_both, 1, 1

/* No write of the third range is harmless, so it always exits. */
	program msr_high, LONG
	access	TSC_RATIO, 1, 1
	done

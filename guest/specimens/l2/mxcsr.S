/* SPDX-License-Identifier: GPL-2.0 */
/* MXCSR of 0, which is no value after reset (11.5.2), is the same after an exit. */
#include "program.h"

	program mxcsr, LONG
	movl	$0, DATA
	ldmxcsr	DATA
	exit	EXIT_CPUID, cpuid
	movl	$-1, DATA
	stmxcsr	DATA
	cmpl	$0, DATA
	je	75f
	hlt
75:
	done

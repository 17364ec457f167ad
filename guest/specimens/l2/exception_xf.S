/* SPDX-License-Identifier: GPL-2.0 */
/* #XF: a division by zero, unmasked, 15.12.19. */
#include "program.h"

	program exception_xf, LONG
	movl	$0x1d80, DATA
	ldmxcsr	DATA
	movl	$0x3f800000, DATA
	movss	DATA, %xmm0
	xorps	%xmm1, %xmm1
	exit	EXIT_EXCEPTION(19), divss %xmm1, %xmm0
	done

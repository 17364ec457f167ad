/* SPDX-License-Identifier: GPL-2.0 */
/* MONITOR and MWAIT, 15.9. */
#include "program.h"

	program mwait, LONG
	mov	$DATA, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	exit	EXIT_MONITOR, monitor
	exit	EXIT_MWAIT, mwait
	done

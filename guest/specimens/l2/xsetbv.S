/* SPDX-License-Identifier: GPL-2.0 */
/* XSETBV of XCR0, 15.9. */
#include "program.h"

	program xsetbv, LONG
	xor	%ecx, %ecx
	xor	%edx, %edx
	mov	$1, %eax
	exit	EXIT_XSETBV, xsetbv
	done

/* SPDX-License-Identifier: GPL-2.0 */
/* RDPRU of MPERF, 15.9. */
#include "program.h"

	program rdpru, LONG
	xor	%ecx, %ecx
	exit	EXIT_RDPRU, .byte 0x0f, 0x01, 0xfd
	done

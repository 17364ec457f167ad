/* SPDX-License-Identifier: GPL-2.0 */
/* RDPMC of the first counter, 15.9. */
#include "program.h"

	program rdpmc, LONG
	xor	%ecx, %ecx
	exit	EXIT_RDPMC, rdpmc
	done

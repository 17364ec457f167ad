/* SPDX-License-Identifier: GPL-2.0 */
/* SKINIT, 15.9. */
#include "program.h"

	program skinit, LONG
	xor	%eax, %eax
	exit	EXIT_SKINIT, skinit %eax
	done

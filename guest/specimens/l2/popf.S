/* SPDX-License-Identifier: GPL-2.0 */
/* POPF of what PUSHF would have stored, 15.9. */
#include "program.h"

	program popf, LONG
	push	$2
	exit	EXIT_POPF, popf
	done

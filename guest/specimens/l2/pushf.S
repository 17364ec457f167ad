/* SPDX-License-Identifier: GPL-2.0 */
/* PUSHF, 15.9. */
#include "program.h"

	program pushf, LONG
	exit	EXIT_PUSHF, pushf
	done

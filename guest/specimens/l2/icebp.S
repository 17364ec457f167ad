/* SPDX-License-Identifier: GPL-2.0 */
/* ICEBP, 15.9. */
#include "program.h"

	program icebp, LONG
	exit	EXIT_ICEBP, .byte 0xf1
	done

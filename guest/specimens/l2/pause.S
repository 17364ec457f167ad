/* SPDX-License-Identifier: GPL-2.0 */
/* PAUSE, 15.9. */
#include "program.h"

	program pause, LONG
	exit	EXIT_PAUSE, pause
	done

/* SPDX-License-Identifier: GPL-2.0 */
/* VMMCALL, 15.9. */
#include "program.h"

	program vmmcall, LONG
	exit	EXIT_VMMCALL, vmmcall
	done

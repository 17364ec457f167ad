/* SPDX-License-Identifier: GPL-2.0 */
/* #NM: CR0.TS is set, 15.12.8. */
#include "program.h"

	program exception_nm, LONG
	exit	EXIT_EXCEPTION(7), fnop
	done

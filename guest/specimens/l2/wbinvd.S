/* SPDX-License-Identifier: GPL-2.0 */
/* WBINVD, 15.9. */
#include "program.h"

	program wbinvd, LONG
	exit	EXIT_WBINVD, wbinvd
	done

/* SPDX-License-Identifier: GPL-2.0 */
/* HLT, 15.9. */
#include "program.h"

	program hlt, LONG
	exit	EXIT_HLT, hlt
	done

/* SPDX-License-Identifier: GPL-2.0 */
/* RSM, 15.9. */
#include "program.h"

	program rsm, LONG
	exit	EXIT_RSM, rsm
	done

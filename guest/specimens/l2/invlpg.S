/* SPDX-License-Identifier: GPL-2.0 */
/* INVLPG, 15.9. EXITINFO1 is the address only with decode assists. */
#include "program.h"

	program invlpg, LONG
	exit	EXIT_INVLPG, invlpg DATA
	done

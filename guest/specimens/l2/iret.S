/* SPDX-License-Identifier: GPL-2.0 */
/* IRETQ, 15.9. */
#include "program.h"

	program iret, LONG
	exit	EXIT_IRET, iretq
	done

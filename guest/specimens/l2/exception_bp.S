/* SPDX-License-Identifier: GPL-2.0 */
/* #BP by INT3, 15.12.4. */
#include "program.h"

	program exception_bp, LONG
	exit_at	EXIT_EXCEPTION(3), ANYWHERE, "CODE_BASE + 75f - 70b"
	int3
75:
	done

/* SPDX-License-Identifier: GPL-2.0 */
/* SHUTDOWN by a triple fault: no exception is intercepted, and the IDT is empty, 15.14.3. */
#include "program.h"

	program shutdown, LONG
	exit_at	EXIT_SHUTDOWN, ANYWHERE, "CODE_BASE + 75f - 70b"
	ud2
75:
	done

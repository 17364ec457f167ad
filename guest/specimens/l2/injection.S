/* SPDX-License-Identifier: GPL-2.0 */
/* An event that VMRUN injects comes before the first instruction, 15.20. The handler asks for VMMCALL. */
#include "program.h"

	program injection, LONG
	exit_at	EXIT_VMMCALL, "HANDLERS + 16 * 0x20", "HANDLERS + 16 * 0x20 + 3"
	nop
	done

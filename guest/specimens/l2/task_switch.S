/* SPDX-License-Identifier: GPL-2.0 */
/* A far jump to a TSS, 15.14.1. Where it is not intercepted the other task asks for VMMCALL. */
#include "program.h"

	program task_switch, PROTECTED
	exit_with EXIT_TASK_SWITCH, OTHER_TASK, 0xffff, ljmp $OTHER_TASK, $0
	done

/* SPDX-License-Identifier: GPL-2.0 */
/* Exits for ever: the run's budget of exits must end it. */
#include "program.h"

	program chatty, LONG
75:	cpuid
	jmp	75b
	done

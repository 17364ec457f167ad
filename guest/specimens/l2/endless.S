/* SPDX-License-Identifier: GPL-2.0 */
/* Never exits by itself: the run's budget of time must end it. */
#include "program.h"

	program endless, LONG
75:	jmp	75b
	done

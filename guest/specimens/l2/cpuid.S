/* SPDX-License-Identifier: GPL-2.0 */
/* CPUID, 15.9. */
#include "program.h"

	program cpuid, LONG
	xor	%eax, %eax
	exit	EXIT_CPUID, cpuid
	done

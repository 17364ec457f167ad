/* SPDX-License-Identifier: GPL-2.0 */
/* Real mode: CPUID, I/O, VMMCALL, HLT. */
#include "program.h"

	program real_mode, REAL
	exit	EXIT_CPUID, cpuid
	exit	EXIT_IOIO, in $0x80, %al
	exit	EXIT_VMMCALL, vmmcall
	exit	EXIT_HLT, hlt
	done

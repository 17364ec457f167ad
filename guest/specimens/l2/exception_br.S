/* SPDX-License-Identifier: GPL-2.0 */
/* #BR by BOUND, which long mode lacks, 15.12.6. */
#include "program.h"

	program exception_br, REAL
	movw	$1, DATA
	movw	$2, DATA + 2
	exit	EXIT_EXCEPTION(5), bound %ax, DATA
	done

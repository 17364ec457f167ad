/* SPDX-License-Identifier: GPL-2.0 */
/* #OF by INTO, which long mode lacks, 15.12.5. */
#include "program.h"

	program exception_of, REAL
	mov	$0x7f, %al
	add	$1, %al
	exit_at	EXIT_EXCEPTION(4), ANYWHERE, "CODE_BASE + 75f - 70b"
	into
75:
	done

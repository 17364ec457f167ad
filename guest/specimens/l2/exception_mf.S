/* SPDX-License-Identifier: GPL-2.0 */
/* #MF: a division by zero, unmasked, that the next FWAIT finds, 15.12.16. */
#include "program.h"

	program exception_mf, LONG
	fninit
	movw	$0x37b, DATA
	fldcw	DATA
	fldz
	fld1
	fdiv	%st(1), %st
	exit	EXIT_EXCEPTION(16), fwait
	done

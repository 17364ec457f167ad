/* SPDX-License-Identifier: GPL-2.0 */
/* #DF: the only intercepted one; the IDT has no room for another, 15.12.9. */
#include "program.h"

	program exception_df, LONG
	exit	EXIT_EXCEPTION(8), ud2
	done

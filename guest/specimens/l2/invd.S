/* SPDX-License-Identifier: GPL-2.0 */
/* INVD, 15.9. */
#include "program.h"

	program invd, LONG
	exit	EXIT_INVD, invd
	done

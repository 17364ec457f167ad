/* SPDX-License-Identifier: GPL-2.0 */
/* The host's registers around a VMRUN: taken before, compared after. */
#ifndef FREEONCE_HOST_STATE_H
#define FREEONCE_HOST_STATE_H

#include <linux/types.h>

#include "ledger/format.h"

struct host_state {
	u64 value[HOST_REGISTERS];
};

void host_state_take(struct host_state *state);
void host_state_compare(const struct host_state *before);
void host_fpu_reset(void *image);
void host_fpu_enter(void *image);
void host_fpu_leave(void *image);
size_t host_fpu_bytes(void);

#endif

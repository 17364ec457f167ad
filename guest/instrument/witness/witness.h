/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel's own allocators saw of the audited code. Watching only during a run. */
#ifndef FREEONCE_WITNESS_H
#define FREEONCE_WITNESS_H

void witness_open(void);
void witness_watch(bool life);
void witness_look_away(void);
void witness_close(void);

#endif

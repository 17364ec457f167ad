/* SPDX-License-Identifier: GPL-2.0 */
/* The debugfs files. */
#ifndef FREEONCE_CONTROL_H
#define FREEONCE_CONTROL_H

int control_open(void);
void control_close(void);

#endif

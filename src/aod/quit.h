/* SPDX-License-Identifier: MIT */
/*
 * A clean end: agents are left to their shims or stopped, after they had the time to come to their ends by themselves where that was asked for
 * (--on-stop=drain). While that lasts requests are served, but nothing is started: what is due, or waits, is the next aod's.
 */
#ifndef AOD_AOD_QUIT_H
#define AOD_AOD_QUIT_H

#include "aod/manager.h"

void quit_init(struct manager *m);
/* Begin it. A second call hurries: no further draining, then stops without time to clean up. */
void quit_begin(struct manager *m);
/* Some run may have ended. */
void quit_look(struct manager *m);
/* Whether sessions may be started: the state is read, and no end is on its way. */
bool quit_starts(const struct manager *m);

#endif

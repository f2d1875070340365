/* SPDX-License-Identifier: MIT */
/*
 * Timers: sessions of blueprints with a [Timer], started when they are due. Which blueprints those are comes from the registry's mirror each time
 * that it changes; when a timer came due last, and the delay that was drawn for the next time, is in the database, so that a restart
 * neither repeats nor redraws. One watcher that follows the wall clock waits for the nearest of them.
 *
 * A timer whose session is still live when it is due again skips that time, as a unit of systemd that is active is not started twice. A session that
 * cannot be started is logged and shown, and the timer goes on.
 */
#ifndef AOD_AOD_TIMER_H
#define AOD_AOD_TIMER_H

#include "aod/manager.h"

/* The state has been read: begin. Also after timers_forget(). */
void timers_load(struct manager *m);
/* The mirror of blueprints may have changed. */
void timers_refresh(struct manager *m);
/* The state is to be read again. */
void timers_forget(struct manager *m);
void timers_close(struct manager *m);

#endif

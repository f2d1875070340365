/* SPDX-License-Identifier: MIT */
/* Actions: what clients ask aod to do. One handler a row; requests come over the wire from aod-http. */
#ifndef AOD_AOD_ACTION_H
#define AOD_AOD_ACTION_H

#include <stddef.h>

#include "aod/manager.h"

struct run;

/* A message {"id":N,"verb":"…","args":{…},"caller":{…}}. The answer goes through manager_reply(). */
void action_request(struct manager *m, const char *text, size_t len);
/* {"refused":{…}} or {"used":"…"}: what aod-http tells without waiting for an answer. */
void action_notice(struct manager *m, const char *text, size_t len);
/* The run's end is committed: what waited for it goes on (a delete). */
void action_run_ended(struct manager *m, struct run *r);
/* r leaves memory without having ended: its waiters are answered with an error. */
void action_forget_waiters(struct manager *m, struct run *r);
/* The checks of `aoctl doctor` as a JSON object, appended to out. */
void doctor_report(const struct manager *m, struct buf *out);

#endif

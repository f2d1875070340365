/* SPDX-License-Identifier: MIT */
/* The next run of a session that has none: what a resume, a restart, the queue of prompts and admission have in common. */
#ifndef AOD_AOD_NEXT_H
#define AOD_AOD_NEXT_H

#include "aod/prompt.h"
#include "aod/run.h"

/*
 * Start a run of s, which is stored and has none, because of why (SEV_RESUME, SEV_PROMPT, SEV_DUE, SEV_ADMIT: a cell with ACT_RUN). It works on p, or, where p
 * is NULL, on the prompt whose turn it is, or on none (a command without one). Nothing is written when it cannot be planned: e says why. *out is
 * the run, which is the manager's; s is not changed, out->s is the session from here on.
 */
int session_go(struct manager *m, const struct session *s, enum session_event why, struct prompt *p, const char *started_by, struct run **out,
	       struct err *e);

#endif

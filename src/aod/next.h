/* SPDX-License-Identifier: MIT */
/*
 * What follows the end of a run, and the next run of a session that has none: what a resume, a restart, the queue of prompts and admission have
 * in common.
 *
 * A session in auto-restart has no run. That it is started again, when, and with which prompt is in the database since the transaction that ended
 * its last run; the time is one of the wall clock. Whatever becomes of aod until then, the first aod after that time starts it.
 */
#ifndef AOD_AOD_NEXT_H
#define AOD_AOD_NEXT_H

#include "aod/prompt.h"
#include "aod/run.h"

/*
 * Start a run of s, which is stored and has none, because of why (SEV_RESUME, SEV_PROMPT, SEV_DUE, SEV_ADMIT: a cell with ACT_RUN). It works on p, or, where p
 * is NULL, on the prompt whose turn it is, or on none (a command without one). Nothing is written when it cannot be planned: e says why.
 *
 * 0: *out is the run, which is the manager's; s is not changed, (*out)->s is the session from here on.
 * 1: there is no room (admission.h): the session is queued, and p, where it was not stored, is in its queue of prompts; *out is NULL, and s is the
 * session as it is stored now.
 */
int session_go(struct manager *m, struct session *s, enum session_event why, struct prompt *p, const char *started_by, struct run **out,
	       struct err *e);
/* It begins a new run, or to wait for one: what was said of the last one's end is no longer true of it. */
void next_begins(struct session_row *s, enum session_event why);

/* What follows the end of a run. */
struct next {
	enum restart_step step;
	enum session_event event; /* SEV_EXIT_OK, SEV_EXIT_BAD or SEV_RESTART, for the caller to give to the session */
};
/* For run_end(): decides, ends the run's prompts or keeps them for the next one, and counts in its session's row, which the caller saves. */
int next_after(struct run *r, const struct run_result *res, struct next *next, struct err *e);
/*
 * What r was given is over for its agent, which did not come to the end of it: in its queue is what goes on with it instead, before all else.
 * text: what it was given, or NULL.
 */
int next_instead(struct run *r, enum outcome o, const char *text, struct err *e);
/* After the event of the run's end, and its row: says that another run follows, or that none does any more. */
int next_say(struct run *r, const struct next *next, struct err *e);

/* s has no run, and is not to get one (a cell with ACT_CANCEL for why): its prompts are over, too. */
int next_cancel(struct manager *m, struct session *s, enum session_event why, enum outcome outcome, const char *error, struct err *e);

/* What a session ends with that cannot be started for that reason. */
enum outcome next_refused(const struct err *why);

/* The timer of sessions in auto-restart: begin, end; look at the database again where the last transaction changed something. */
void next_load(struct manager *m);
void next_forget(struct manager *m);
void next_committed(struct manager *m);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The prompts of a session: what it is asked, in order. Each has its turn once, whatever ends in between: it is in the database before
 * an agent hears of it, and it keeps its uuid, by which an agent knows one that it has had, as long as its turn has not ended.
 */
#ifndef AOD_AOD_PROMPT_H
#define AOD_AOD_PROMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "aod/session.h"

struct run;

#define PROMPTS_QUEUED_MAX 1000 /* of a session */
#define PROMPTS_BYTES_MAX (64 << 20) /* of a session's that clients asked: their texts together */
#define PROMPTS_OPEN_MAX (PROMPTS_QUEUED_MAX + 2) /* with what it works on, and what it is told when it is started again */
#define PROMPT_FIRST "start"	/* origin of the one that a session is started with */

struct prompt {
	int64_t id; /* 0: not stored yet */
	char *uuid, *text;
	const char *source; /* request, blueprint, callback, restart; static */
	const char *origin, *author; /* borrowed, or NULL; only of one that is not stored yet */
	bool given; /* a run was given it before */
	bool callback; /* its answer is for the session's parent */
};
void prompt_free(struct prompt *p);

/* The one whose turn it is: given and not done, or the oldest of the queue. -ENOENT: there is none. */
int prompt_next(struct manager *m, int64_t session, struct prompt *out, struct err *e);
/* To the end of the queue; counts in s, which is the caller's to save. 1: added, 0: it was there already (origin). -EBUSY (429): it is full; never for source restart. */
int prompt_queue(struct manager *m, struct session *s, struct prompt *p, struct err *e);
/* p is what the run r works on: with the input frame of that number, or 0: its first input. p is stored if it was not. */
int prompt_given(struct run *r, struct prompt *p, int64_t in_seq, struct err *e);
/* All of s that are given or from a restart, or all there are but answers of children, get no turn any more; counts in s, which is the caller's to save. */
int prompts_over(struct manager *m, struct session *s, bool all, enum prompt_state state, struct err *e);
/* Those in the queue (id > 0: this one; id < 0: but for what children answered) get no turn any more; how many. Says so by an event, and counts in s, which is the caller's to save. */
int prompts_cancel(struct manager *m, struct session *s, int64_t id, struct err *e);
/* What r was given has ended so. */
int prompt_ended(struct run *r, enum outcome o, struct err *e);

#endif

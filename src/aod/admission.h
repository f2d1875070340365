/* SPDX-License-Identifier: MIT */
/*
 * Admission: which sessions may be started now, and the queue of those that wait for room.
 *
 * What counts is sessions with a run, whatever it does: --max-sessions over all, MaxSessions= of a blueprint, MaxSessions= of each slice that a
 * session is in. While the host's memory or its pressure is over a threshold nothing is started either. A start that has no room is planned, so that
 * one that cannot be is refused at once, and then its session is `queued`: its row says so, with priority and since when, and its prompt is one of
 * the table of prompts. What is in memory here can be read back from that, admission_restore().
 *
 * Greater priority goes first, then who waits for longer. One whose own blueprint or slice is full does not hold up those behind it; for this the
 * queue has a line for each pair of blueprint and slice, whose first ones are compared. Counts are kept, not made; a check is a few
 * comparisons, and the files of the host's load are read ten times a second at most.
 */
#ifndef AOD_AOD_ADMISSION_H
#define AOD_AOD_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "aod/prompt.h"
#include "aod/slice.h"
#include "base/buf.h"
#include "base/err.h"
#include "model/session.h"

struct admission;
struct manager;
struct run;
struct run_args;
struct start_group;

/* In a run: what it is counted by. */
struct counted {
	struct start_group *v[1 + SLICE_DEPTH_MAX]; /* its blueprint and its slices */
	int n;
};

void admission_open(struct manager *m);
void admission_close(struct manager *m);
/* The state was read: go on with the queue. */
void admission_loaded(struct manager *m);
/* The state is to be read again. */
void admission_forget(struct manager *m);

/* r, which is in the manager and knows its blueprint and slice, counts from now on, until it does no more. */
void admission_count(struct run *r);
void admission_uncount(struct run *r);

/* r is planned, and has nothing yet. 1: it has to wait, 0: it may be started. */
int admission_check(struct run *r, const struct run_args *args);
/*
 * Instead of a run: store r's session (why SESSION_EVENT_COUNT: a new one) as queued, with p (where it has a text and is not stored yet) in its queue of
 * prompts, and take r, which is freed. s (a copy of the session as it was) becomes the session as it is. 1: done; -EAGAIN (503): the queue is full,
 * which a start that nobody asks for again (a restart, a prompt that was accepted) never hears.
 */
int admission_queue(struct run *r, enum session_event why, const struct run_args *args, struct prompt *p, struct session *s, struct err *e);
/* At a start of aod: a session that is stored as queued. */
void admission_restore(struct manager *m, const struct session_row *row);
/* The session is not queued any more, for whatever reason; one that never was is fine. */
void admission_gone(struct manager *m, int64_t session);
/* There may be room now. */
void admission_wake(struct manager *m);

/* ,"queue_position":N,"queue_reason":"…" of a queued session; nothing for others. */
void admission_put_place(struct manager *m, int64_t session, struct buf *out);
/* {"queue":[…],"limits":{…}} */
void admission_json(struct manager *m, int64_t limit, struct buf *out);

#endif

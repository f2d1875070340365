/* SPDX-License-Identifier: MIT */
/*
 * A session as the supervisor holds it: a row with strings of its own, and the writes that go with it. Every change of
 * state goes through session_set_state().
 */
#ifndef AOD_AOD_SESSION_H
#define AOD_AOD_SESSION_H

#include "aod/manager.h"
#include "model/session.h"

struct session {
	struct session_row row; /* strings are owned: assign with session_set_text() */
	bool answered; /* what its parent asked has come to its end, until tree_after() */
};

void session_copy(struct session *dst, const struct session_row *src);
void session_free(struct session *s);
/* *field is a string of s->row; value may be NULL. */
void session_set_text(const char **field, const char *value);
/* By id or name; a live one is answered from memory, *run is it (or NULL). *s is a copy: session_free(). */
int session_find(struct manager *m, const char *key, struct session *s, struct run **run, struct err *e);

/* Append an event, made by the caller with event_begin(). */
int session_add_event(struct manager *m, struct session *s, int64_t run, const struct event *ev, struct err *e);
/* Write the row (and tell everybody). */
int session_save(struct manager *m, struct session *s, struct err *e);
/*
 * Look up the cell for ev and store the new state. Returns the action that is the caller's to do now: ACT_REFUSE fills *e with status
 * 409; ACT_IGNORE: nothing was changed. Negative: the store failed. Other columns that the caller changed before are written too.
 */
int session_set_state(struct manager *m, struct session *s, enum session_event ev, struct err *e);

/*
 * Stop it: s is its run's where it has one in memory, else a copy, which is changed. timeout_us < 0: the blueprint's. 1: it is being stopped, 0: it is not
 * running (any more), 2: it is just not started any more.
 */
int session_stop(struct manager *m, struct session *s, int64_t timeout_us, struct err *e);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Sessions that start sessions: whose result is told to whom, and what ends with what.
 *
 * A session with Callback= owes its parent an answer to each prompt that the parent gave it, the one that it was started with included
 * (callback_due). The answer is delivered in the transaction in which the turn, or the session, comes to its end: as a prompt of the parent's queue and
 * an event. A parent that has finished or failed is started again for it; one that a person has stopped keeps it until it is resumed.
 *
 * A session has come to its end when it is finished or failed and no child owes it an answer, or when it is stopped: one that has ended its turn and
 * waits for what it started goes on, and owes its own parent the answer that it gives then. Children with StopWithParent= are stopped at that
 * end. A restart by aod, and a start that waits for room, are no end. All of this is in the database when it is done, so that an aod that is
 * started later has nothing to look for.
 */
#ifndef AOD_AOD_TREE_H
#define AOD_AOD_TREE_H

#include "aod/session.h"
#include "store/store.h"

#define CALLBACK_ANSWER_MAX (64u << 10) /* bytes of the child's answer in the prompt */

struct plan;
struct run_args;

/* For the first run of a session: what there is between it and its parent. Of one that is stored nothing changes. */
void tree_begin(struct session_row *s, const struct run_args *args, const struct plan *p);
/* Whether the answer to a prompt is for the session's parent: that asked it, or it goes on with what the parent asked. */
bool tree_asked(const struct prompt_row *p);
/* s has got this prompt: its parent may wait for the answer. The row is the caller's to save. */
void tree_owe(struct session *s, const struct prompt_row *p);
/*
 * After the end of a turn or of s: it is stored, with its events and its result. Delivers what is due, stops whom its end stops. s is the run's where it
 * has one in memory.
 */
int tree_after(struct manager *m, struct session *s, struct err *e);
/* s is not to answer its parent any more, which knows or is ended with it. The row is saved. */
int tree_forget(struct manager *m, struct session *s, struct err *e);
/* A child of the session with this id owes nothing any more: it may have come to its end by that. One that is not there is fine. */
int tree_settle(struct manager *m, const char *id, struct err *e);
/* s, which has no run, is about to be deleted. */
int tree_gone(struct manager *m, struct session *s, struct err *e);

/* Sessions, copied from the database. */
struct tree_list {
	struct session *v;
	int count;
};
int tree_list_add(const struct session_row *row, void *list); /* for the calls of the store */
void tree_list_free(struct tree_list *l);
/* The session as it is in memory, where it has a run, else the copy itself. */
struct session *tree_session(struct manager *m, struct session *copy);

#endif

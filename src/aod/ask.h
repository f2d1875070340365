/* SPDX-License-Identifier: MIT */
/*
 * What agents ask, and what is said to them. A rule of the blueprint answers at once; else the session waits for a person, and, after
 * AskTimeoutSec=, for nobody any more.
 *
 * An answer is in the database before the agent hears of it. That it has heard is what the adapter's state says, in which the question is no longer
 * open: an aod that finds one there that was answered says it again, which does no harm.
 */
#ifndef AOD_AOD_ASK_H
#define AOD_AOD_ASK_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "adapter/adapter.h"
#include "model/ask.h"

struct json_object;
struct manager;
struct run;

/* A question that waits: for its answer, or, where it has one, for the commit that lets it be said. */
struct question {
	char *id, *kind, *tool_name;
	char *json;	/* as in adapter_ask */
	int64_t due_us; /* INT64_MAX: never */
	bool answered, allow;
	char *text, *answers; /* as in ask_answer */
};

struct asked {
	struct ask_policy policy;
	struct question *list; /* oldest first */
	int count;
	bool telling; /* some were answered in this transaction */
	ev_timer due_w;
};

void ask_init(struct run *r);
void ask_done(struct run *r);
/* ,"ask":{…} for run.args; and back, with the questions that are open. */
void ask_args(struct buf *out, const struct run *r);
int ask_restore(struct run *r, struct json_object *args, struct err *e);

/* Whether somebody has to answer something before its turn goes on. */
bool ask_waiting(const struct run *r);
/* What the adapter made of a line, r->out: questions, and such as were taken back. Answers of rules go to r->out.reply. */
int ask_take(struct run *r, struct err *e);
/* Its timer, anew. */
void ask_arm(struct run *r);
/* It stands still, or goes on: no time passes for its questions. Before watch_frozen(), and ask_arm() after it. */
int ask_frozen(struct run *r, bool frozen, struct err *e);
/* Its process has ended: what is open will not be answered. */
int ask_end(struct run *r, struct err *e);
/* After a commit: say to the agents what was answered. May begin a transaction. */
void ask_committed(struct manager *m);

/* The open question that id (or the beginning of it, or, where there is one only, nothing) means. Fills in *e where there is none. */
int ask_lookup(const struct run *r, const char *id, struct question **out, struct err *e);
/* Answer it: author says who. text and answers as in ask_answer. */
int ask_answer(struct run *r, struct question *q, const struct ask_answer *a, const char *author, struct err *e);

#endif

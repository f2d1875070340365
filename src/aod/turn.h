/* SPDX-License-Identifier: MIT */
/*
 * The turns of a run: a process works on one prompt at a time. When the turn of one has ended, the next of the session's queue is given to the same
 * process, where its adapter can; else a persistent session's process stays, and is idle, and another one's is told that there is no more.
 *
 * Each prompt is given once. That it is given to a run, and with the input frames of which numbers, is committed before the first of these is
 * written; so what a crash, or a transaction that was rolled back, came in between of is found, and only what is not in the input file yet is
 * written to it. The same holds for an interrupt.
 */
#ifndef AOD_AOD_TURN_H
#define AOD_AOD_TURN_H

#include <ev.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "aod/prompt.h"
#include "base/buf.h"
#include "base/err.h"

struct run;
struct run_exit;
struct run_result;

struct turn {
	bool stays;	  /* the process stays after an answer */
	int64_t idle_us;  /* for so long at most; INT64_MAX: for ever */
	bool open;	  /* it works on what it was asked; a command does so until it ends */
	bool idle;	  /* it waits for the next prompt */
	int64_t heard_us; /* the agent said something in this turn; 0: not yet */
	int64_t idle_since_us;
	/* For its stdin, after the commit: the prompt, whose first frames may be in the file already, and the interrupt. */
	struct buf words;
	int64_t first;
	size_t written;	       /* frames of it */
	int64_t interrupt_seq; /* number of the frame that interrupts the turn; 0: nobody asked for that */
	bool interrupt_written;
	bool listed; /* in the manager's list */
	ev_timer idle_w;
};

void turn_init(struct run *r);
void turn_free(struct run *r);
/* ,"stays":…  for run.args, and back. Before the input file is looked at, and after it; a shim is there to read it or not. */
void turn_args(struct buf *out, const struct run *r);
int turn_restore(struct run *r, struct json_object *args, struct err *e);
void turn_saw_input(struct run *r, int64_t number);
void turn_attached(struct run *r, bool shim);

/* An event of the agent's was stored. */
void turn_heard(struct run *r, const char *type, int64_t time_us);
/* The adapter says that the turn has ended (r->out.turn), at that time. 1: there is nothing further for this process. */
int turn_ended(struct run *r, int64_t time_us, struct err *e);
/* The run was thawed, or waits for no answer any more: one that was idle is so again. */
int turn_thawed(struct run *r, struct err *e);
/* The process ended before it had anything to say to the further prompt that it was given: another one may have it. */
bool turn_unheard(const struct run *r);
/* The process has ended: what it was at. */
void turn_say(const struct run *r, struct run_exit *x);
/* And this is said to be how. One whose turn a client interrupted counts as stopped. */
int turn_over(struct run *r, struct run_result *res, struct err *e);
/*
 * End the turn, not the session: by the agent's own means, as soon as it has begun, else by SIGINT. -EBUSY (409): no turn is open. Asking twice is fine.
 */
int turn_interrupt(struct run *r, struct err *e);
/* Nothing more is begun: a process that is idle is told that there is nothing more for it, as one that works is after its turn. */
void turn_drain(struct run *r);
/* The transaction is committed: write what runs are to be given. */
void turns_committed(struct manager *m);

/*
 * Ask a session something: at once where it waits for that, by a new run where it has come to its end (as session_go(): there may be no room), else
 * when what is before it is done. r: its run, or NULL. The session from then on is that of r, else of *out (the new run; NULL: there is none), else s,
 * which is changed. why: SEV_RESUME (a person) or SEV_PROMPT. The place in the queue behind others; 0: it is the next. One that the session had before
 * (p->origin) is fine: 0, nothing is done. Without a text: what the session would have at its first start, where it has come to its end.
 * -EBUSY (409): it is stopping, or just ending, or its queue is full (429).
 */
int64_t session_prompt(struct manager *m, struct session *s, struct run *r, struct prompt *p, enum session_event why, struct run **out, struct err *e);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Whether and when a run that has ended is started again: Restart= and what belongs to it, as in systemd.service(5). Pure.
 *
 * The classes of ends are systemd's, and agents' own ends are sorted into them: what a later try may not have (rate-limited, overloaded) is
 * `transient`. Ends that no try can mend (auth, billing), a stop by a person and start-limit-hit are never followed by a restart; one that
 * used up what it was given (max-turns, budget) only where RestartForceExitStatus= names it: a restart would give it as much again.
 */
#ifndef AOD_MODEL_RESTART_H
#define AOD_MODEL_RESTART_H

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "model/session.h"

/* In the order of the words of Restart= in the directive table. */
enum restart {
	RESTART_NO,
	RESTART_ALWAYS,
	RESTART_ON_SUCCESS,
	RESTART_ON_FAILURE,
	RESTART_ON_ABNORMAL,
	RESTART_ON_ABORT,
	RESTART_ON_WATCHDOG,
	RESTART_ON_TRANSIENT,
	RESTART_COUNT,
};

/* What a blueprint says, kept for the run that was made from it. Texts are owned: restart_policy_done(). All zero: no restart. */
struct restart_policy {
	enum restart when;
	bool fresh;			/* RestartMode= */
	int64_t delay_us, max_delay_us; /* RestartSec=, RestartMaxDelaySec=: INT64_MAX: not said */
	int64_t steps;			/* RestartSteps= */
	int64_t limit_us, limit_burst;	/* StartLimitIntervalSec=, StartLimitBurst=; either 0: no limit */
	char **prevent, **force;	/* words as of outcome_listed(), or NULL */
	char *prompt;			/* RestartPrompt= */
};

/* A run that has ended. */
struct restart_end {
	enum outcome outcome;
	int exit_code, signal;
	int64_t started_us, ended_us;
	int64_t retry_us; /* the service said that trying again makes sense from then on; 0: it did not */
	bool stopped;	  /* a person had it stopped, or deleted */
	bool idle;	  /* there was nothing that it worked on: it waited for its next prompt */
	int64_t queued;	  /* prompts that wait for their turn */
	uint64_t random;
};

/* What a session's row counts. */
struct restart_count {
	int64_t restarts;		     /* in a row */
	int64_t limit_begin_us, limit_count; /* starts since then */
};

enum restart_step {
	RESTART_END,   /* that was all */
	RESTART_AGAIN, /* it goes on, with what it worked on */
	RESTART_QUEUE, /* that is over, and the next prompt has its turn */
	RESTART_LIMIT, /* it would go on, but did so too often */
};

const char *restart_name(enum restart r);
int restart_parse(const char *name); /* -1 = unknown */
/* The table alone. */
bool restart_after(enum restart r, enum outcome o);
/* Whether there is never a restart after o, whatever is said. */
bool restart_never(enum outcome o);
/* The policy as a whole: what is forced goes before the table, what is prevented before what is forced. */
bool restart_wanted(const struct restart_policy *p, enum outcome o, int exit_code, int signal);
/*
 * How long to wait before the nth restart in a row, n from 0: systemd's service_restart_usec_next(), delay × (max/delay)^(n/steps) and
 * max from n = steps on. random is any number: up to a tenth is added, so that what failed together does not come again together.
 */
int64_t restart_delay(const struct restart_policy *p, int64_t n, uint64_t random);
/* What follows, and when; counts in *c. due_us is set where something does. */
enum restart_step restart_next(const struct restart_policy *p, const struct restart_end *end, struct restart_count *c, int64_t *due_us);

/* As a JSON object, and back; what is no object is the policy of no restart. */
void restart_policy_json(struct buf *out, const struct restart_policy *p);
void restart_policy_parse(struct restart_policy *p, struct json_object *o);
void restart_policy_copy(struct restart_policy *dst, const struct restart_policy *src);
void restart_policy_done(struct restart_policy *p);

/* The table as text, for the manual and the golden file. */
void restart_print(struct buf *out);

#endif

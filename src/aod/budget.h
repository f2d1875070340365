/* SPDX-License-Identifier: MIT */
/*
 * What runs use, and budgets for it: figures are taken from the agent's own account as it goes, added to the session and to its blueprint's
 * day in the transaction that stores the lines they came from, and held against the limits of the run's plan.
 *
 * The limits of a tree are those of its first session, as of its latest run.
 */
#ifndef AOD_AOD_BUDGET_H
#define AOD_AOD_BUDGET_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/budget.h"
#include "model/session.h"

struct manager;
struct request;
struct run;
struct run_result;

struct budgeted {
	struct budget may;
	struct usage counted; /* of this run, in the session's figures */
	int64_t counted_us;
	int told[BUDGET_SCOPES][BUDGET_QUANTITIES]; /* per cent of which there was an event: 0, BUDGET_WARN or 100; over 100: it was acted upon */
};

/* The limits that apply to a session: b, and where it belongs to a tree, the tree's. */
int budget_of(struct manager *m, const struct session_row *s, struct budget *b, struct err *e);
/* -EDQUOT, with status 409 and the limit's name: there is nothing left of a budget that is for more than a run. */
int budget_may_start(struct manager *m, const struct session_row *s, const struct budget *b, struct err *e);
/* What a run of s may still cost, in US dollars; 0: there is no limit. */
double budget_cost_left(struct manager *m, const struct session_row *s, const struct budget *b);

/* ,"budget":{…} for run.args; ,"used":{…} for run.watch; and back. */
void budget_args(struct buf *out, const struct run *r);
void budget_save(struct buf *out, const struct run *r);
void budget_restore(struct run *r, struct json_object *args, struct json_object *saved);

/*
 * Lines of the run were taken: count what they say it used, and do what BudgetAction= says where a limit is reached. turn_done: its turn has
 * ended, so that the figures are sure, and nothing is to be stopped.
 */
int budget_count(struct run *r, bool turn_done, struct err *e);
/* Its process is to be given no further prompt. */
bool budget_used_up(const struct run *r);
/* The run has ended, and used so much. */
int budget_end(struct run *r, const struct run_result *res, struct err *e);

/* GET /cost */
int action_cost(struct request *q, struct err *e);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Budgets: how much agents may use, by their own account. Three quantities, each for four scopes: a run; a session, all its runs; the
 * sessions of a blueprint on one day; a tree, which is a session, those that it started, and theirs. Pure: what was used is given.
 */
#ifndef AOD_MODEL_BUDGET_H
#define AOD_MODEL_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/blueprint.h"

enum budget_scope { BUDGET_RUN, BUDGET_SESSION, BUDGET_DAY, BUDGET_TREE, BUDGET_SCOPES };
enum budget_quantity { BUDGET_TURNS, BUDGET_TOKENS, BUDGET_COST, BUDGET_QUANTITIES };
enum budget_action { BUDGET_STOP, BUDGET_INTERRUPT, BUDGET_FREEZE };

#define BUDGET_WARN 80 /* per cent of a limit at which there is a first event; the second is at 100 */
#define BUDGET_DAY_SIZE 11 /* "YYYY-MM-DD" and NUL */

struct budget {
	double max[BUDGET_SCOPES][BUDGET_QUANTITIES]; /* 0: no limit; tokens in and out together, cost in US dollars */
	enum budget_action action;
};
/* As in struct budget. */
struct budget_used {
	double used[BUDGET_SCOPES][BUDGET_QUANTITIES];
};

void budget_make(struct budget *b, const struct blueprint *bp);
/* Whether there is a limit in that scope. */
bool budget_has(const struct budget *b, enum budget_scope s);
const char *budget_scope_name(enum budget_scope s);	     /* "run", "session", "day", "tree" */
const char *budget_key(enum budget_scope s, enum budget_quantity q); /* "DailyMaxTokens" */
/* How many per cent of a limit are used, whole ones; 0 where there is none. */
int budget_percent(const struct budget *b, const struct budget_used *u, enum budget_scope s, enum budget_quantity q);
/* The first limit that is used up, of the scopes from `from` on; false: none is. */
bool budget_spent(const struct budget *b, const struct budget_used *u, enum budget_scope from, enum budget_scope *s, enum budget_quantity *q);
/* "DailyMaxCostUSD=5 is used up (5.02)" */
void budget_text(struct buf *out, const struct budget *b, const struct budget_used *u, enum budget_scope s, enum budget_quantity q);
/* {"MaxTurns":10,…,"BudgetAction":"stop"}: the limits that there are; and back, from json-c's object as text is parsed by the caller. */
void budget_json(struct buf *out, const struct budget *b);
struct json_object;
void budget_from_json(struct budget *b, struct json_object *o);
/* The local day of a time: "2026-11-22". */
const char *budget_day(int64_t us, char out[BUDGET_DAY_SIZE]);

#endif

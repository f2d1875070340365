/* SPDX-License-Identifier: MIT */
/* Budgets: the table of limits, and what is used up. See budget.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/budget.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/util.h"

static const char *const scope_names[BUDGET_SCOPES] = { "run", "session", "day", "tree" };

static const enum directive_id keys[BUDGET_SCOPES][BUDGET_QUANTITIES] = {
	[BUDGET_RUN] = { D_MaxTurns, D_MaxTokens, D_MaxCostUSD },
	[BUDGET_SESSION] = { D_SessionMaxTurns, D_SessionMaxTokens, D_SessionMaxCostUSD },
	[BUDGET_DAY] = { D_DailyMaxTurns, D_DailyMaxTokens, D_DailyMaxCostUSD },
	[BUDGET_TREE] = { D_TreeMaxTurns, D_TreeMaxTokens, D_TreeMaxCostUSD },
};

static const char *const action_names[] = {
	[BUDGET_STOP] = "stop",
	[BUDGET_INTERRUPT] = "interrupt",
	[BUDGET_FREEZE] = "freeze",
};

static enum budget_action
action_of(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(action_names); i++)
		if (!strcmp(name, action_names[i]))
			return (enum budget_action)i;
	return BUDGET_STOP;
}

#define EACH(s, q)                                                          \
	for (enum budget_scope s = BUDGET_RUN; s < BUDGET_SCOPES; s++)      \
		for (enum budget_quantity q = BUDGET_TURNS; q < BUDGET_QUANTITIES; q++)

void
budget_make(struct budget *b, const struct blueprint *bp)
{
	memset(b, 0, sizeof(*b));
	b->action = action_of(blueprint_text(bp, D_BudgetAction));
	EACH(s, q)
	{
		enum directive_id id = keys[s][q];

		b->max[s][q] = blueprint_directives[id].type == DT_FLOAT ? blueprint_float(bp, id) : (double)blueprint_int(bp, id);
	}
}

bool
budget_has(const struct budget *b, enum budget_scope s)
{
	for (int q = 0; q < BUDGET_QUANTITIES; q++)
		if (b->max[s][q] > 0)
			return true;
	return false;
}

const char *
budget_scope_name(enum budget_scope s)
{
	return scope_names[s];
}

const char *
budget_key(enum budget_scope s, enum budget_quantity q)
{
	return blueprint_directives[keys[s][q]].key;
}

int
budget_percent(const struct budget *b, const struct budget_used *u, enum budget_scope s, enum budget_quantity q)
{
	double part;

	if (b->max[s][q] <= 0)
		return 0;
	part = u->used[s][q] / b->max[s][q] * 100;
	return part >= 1e6 ? 1000000 : (int)part;
}

bool
budget_spent(const struct budget *b, const struct budget_used *u, enum budget_scope from, enum budget_scope *scope, enum budget_quantity *quantity)
{
	EACH(s, q)
	{
		if (s < from || b->max[s][q] <= 0 || u->used[s][q] < b->max[s][q])
			continue;
		*scope = s;
		*quantity = q;
		return true;
	}
	return false;
}

/* Whole numbers as such, money to a millionth. */
static void
put_amount(struct buf *out, double v)
{
	char text[40];
	int n = snprintf(text, sizeof(text), "%.6f", v);

	while (n > 1 && text[n - 1] == '0')
		text[--n] = '\0';
	if (text[n - 1] == '.')
		text[--n] = '\0';
	buf_puts(out, text);
}

void
budget_text(struct buf *out, const struct budget *b, const struct budget_used *u, enum budget_scope s, enum budget_quantity q)
{
	buf_printf(out, "%s=", budget_key(s, q));
	put_amount(out, b->max[s][q]);
	buf_puts(out, " is used up (");
	put_amount(out, u->used[s][q]);
	buf_putc(out, ')');
}

void
budget_json(struct buf *out, const struct budget *b)
{
	buf_putc(out, '{');
	EACH(s, q)
	{
		if (b->max[s][q] <= 0)
			continue;
		buf_printf(out, "\"%s\":", budget_key(s, q));
		put_amount(out, b->max[s][q]);
		buf_putc(out, ',');
	}
	buf_printf(out, "\"BudgetAction\":\"%s\"}", action_names[b->action]);
}

void
budget_from_json(struct budget *b, struct json_object *o)
{
	struct json_object *v = NULL;

	memset(b, 0, sizeof(*b));
	EACH(s, q)
	{
		if (json_object_object_get_ex(o, budget_key(s, q), &v))
			b->max[s][q] = json_object_get_double(v);
	}
	if (json_object_object_get_ex(o, "BudgetAction", &v))
		b->action = action_of(json_object_get_string(v));
}

const char *
budget_day(int64_t us, char out[BUDGET_DAY_SIZE])
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	if (!localtime_r(&t, &tm) || strftime(out, BUDGET_DAY_SIZE, "%Y-%m-%d", &tm) == 0)
		memcpy(out, "1970-01-01", BUDGET_DAY_SIZE);
	return out;
}

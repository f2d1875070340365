/* SPDX-License-Identifier: MIT */
/* What runs use, and budgets for it. See budget.h. */
#include "config.h"

#include "aod/budget.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "aod/request.h"
#include "aod/run.h"
#include "base/log.h"
#include "base/util.h"

#define BUDGET_ACT 101 /* told: the limit was reached, and what is to be done was done */
#define PAUSE_US 1000000 /* between two looks at the figures of a turn that goes on */

/* ---- limits and what is used of them --------------------------------------------------------------------- */

static int
take_budget(const struct run_row *row, void *arg)
{
	struct json_object *o = json_tokener_parse(row->args ? row->args : "{}"), *v = NULL;

	if (json_object_object_get_ex(o, "budget", &v))
		budget_from_json(arg, v);
	json_object_put(o);
	return 0;
}

int
budget_of(struct manager *m, const struct session_row *s, struct budget *b, struct err *e)
{
	struct budget first = { 0 };
	int rc;

	if (s->root == 0)
		return 0;
	rc = store_run_latest(m->store, s->root, take_budget, &first, e);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	memcpy(b->max[BUDGET_TREE], first.max[BUDGET_TREE], sizeof(b->max[BUDGET_TREE]));
	return 0;
}

static void
put_used(struct budget_used *u, enum budget_scope s, const struct usage *from)
{
	u->used[s][BUDGET_TURNS] = (double)from->turns;
	u->used[s][BUDGET_TOKENS] = (double)from->input_tokens + (double)from->output_tokens;
	u->used[s][BUDGET_COST] = from->cost_usd;
}

static struct usage
session_usage(const struct session_row *s)
{
	return (struct usage){ s->turns, s->input_tokens, s->output_tokens, s->cost_usd };
}

/* What is kept elsewhere is only looked up where it matters. */
static int
look_up(struct manager *m, const struct session_row *s, const struct budget *b, const struct usage *run, struct budget_used *u, struct err *e)
{
	struct usage session = session_usage(s), more;
	char day[BUDGET_DAY_SIZE];
	int rc = 0;

	memset(u, 0, sizeof(*u));
	put_used(u, BUDGET_RUN, run);
	put_used(u, BUDGET_SESSION, &session);
	if (budget_has(b, BUDGET_DAY)) {
		rc = store_usage_get(m->store, budget_day(now_us(), day), s->agent_name, &more, e);
		if (rc == 0)
			put_used(u, BUDGET_DAY, &more);
	}
	if (rc == 0 && budget_has(b, BUDGET_TREE)) {
		rc = s->root || s->n ? store_usage_tree(m->store, s->root ? s->root : s->n, &more, e) : 0;
		if (rc == 0 && (s->root || s->n))
			put_used(u, BUDGET_TREE, &more);
	}
	return rc;
}

int
budget_may_start(struct manager *m, const struct session_row *s, const struct budget *b, struct err *e)
{
	const struct usage none = { 0 };
	struct budget_used u;
	enum budget_scope scope;
	enum budget_quantity quantity;
	struct buf text = BUF_INIT;
	int rc = look_up(m, s, b, &none, &u, e);

	if (rc < 0 || !budget_spent(b, &u, BUDGET_SESSION, &scope, &quantity))
		return rc;
	budget_text(&text, b, &u, scope, quantity);
	rc = err_set_status(e, 409, -EDQUOT, "Session '%s' is not started: %s of blueprint '%s': raise it there%s", s->name, text.data,
			    s->agent_name ? s->agent_name : "", scope == BUDGET_DAY ? ", or wait until tomorrow" : "");
	buf_free(&text);
	return rc;
}

double
budget_cost_left(struct manager *m, const struct session_row *s, const struct budget *b)
{
	const struct usage none = { 0 };
	struct budget_used u;
	double left = INFINITY;

	if (look_up(m, s, b, &none, &u, NULL) < 0)
		return 0;
	for (enum budget_scope i = BUDGET_RUN; i < BUDGET_SCOPES; i++) {
		double max = b->max[i][BUDGET_COST];

		if (max > 0 && max - u.used[i][BUDGET_COST] < left)
			left = max - u.used[i][BUDGET_COST];
	}
	return isinf(left) || left < 0 ? 0 : left;
}

/* ---- what is kept ---------------------------------------------------------------------------------------- */

void
budget_args(struct buf *out, const struct run *r)
{
	buf_puts(out, ",\"budget\":");
	budget_json(out, &r->b.may);
}

void
budget_save(struct buf *out, const struct run *r)
{
	const struct usage *u = &r->b.counted;

	buf_printf(out, ",\"used\":{\"turns\":%lld,\"input_tokens\":%lld,\"output_tokens\":%lld,\"cost_usd\":%.17g},\"told\":[", (long long)u->turns,
		   (long long)u->input_tokens, (long long)u->output_tokens, u->cost_usd);
	for (int i = 0; i < BUDGET_SCOPES * BUDGET_QUANTITIES; i++)
		buf_printf(out, i ? ",%d" : "%d", r->b.told[i / BUDGET_QUANTITIES][i % BUDGET_QUANTITIES]);
	buf_putc(out, ']');
}

static int64_t
number(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_int64(v) : 0;
}

void
budget_restore(struct run *r, struct json_object *args, struct json_object *saved)
{
	struct json_object *v = NULL, *cost = NULL;
	struct usage *u = &r->b.counted;

	if (json_object_object_get_ex(args, "budget", &v))
		budget_from_json(&r->b.may, v);
	if (json_object_object_get_ex(saved, "used", &v)) {
		*u = (struct usage){ number(v, "turns"), number(v, "input_tokens"), number(v, "output_tokens"), 0 };
		if (json_object_object_get_ex(v, "cost_usd", &cost))
			u->cost_usd = json_object_get_double(cost);
	}
	if (!json_object_object_get_ex(saved, "told", &v) || !json_object_is_type(v, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(v) && i < BUDGET_SCOPES * BUDGET_QUANTITIES; i++)
		r->b.told[i / BUDGET_QUANTITIES][i % BUDGET_QUANTITIES] = json_object_get_int(json_object_array_get_idx(v, i));
}

/* ---- counting -------------------------------------------------------------------------------------------- */

static int64_t
grown(int64_t now, int64_t before)
{
	return now > before ? now - before : 0;
}

static bool
is_nothing(const struct usage *u)
{
	return u->turns == 0 && u->input_tokens == 0 && u->output_tokens == 0 && u->cost_usd == 0;
}

/* Into the session's figures and its blueprint's day. The session's row is the caller's to save. */
static int
add_usage(struct run *r, const struct usage *u, struct err *e)
{
	struct session_row *s = &r->s.row;
	char day[BUDGET_DAY_SIZE];
	struct usage_row row = { .day = budget_day(now_us(), day), .blueprint = s->agent_name };
	int rc;

	row.used = (struct usage){ grown(u->turns, r->b.counted.turns), grown(u->input_tokens, r->b.counted.input_tokens),
				   grown(u->output_tokens, r->b.counted.output_tokens),
				   u->cost_usd > r->b.counted.cost_usd ? u->cost_usd - r->b.counted.cost_usd : 0 };
	if (is_nothing(&row.used))
		return 0;
	r->b.counted.turns += row.used.turns;
	r->b.counted.input_tokens += row.used.input_tokens;
	r->b.counted.output_tokens += row.used.output_tokens;
	r->b.counted.cost_usd += row.used.cost_usd;
	s->turns += row.used.turns;
	s->input_tokens += row.used.input_tokens;
	s->output_tokens += row.used.output_tokens;
	s->cost_usd += row.used.cost_usd;
	rc = manager_begin(r->m, e);
	if (rc == 0)
		rc = manager_check(r->m, store_usage_add(r->m->store, &row, e), e);
	return rc < 0 ? rc : 1;
}

static int
add_event(struct run *r, const struct budget_used *u, enum budget_scope s, enum budget_quantity q, int percent, struct err *e)
{
	struct event *ev = &r->m->event;
	struct buf number = BUF_INIT;
	int rc;

	event_begin(ev, "budget", now_us());
	event_extra_text(ev, "scope", budget_scope_name(s), strlen(budget_scope_name(s)));
	event_extra_text(ev, "key", budget_key(s, q), strlen(budget_key(s, q)));
	event_extra_int(ev, "percent", percent);
	buf_printf(&number, "%.9g", u->used[s][q]);
	event_extra_json(ev, "used", number.data, number.len);
	buf_reset(&number);
	buf_printf(&number, "%.9g", r->b.may.max[s][q]);
	event_extra_json(ev, "max", number.data, number.len);
	buf_free(&number);
	rc = session_add_event(r->m, &r->s, r->n, ev, e);
	if (rc == 0)
		log_note("session %s: %d%% of %s= used", r->s.row.name, percent, budget_key(s, q));
	return rc;
}

static int
stop(struct run *r, const char *text, struct err *e)
{
	run_end_for(r, OUTCOME_BUDGET, text);
	return 0;
}

static int
freeze(struct run *r, const char *text, struct err *e)
{
	return r->s.row.state == SESSION_FROZEN ? 0 : run_freeze(r, true, e);
}

/* The turn may end in good order; how the run ends is known already. One that does not hear of it is stopped. */
static int
interrupt(struct run *r, const char *text, struct err *e)
{
	int rc = r->in.why != OUTCOME_NONE ? 0 : turn_interrupt(r, e);

	if (rc < 0 || r->in.why != OUTCOME_NONE)
		return rc;
	r->in.why = OUTCOME_BUDGET;
	r->in.why_text = xstrdup(text);
	run_start_grace(r);
	return 0;
}

static int (*const actions[])(struct run *r, const char *text, struct err *e) = {
	[BUDGET_STOP] = stop,
	[BUDGET_INTERRUPT] = interrupt,
	[BUDGET_FREEZE] = freeze,
};

static void
act(struct run *r, const struct budget_used *u, enum budget_scope s, enum budget_quantity q)
{
	struct buf text = BUF_INIT;
	struct err e = { 0 };

	budget_text(&text, &r->b.may, u, s, q);
	if (actions[r->b.may.action](r, text.data, &e) < 0) {
		log_warn("session %s: %s: stopping it instead", r->s.row.name, e.text);
		run_end_for(r, OUTCOME_BUDGET, text.data);
	}
	buf_free(&text);
}

/* A turn that is begun is one that was allowed: only what comes after it is too much. */
static int
level_of(const struct run *r, const struct budget_used *u, enum budget_scope s, enum budget_quantity q)
{
	int percent = budget_percent(&r->b.may, u, s, q);

	if (percent >= 100)
		return q == BUDGET_TURNS && u->used[s][q] <= r->b.may.max[s][q] ? 100 : BUDGET_ACT;
	return percent >= BUDGET_WARN ? BUDGET_WARN : 0;
}

/* Each limit once at 80 per cent, once at 100. 1: one of the tree was reached now. */
static int
hold_run(struct run *r, bool turn_done, struct err *e)
{
	bool tree = false;
	struct budget_used u;
	int rc = look_up(r->m, &r->s.row, &r->b.may, &r->b.counted, &u, e);

	for (enum budget_scope s = BUDGET_RUN; s < BUDGET_SCOPES; s++)
		for (enum budget_quantity q = BUDGET_TURNS; rc == 0 && q < BUDGET_QUANTITIES; q++) {
			int level = level_of(r, &u, s, q);

			if (level <= r->b.told[s][q])
				continue;
			if (r->b.told[s][q] < 100)
				rc = add_event(r, &u, s, q, budget_percent(&r->b.may, &u, s, q), e);
			r->b.told[s][q] = level;
			tree |= s == BUDGET_TREE && level >= 100;
			if (rc == 0 && level == BUDGET_ACT && !turn_done)
				act(r, &u, s, q);
		}
	return rc < 0 ? rc : tree;
}

static int64_t
root_of(const struct session_row *s)
{
	return s->root ? s->root : s->n;
}

/* What is used up is so for all of the tree at once, also for those who have nothing to say just now. Who waits for a prompt gets none. */
static int
hold_tree(struct run *r, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < RUN_BUCKETS && rc == 0; i++)
		for (struct run *o = r->m->runs[i]; o && rc == 0; o = o->next) {
			if (o == r || o->exited || root_of(&o->s.row) != root_of(&r->s.row))
				continue;
			rc = hold_run(o, !o->turn.open, e);
			if (rc >= 0 && budget_used_up(o))
				turn_drain(o);
			if (rc >= 0)
				rc = run_save(o, e);
		}
	return rc;
}

static int
hold_against(struct run *r, bool turn_done, struct err *e)
{
	int rc = hold_run(r, turn_done, e);

	return rc > 0 ? hold_tree(r, e) : rc;
}

/* Whether figures that are not counted yet reach a limit, of those that need no look into the database. */
static bool
reaches(const struct run *r, const struct usage *u)
{
	struct usage session = session_usage(&r->s.row);
	struct budget_used used;

	session.turns += grown(u->turns, r->b.counted.turns);
	session.input_tokens += grown(u->input_tokens, r->b.counted.input_tokens);
	session.output_tokens += grown(u->output_tokens, r->b.counted.output_tokens);
	session.cost_usd += u->cost_usd - r->b.counted.cost_usd;
	put_used(&used, BUDGET_RUN, u);
	put_used(&used, BUDGET_SESSION, &session);
	for (enum budget_scope s = BUDGET_RUN; s <= BUDGET_SESSION; s++)
		for (enum budget_quantity q = BUDGET_TURNS; q < BUDGET_QUANTITIES; q++)
			if (level_of(r, &used, s, q) > r->b.told[s][q])
				return true;
	return false;
}

int
budget_count(struct run *r, bool turn_done, struct err *e)
{
	struct usage u = { 0 };
	int64_t now = now_us();
	int rc;

	if (!r->adapter->usage)
		return 0;
	r->adapter->usage(r->adapter_state, &u);
	if (!turn_done && now >= r->b.counted_us && now - r->b.counted_us < PAUSE_US && !reaches(r, &u))
		return 0;
	rc = add_usage(r, &u, e);
	if (rc <= 0)
		return rc;
	r->b.counted_us = now;
	rc = session_save(r->m, &r->s, e);
	return rc < 0 ? rc : hold_against(r, turn_done, e);
}

bool
budget_used_up(const struct run *r)
{
	for (int i = 0; i < BUDGET_SCOPES * BUDGET_QUANTITIES; i++)
		if (r->b.told[i / BUDGET_QUANTITIES][i % BUDGET_QUANTITIES] >= 100)
			return true;
	return false;
}

int
budget_end(struct run *r, const struct run_result *res, struct err *e)
{
	const struct usage u = { res->turns, res->input_tokens, res->output_tokens, res->cost_usd };

	int rc = add_usage(r, &u, e);

	/* The row is saved with the state, in a moment; but a tree's sum is read from there. */
	if (rc > 0 && budget_has(&r->b.may, BUDGET_TREE))
		rc = session_save(r->m, &r->s, e) < 0 ? e->code : 1;
	return rc <= 0 ? rc : hold_against(r, true, e);
}

/* ---- what is shown --------------------------------------------------------------------------------------- */

struct listing {
	struct buf out;
	struct usage sum;
	int count;
};

static void
put_usage(struct buf *out, const struct usage *u)
{
	buf_printf(out, "\"turns\":%lld,\"input_tokens\":%lld,\"output_tokens\":%lld,\"cost_usd\":%.9g", (long long)u->turns, (long long)u->input_tokens,
		   (long long)u->output_tokens, u->cost_usd);
}

static int
put_day(const struct usage_row *row, void *arg)
{
	struct listing *l = arg;

	buf_puts(&l->out, l->count++ ? ",{\"day\":" : "{\"day\":");
	buf_put_json_str(&l->out, row->day);
	buf_puts(&l->out, ",\"blueprint\":");
	buf_put_json_str(&l->out, row->blueprint);
	buf_putc(&l->out, ',');
	put_usage(&l->out, &row->used);
	buf_putc(&l->out, '}');
	l->sum.turns += row->used.turns;
	l->sum.input_tokens += row->used.input_tokens;
	l->sum.output_tokens += row->used.output_tokens;
	l->sum.cost_usd += row->used.cost_usd;
	return 0;
}

int
action_cost(struct request *q, struct err *e)
{
	int64_t days = request_number(q, "days", 7);
	char day[BUDGET_DAY_SIZE];
	struct listing l = { .out = BUF_INIT };
	int rc;

	buf_puts(&l.out, "{\"days\":[");
	rc = store_usage_list(q->m->store, budget_day(now_us() - (days - 1) * INT64_C(86400) * 1000000, day), request_text(q, "blueprint"), put_day, &l, e);
	buf_puts(&l.out, "],\"sum\":{");
	put_usage(&l.out, &l.sum);
	buf_puts(&l.out, "}}");
	if (rc == 0)
		manager_reply(q->m, q->id, 200, l.out.data, l.out.len);
	buf_free(&l.out);
	return rc;
}

/* SPDX-License-Identifier: MIT */
/* Reads of sessions, results, runs and events of one session, for either connection. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "store/store.h"

#include <string.h>

#include "store/store-internal.h"

/* ---- sessions -------------------------------------------------------------------------------------------- */

static int
fail_no_session(struct err *e)
{
	return err_set_status(e, 404, -ENOENT, "Session not found");
}

/* Names to numbers. Most rows are like the one before, so that one is compared with first. */
static enum session_state
state_of(struct store *s, const char *name)
{
	int i;

	if (strcmp(name, session_state_name(s->last_state)) == 0)
		return s->last_state;
	i = session_state_parse(name);
	return s->last_state = i < 0 ? SESSION_FAILED : i;
}

static enum outcome
outcome_of(struct store *s, const char *name)
{
	const char *last = outcome_name(s->last_outcome);
	int i;

	if (!name)
		return OUTCOME_NONE;
	if (last && strcmp(name, last) == 0)
		return s->last_outcome;
	i = outcome_parse(name);
	return s->last_outcome = i < 0 ? OUTCOME_UNKNOWN : i;
}

static void
session_row(struct store *s, sqlite3_stmt *st, struct session_row *row)
{
	row->n = sqlite3_column_int64(st, 0);
	row->id = col_text(st, 1);
	row->name = col_text(st, 2);
	row->state = state_of(s, col_text(st, 3));
	row->outcome = outcome_of(s, col_text(st, 4));
	row->passive = sqlite3_column_int(st, 5);
	row->project_dir = col_text(st, 6);
	row->agent_name = col_text(st, 7);
	row->adapter = col_text(st, 8);
	row->parent_id = col_text(st, 9);
	row->created_us = sqlite3_column_int64(st, 10);
	row->last_resumed_us = sqlite3_column_int64(st, 11);
	row->started_us = sqlite3_column_int64(st, 12);
	row->ended_us = sqlite3_column_int64(st, 13);
	row->runs = sqlite3_column_int64(st, 14);
	row->last_seq = sqlite3_column_int64(st, 15);
	row->exit_code = sqlite3_column_int(st, 16);
	row->signal = sqlite3_column_int(st, 17);
	row->error = col_text(st, 18);
	row->cost_usd = sqlite3_column_double(st, 19);
	row->input_tokens = sqlite3_column_int64(st, 20);
	row->output_tokens = sqlite3_column_int64(st, 21);
	row->turns = sqlite3_column_int64(st, 22);
	row->agent_session_id = col_text(st, 23);
	row->blueprint_version = sqlite3_column_int64(st, 24);
	row->persistent = sqlite3_column_int(st, 25);
	row->command = col_text(st, 26);
	row->root = sqlite3_column_int64(st, 27);
	row->callback = sqlite3_column_int(st, 28);
	row->prompts_queued = sqlite3_column_int64(st, 29);
	row->priority = sqlite3_column_int64(st, 30);
	row->queued_us = sqlite3_column_int64(st, 31);
	row->due_us = sqlite3_column_int64(st, 32);
	row->restarts = sqlite3_column_int64(st, 33);
	row->limit_begin_us = sqlite3_column_int64(st, 34);
	row->limit_count = sqlite3_column_int64(st, 35);
	row->callback_due = sqlite3_column_int(st, 36);
	row->stop_with_parent = sqlite3_column_int(st, 37);
	row->started_by = col_text(st, 38);
}

int
store_session_find(struct store *s, const char *key, size_t key_len, store_session_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_SESSION_FIND, e);
	struct session_row row;
	int r;

	if (!st)
		return s->code;
	sqlite3_bind_text64(st, 1, key, key_len, SQLITE_STATIC, SQLITE_UTF8);
	r = store_step(s, st, e);
	if (r == 0)
		return fail_no_session(e);
	if (r > 0) {
		session_row(s, st, &row);
		r = cb(&row, arg);
		sqlite3_reset(st);
	}
	return r;
}

int
store_session_list(struct store *s, int live, int64_t offset, int64_t limit, store_session_cb cb, void *arg,
		   struct err *e)
{
	enum query q = live < 0 ? Q_SESSION_LIST : live ? Q_SESSION_LIST_LIVE : Q_SESSION_LIST_ENDED;
	sqlite3_stmt *st = store_query(s, q, e);
	struct session_row row;
	int r = 0;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, limit < 0 || limit > STORE_LIST_MAX ? STORE_LIST_MAX : limit);
	sqlite3_bind_int64(st, 2, offset);
	while (store_next(s, st, &r, e)) {
		session_row(s, st, &row);
		r = cb(&row, arg);
	}
	return r;
}

static int
each_relative(struct store *s, enum query q, const char *id, store_session_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, q, e);
	struct session_row row;
	int r = 0;

	if (!st)
		return s->code;
	bind_text(st, 1, id);
	sqlite3_bind_int64(st, 2, STORE_LIST_MAX);
	while (store_next(s, st, &r, e)) {
		session_row(s, st, &row);
		r = cb(&row, arg);
	}
	return r;
}

int
store_session_family(struct store *s, const char *owner, store_session_cb cb, void *arg, struct err *e)
{
	return each_relative(s, Q_SESSION_FAMILY, owner, cb, arg, e);
}

int
store_session_children(struct store *s, const char *parent, store_session_cb cb, void *arg, struct err *e)
{
	return each_relative(s, Q_SESSION_CHILDREN, parent, cb, arg, e);
}

int
store_session_awaits(struct store *s, const char *id, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_SESSION_AWAITS, e);
	int r;

	if (!st)
		return s->code;
	bind_text(st, 1, id);
	r = store_step(s, st, e);
	if (r > 0)
		sqlite3_reset(st);
	return r;
}

int
store_session_depth(struct store *s, const char *id, int max, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_SESSION_DEPTH, e);
	int depth, r;

	if (!st)
		return s->code;
	bind_text(st, 1, id);
	sqlite3_bind_int(st, 2, max);
	if ((r = store_step(s, st, e)) <= 0)
		return r;
	depth = sqlite3_column_int(st, 0);
	sqlite3_reset(st);
	return depth;
}

int
store_names_query(struct store *s, int64_t n, sqlite3_stmt **out, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_SESSION_NAMES, e);
	int r;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, n);
	r = store_step(s, st, e);
	if (r == 0)
		return fail_no_session(e);
	*out = st;
	return r < 0 ? r : 0;
}

/* ---- results --------------------------------------------------------------------------------------------- */

/* The first column of the one row that the statement gives for n; 0 when there is no row. */
static int
one_text(struct store *s, enum query q, int64_t n, struct buf *out, struct err *e)
{
	sqlite3_stmt *st = store_query(s, q, e);
	int r;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, n);
	if ((r = store_step(s, st, e)) <= 0)
		return r;
	buf_put(out, sqlite3_column_blob(st, 0), sqlite3_column_bytes(st, 0));
	sqlite3_reset(st);
	return 1;
}

static int
passive_result(struct store *s, int64_t n, struct buf *out, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_RESULT_PASSIVE, e);
	int64_t id;
	int r;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, n);
	if ((r = store_step(s, st, e)) <= 0)
		return r;
	id = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return one_text(s, Q_CONTENT_TEXT, id, out, e);
}

int
store_session_result(struct store *s, int64_t n, struct buf *out, struct err *e)
{
	sqlite3_stmt *st;
	bool passive;
	int r;

	buf_reset(out);
	if ((r = store_names_query(s, n, &st, e)) < 0)
		return r;
	passive = sqlite3_column_int(st, 3);
	sqlite3_reset(st);
	r = one_text(s, Q_RESULT_GET, n, out, e);
	if (r == 0 && passive)
		r = passive_result(s, n, out, e);
	if (r == 0)
		return err_set_status(e, 404, -ENODATA, "No result found");
	return r < 0 ? r : 0;
}

/* Reverse the bytes. */
static void
reverse(char *p, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		char c = p[i];

		p[i] = p[n - 1 - i];
		p[n - 1 - i] = c;
	}
}

/* The last max bytes of one line, cut between two UTF-8 characters. */
static void
put_reversed_tail(struct buf *out, const char *text, size_t len, size_t max)
{
	size_t start = len > max ? len - max : 0;

	while (start > 0 && start < len && ((unsigned char)text[start] & 0xc0) == 0x80)
		start++;
	buf_put(out, text + start, len - start);
	reverse(out->data + out->len - (len - start), len - start);
}

int
store_run_output_tail(struct store *s, int64_t session, int64_t run, size_t max, struct buf *out, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_OUTPUT_TAIL, e);
	size_t whole = 0;   /* bytes of out that are whole lines, with the newline before them */
	bool first = true;
	int r;

	buf_reset(out);
	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, session);
	sqlite3_bind_int64(st, 2, INT32_MAX);
	/* From the end to the start, and out backwards, so that nothing has to be moved. */
	while ((r = store_step(s, st, e)) > 0) {
		int64_t of = sqlite3_column_int64(st, 0);
		const char *stream = col_text(st, 1), *text = col_text(st, 2);
		size_t len = sqlite3_column_bytes(st, 2);

		if (of < run && of > 0)
			break;
		if (of != run || !stream || strcmp(stream, "stdout") != 0 || !text)
			continue;
		if (!first && !sqlite3_column_int(st, 3)) {
			buf_putc(out, '\n');
			whole = out->len;
		}
		first = false;
		if (out->len + len > max) {
			if (whole > 0)
				out->len = whole - 1;
			else
				put_reversed_tail(out, text, len, max - out->len);
			break;
		}
		put_reversed_tail(out, text, len, len);
	}
	sqlite3_reset(st);
	if (r < 0)
		return r;
	if (out->len > 0) {
		reverse(out->data, out->len);
		out->data[out->len] = 0;
	}
	return 0;
}

/* ---- runs ------------------------------------------------------------------------------------------------ */

static void
run_row(struct store *s, sqlite3_stmt *st, struct run_row *row)
{
	row->session = sqlite3_column_int64(st, 0);
	row->n = sqlite3_column_int64(st, 1);
	row->boot_id = col_text(st, 2);
	row->shim_pid = sqlite3_column_int64(st, 3);
	row->shim_start = sqlite3_column_int64(st, 4);
	for (int i = 0; i < 3; i++)
		row->offset[i] = sqlite3_column_int64(st, 5 + i);
	row->in_seq = sqlite3_column_int64(st, 8);
	row->outcome = outcome_of(s, col_text(st, 9));
	row->exit_code = sqlite3_column_int(st, 10);
	row->signal = sqlite3_column_int(st, 11);
	row->started_us = sqlite3_column_int64(st, 12);
	row->ended_us = sqlite3_column_int64(st, 13);
	row->error = col_text(st, 14);
	row->adapter_state = col_text(st, 15);
	row->adapter_state_len = sqlite3_column_bytes(st, 15);
	row->logged = sqlite3_column_int64(st, 16);
	row->args = col_text(st, 17);
	row->plan = col_text(st, 18);
	row->watch = col_text(st, 19);
}

/* 1 with *row filled, which lives until *st is reset; 0 when the session has no run. */
static int
latest_run(struct store *s, enum query q, int64_t session, sqlite3_stmt **out, struct run_row *row, struct err *e)
{
	sqlite3_stmt *st = store_query(s, q, e);
	int r;

	if (!st)
		return s->code;
	*out = st;
	sqlite3_bind_int64(st, 1, session);
	if ((r = store_step(s, st, e)) > 0)
		run_row(s, st, row);
	return r;
}

int
store_run_latest(struct store *s, int64_t session, int (*cb)(const struct run_row *, void *), void *arg,
		 struct err *e)
{
	struct run_row row;
	sqlite3_stmt *st;
	int r;

	if ((r = latest_run(s, Q_RUN_LATEST, session, &st, &row, e)) < 0)
		return r;
	if (r == 0)
		return err_set_status(e, 404, -ENOENT, "the session has no run");
	r = cb(&row, arg);
	sqlite3_reset(st);
	return r;
}

int
store_run_plan(struct store *s, int64_t session, int64_t run, struct buf *out, struct err *e)
{
	sqlite3_stmt *st = store_query(s, run > 0 ? Q_RUN_PLAN : Q_RUN_PLAN_LATEST, e);
	int r;

	buf_reset(out);
	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, session);
	if (run > 0)
		sqlite3_bind_int64(st, 2, run);
	if ((r = store_step(s, st, e)) == 0)
		return err_set_status(e, 404, -ENOENT, "No plan found");
	if (r > 0) {
		buf_put(out, col_text(st, 0), sqlite3_column_bytes(st, 0));
		sqlite3_reset(st);
		r = 0;
	}
	return r;
}

int
store_each_live(struct store *s, int (*cb)(const struct session_row *, const struct run_row *, void *), void *arg,
		struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_LIVE, e), *run_st;
	struct session_row row;
	int r = 0;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, STORE_LIST_MAX);
	/* What is read meanwhile is in the same snapshot: only the first of many reads has to begin one. */
	while (store_next(s, st, &r, e)) {
		struct run_row run = { .exit_code = -1 };

		session_row(s, st, &row);
		run.session = row.n;
		run_st = NULL;
		if ((r = latest_run(s, Q_RUN_LIVE, row.n, &run_st, &run, e)) >= 0)
			r = cb(&row, &run, arg);
		if (run_st)
			sqlite3_reset(run_st);
	}
	return r;
}

static int
each_session(struct store *s, enum query q, int64_t bound, int64_t limit, store_session_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, q, e);
	struct session_row row;
	int r = 0;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, bound);
	sqlite3_bind_int64(st, 2, limit);
	while (store_next(s, st, &r, e)) {
		session_row(s, st, &row);
		r = cb(&row, arg);
	}
	return r;
}

int
store_session_due(struct store *s, int64_t until_us, int64_t limit, store_session_cb cb, void *arg, struct err *e)
{
	return each_session(s, Q_SESSION_DUE, until_us, limit, cb, arg, e);
}

int
store_session_failed(struct store *s, int64_t after, int64_t limit, store_session_cb cb, void *arg, struct err *e)
{
	return each_session(s, Q_SESSION_FAILED, after, limit, cb, arg, e);
}

int
store_session_next_due(struct store *s, int64_t *due_us, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_SESSION_NEXT_DUE, e);
	int r;

	*due_us = INT64_MAX;
	if (!st)
		return s->code;
	if ((r = store_step(s, st, e)) > 0) {
		*due_us = sqlite3_column_int64(st, 0);
		sqlite3_reset(st);
	}
	return r < 0 ? r : 0;
}

/* ---- events of one session ------------------------------------------------------------------------------- */

void
store_event_row(sqlite3_stmt *st, struct event_row *row)
{
	row->id = sqlite3_column_int64(st, 0);
	row->session = sqlite3_column_int64(st, 1);
	row->seq = sqlite3_column_int64(st, 2);
	row->run = sqlite3_column_int64(st, 3);
	row->time_us = sqlite3_column_int64(st, 4);
	row->timestamp = col_text(st, 5);
	row->type = col_text(st, 6);
	row->keys = sqlite3_column_int64(st, 7);
	row->data = col_text(st, 8);
	row->data_len = sqlite3_column_bytes(st, 8);
	row->raw = NULL;
	row->raw_len = 0;
}

/* Events after `after` with the names that the caller has. */
static int
each_event(struct store *s, int64_t after, int64_t limit, bool with_raw, sqlite3_stmt *names, int64_t session,
	   store_event_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, with_raw ? Q_EVENTS_RAW : Q_EVENTS, e);
	struct event_row row = { .session_id = col_text(names, 0), .session_name = col_text(names, 1) };
	int r = 0;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, session);
	sqlite3_bind_int64(st, 2, after);
	sqlite3_bind_int64(st, 3, limit > 0 ? limit : 0);
	while (store_next(s, st, &r, e)) {
		store_event_row(st, &row);
		if (with_raw) {
			row.raw = sqlite3_column_blob(st, 9);
			row.raw_len = sqlite3_column_bytes(st, 9);
		}
		r = cb(&row, arg);
	}
	return r;
}

int
store_events(struct store *s, int64_t session, int64_t after, int64_t limit, bool with_raw, store_event_cb cb,
	     void *arg, struct err *e)
{
	sqlite3_stmt *names;
	int r;

	if ((r = store_names_query(s, session, &names, e)) < 0)
		return r;
	r = each_event(s, after, limit, with_raw, names, session, cb, arg, e);
	sqlite3_reset(names);
	return r;
}

int
store_events_tail(struct store *s, int64_t session, int64_t count, bool with_raw, store_event_cb cb, void *arg,
		  struct err *e)
{
	sqlite3_stmt *names;
	int64_t last;
	int r;

	if ((r = store_names_query(s, session, &names, e)) < 0)
		return r;
	/* seq has no gaps. */
	last = sqlite3_column_int64(names, 2);
	r = each_event(s, count < last ? last - count : 0, count, with_raw, names, session, cb, arg, e);
	sqlite3_reset(names);
	return r;
}

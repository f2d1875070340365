/* SPDX-License-Identifier: MIT */
/* Everything that changes the database: sessions, results, runs, events, and the changes that followers are told. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "store/store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/store-internal.h"

/* ---- the last seq of each session ------------------------------------------------------------------------ */

/*
 * A session's row is some hundred bytes and SQLite would write all of it anew for each event; so last_seq is kept here
 * and goes into the row once per transaction (or when two busy sessions fall on the same place of the table).
 */
static int
flush_head(struct store *s, struct store_head *h, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_SESSION_SET_SEQ, e);
	int r;

	if (st) {
		sqlite3_bind_int64(st, 1, h->n);
		sqlite3_bind_int64(st, 2, h->seq);
	}
	if ((r = store_exec(s, st, e)) < 0)
		return r;
	h->dirty = false;
	s->dirty--;
	return 0;
}

int
store_flush_heads(struct store *s, struct err *e)
{
	int r;

	for (int i = 0; i < STORE_HEADS && s->dirty > 0; i++)
		if (s->heads[i].dirty && (r = flush_head(s, &s->heads[i], e)) < 0)
			return r;
	return 0;
}

static int
head_get(struct store *s, int64_t n, struct store_head **out, struct err *e)
{
	struct store_head *h = &s->heads[(uint64_t)n % STORE_HEADS];
	sqlite3_stmt *st;
	int r;

	*out = h;
	if (h->n == n)
		return 0;
	if (h->dirty && (r = flush_head(s, h, e)) < 0)
		return r;
	h->n = 0;
	if (!(st = store_stmt(s, Q_SESSION_SEQ, e)))
		return s->code;
	sqlite3_bind_int64(st, 1, n);
	r = store_step(s, st, e);
	if (r == 0)
		return err_set_status(e, 404, -ENOENT, "Session not found");
	if (r > 0) {
		h->n = n;
		h->seq = sqlite3_column_int64(st, 0);
		sqlite3_reset(st);
		r = 0;
	}
	return r;
}

/* ---- changes --------------------------------------------------------------------------------------------- */

static int
prune_changes(struct store *s, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_CHANGE_NTH, e);
	char floor[24];
	int64_t id;
	int r;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, STORE_PRUNE - 1);
	if ((r = store_step(s, st, e)) <= 0)
		return r;
	id = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	if (!(st = store_stmt(s, Q_CHANGE_PRUNE, e)))
		return s->code;
	sqlite3_bind_int64(st, 1, id);
	if ((r = store_exec(s, st, e)) < 0)
		return r;
	s->changes -= sqlite3_changes(s->db);
	snprintf(floor, sizeof(floor), "%" PRId64, id);
	return store_meta_set(s, "change_floor", floor, e);
}

static int
change_add(struct store *s, int64_t session, const char *kind, const struct buf *json, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_CHANGE_ADD, e);
	int r;

	if (st) {
		sqlite3_bind_int64(st, 1, ++s->last_id);
		sqlite3_bind_int64(st, 2, session);
		bind_text(st, 3, kind);
		sqlite3_bind_text(st, 4, json->data, json->len, SQLITE_STATIC);
	}
	if ((r = store_exec(s, st, e)) < 0)
		return r;
	if (++s->changes < STORE_CHANGES_KEPT + STORE_PRUNE)
		return 0;
	return prune_changes(s, e);
}

static int
session_change(struct store *s, const char *kind, const struct session_row *row, struct err *e)
{
	struct buf *b = &s->scratch;

	buf_reset(b);
	buf_puts(b, "{\"type\":\"");
	buf_puts(b, kind);
	buf_puts(b, "\",\"session\":");
	session_render(b, row);
	return change_add(s, row->n, kind, b, e);
}

/* ---- sessions -------------------------------------------------------------------------------------------- */

int
store_session_add(struct store *s, struct session_row *row, struct err *e)
{
	struct session_row shown = {
		.id = row->id, .name = row->name, .state = row->state, .passive = row->passive,
		.project_dir = row->project_dir, .agent_name = row->agent_name, .adapter = row->adapter,
		.parent_id = row->parent_id, .created_us = row->created_us, .exit_code = -1,
		.agent_session_id = row->agent_session_id, .blueprint_version = row->blueprint_version,
		.persistent = row->persistent, .priority = row->priority,
		.callback = row->callback, .stop_with_parent = row->stop_with_parent,
	};
	sqlite3_stmt *st;
	int r;

	assert(s->in_tx);
	if ((st = store_stmt(s, Q_SESSION_ADD, e))) {
		bind_text(st, 1, row->id);
		bind_text(st, 2, row->name);
		bind_text(st, 3, session_state_name(row->state));
		sqlite3_bind_int(st, 4, row->passive);
		bind_text(st, 5, row->project_dir);
		bind_text(st, 6, row->agent_name);
		bind_text(st, 7, row->adapter);
		bind_text(st, 8, row->parent_id);
		sqlite3_bind_int64(st, 9, row->created_us);
		bind_text(st, 10, row->agent_session_id);
		bind_text(st, 11, s->node);
		sqlite3_bind_int64(st, 12, row->blueprint_version);
		sqlite3_bind_int(st, 13, row->persistent);
		bind_text(st, 14, row->command);
		sqlite3_bind_int64(st, 15, row->root);
		sqlite3_bind_int(st, 16, row->callback);
		sqlite3_bind_int64(st, 17, row->priority);
		sqlite3_bind_int64(st, 18, row->queued_us);
		sqlite3_bind_int(st, 19, row->callback_due);
		sqlite3_bind_int(st, 20, row->stop_with_parent);
		bind_text(st, 21, row->started_by);
	}
	if ((r = store_exec(s, st, e)) < 0)
		return r;
	if (sqlite3_changes(s->db) == 0)
		return err_set_status(e, 409, -EEXIST, "Session id %s is taken", row->id);
	row->n = shown.n = sqlite3_last_insert_rowid(s->db);
	return session_change(s, "session_created", &shown, e);
}

int
store_session_update(struct store *s, const struct session_row *row, struct err *e)
{
	struct session_row shown = *row;
	struct store_head *h;
	sqlite3_stmt *st;
	int r;

	assert(s->in_tx);
	if ((r = head_get(s, row->n, &h, e)) < 0)
		return r;
	shown.last_seq = h->seq;
	if ((st = store_stmt(s, Q_SESSION_UPDATE, e))) {
		sqlite3_bind_int64(st, 1, row->n);
		bind_text(st, 2, row->name);
		bind_text(st, 3, session_state_name(row->state));
		bind_text(st, 4, outcome_name(row->outcome));
		sqlite3_bind_int(st, 5, row->passive);
		bind_text(st, 6, row->project_dir);
		bind_text(st, 7, row->agent_name);
		bind_text(st, 8, row->adapter);
		bind_text(st, 9, row->parent_id);
		sqlite3_bind_int64(st, 10, row->last_resumed_us);
		sqlite3_bind_int64(st, 11, row->started_us);
		sqlite3_bind_int64(st, 12, row->ended_us);
		sqlite3_bind_int64(st, 13, row->runs);
		sqlite3_bind_int(st, 14, row->exit_code);
		sqlite3_bind_int(st, 15, row->signal);
		bind_text(st, 16, row->error);
		sqlite3_bind_double(st, 17, row->cost_usd);
		sqlite3_bind_int64(st, 18, row->input_tokens);
		sqlite3_bind_int64(st, 19, row->output_tokens);
		sqlite3_bind_int64(st, 20, row->turns);
		bind_text(st, 21, row->agent_session_id);
		sqlite3_bind_int64(st, 22, row->blueprint_version);
		sqlite3_bind_int(st, 23, row->persistent);
		sqlite3_bind_int(st, 24, row->callback);
		sqlite3_bind_int64(st, 25, row->prompts_queued);
		sqlite3_bind_int64(st, 26, row->priority);
		sqlite3_bind_int64(st, 27, row->queued_us);
		sqlite3_bind_int64(st, 28, row->due_us);
		sqlite3_bind_int64(st, 29, row->restarts);
		sqlite3_bind_int64(st, 30, row->limit_begin_us);
		sqlite3_bind_int64(st, 31, row->limit_count);
		sqlite3_bind_int(st, 32, row->callback_due);
		sqlite3_bind_int(st, 33, row->stop_with_parent);
		bind_text(st, 34, row->started_by);
	}
	if ((r = store_exec(s, st, e)) < 0)
		return r;
	return session_change(s, "session_updated", &shown, e);
}

static int
run_for_session(struct store *s, enum query q, int64_t n, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, q, e);

	if (st)
		sqlite3_bind_int64(st, 1, n);
	return store_exec(s, st, e);
}

static int
delete_events(struct store *s, int64_t n, int64_t upto, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_EVENT_DELETE, e);

	if (st) {
		sqlite3_bind_int64(st, 1, n);
		sqlite3_bind_int64(st, 2, upto);
	}
	return store_exec(s, st, e);
}

/* The number that a statement gives, bound to n when n > 0; 0 when there is no row. */
static int
one_number(struct store *s, enum query q, int64_t n, int64_t *out, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, q, e);
	int r;

	*out = 0;
	if (!st)
		return s->code;
	if (n > 0)
		sqlite3_bind_int64(st, 1, n);
	if ((r = store_step(s, st, e)) > 0) {
		*out = sqlite3_column_int64(st, 0);
		sqlite3_reset(st);
	}
	return r < 0 ? r : 0;
}

int
store_purge(struct store *s, struct err *e)
{
	int64_t n, first;
	int r;

	assert(s->in_tx);
	if ((r = one_number(s, Q_GARBAGE_GET, 0, &n, e)) < 0 || n == 0)
		return r;
	if ((r = one_number(s, Q_EVENT_FIRST, n, &first, e)) < 0)
		return r;
	/* seq has no gaps: so many events, and no more. */
	r = first == 0 ? run_for_session(s, Q_GARBAGE_DELETE, n, e) : delete_events(s, n, first + STORE_DELETE_CHUNK - 1, e);
	return r < 0 ? r : 1;
}

int
store_session_delete(struct store *s, int64_t n, int64_t *events, struct err *e)
{
	static const enum query others[] = { Q_RESULT_DELETE, Q_PROMPT_DELETE, Q_QUESTION_DELETE, Q_RUN_TEXT_DELETE,
						Q_RUN_DELETE,	 Q_TOKEN_END_SESSION, Q_SESSION_DELETE };
	struct buf *b = &s->scratch;
	int64_t last_seq;
	sqlite3_stmt *st;
	int r;

	assert(s->in_tx);
	if ((r = store_flush_heads(s, e)) < 0 || (r = store_names_query(s, n, &st, e)) < 0)
		return r;
	buf_reset(b);
	buf_puts(b, "{\"type\":\"session_deleted\",\"session_id\":");
	buf_put_json_str(b, col_text(st, 0));
	last_seq = sqlite3_column_int64(st, 2);
	sqlite3_reset(st);

	r = last_seq <= STORE_DELETE_CHUNK ? delete_events(s, n, last_seq, e) : run_for_session(s, Q_GARBAGE_ADD, n, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if ((r = run_for_session(s, others[i], n, e)) < 0)
			return r;
	if (s->heads[(uint64_t)n % STORE_HEADS].n == n)
		s->heads[(uint64_t)n % STORE_HEADS].n = 0;
	if (events)
		*events = last_seq;
	return change_add(s, n, "session_deleted", b, e);
}

int
store_session_set_result(struct store *s, int64_t n, const char *text, size_t len, struct err *e)
{
	struct store_head *h;
	sqlite3_stmt *st;
	int r;

	assert(s->in_tx);
	if (!text)
		return run_for_session(s, Q_RESULT_DELETE, n, e);
	if ((r = head_get(s, n, &h, e)) < 0)
		return r;
	if ((st = store_stmt(s, Q_RESULT_SET, e))) {
		sqlite3_bind_int64(st, 1, n);
		sqlite3_bind_text64(st, 2, text, len, SQLITE_STATIC, SQLITE_UTF8);
	}
	return store_exec(s, st, e);
}

/* ---- runs ------------------------------------------------------------------------------------------------ */

static sqlite3_stmt *
run_bind(struct store *s, enum query q, const struct run_row *r, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, q, e);

	if (!st)
		return NULL;
	sqlite3_bind_int64(st, 1, r->session);
	sqlite3_bind_int64(st, 2, r->n);
	bind_text(st, 3, r->boot_id);
	sqlite3_bind_int64(st, 4, r->shim_pid);
	sqlite3_bind_int64(st, 5, r->shim_start);
	for (int i = 0; i < 3; i++)
		sqlite3_bind_int64(st, 6 + i, r->offset[i]);
	sqlite3_bind_int64(st, 9, r->in_seq);
	bind_text(st, 10, outcome_name(r->outcome));
	sqlite3_bind_int(st, 11, r->exit_code);
	sqlite3_bind_int(st, 12, r->signal);
	sqlite3_bind_int64(st, 13, r->started_us);
	sqlite3_bind_int64(st, 14, r->ended_us);
	bind_text(st, 15, r->error);
	if (r->adapter_state)
		sqlite3_bind_text64(st, 16, r->adapter_state, r->adapter_state_len, SQLITE_STATIC, SQLITE_UTF8);
	else
		sqlite3_bind_null(st, 16);
	sqlite3_bind_int64(st, 17, r->logged);
	bind_text(st, 18, r->watch);
	return st;
}

int
store_run_add(struct store *s, const struct run_row *row, struct err *e)
{
	struct store_head *h;
	sqlite3_stmt *st;
	int r;

	assert(s->in_tx);
	if ((r = head_get(s, row->session, &h, e)) < 0 ||
	    (r = store_exec(s, run_bind(s, Q_RUN_ADD, row, e), e)) < 0)
		return r;
	if (sqlite3_changes(s->db) == 0)
		return err_set_status(e, 409, -EEXIST, "run %" PRId64 " of the session is there already", row->n);
	if ((st = store_stmt(s, Q_RUN_TEXT_ADD, e))) {
		sqlite3_bind_int64(st, 1, row->session);
		sqlite3_bind_int64(st, 2, row->n);
		bind_text(st, 3, row->args);
		bind_text(st, 4, row->plan);
	}
	return store_exec(s, st, e);
}

int
store_run_update(struct store *s, const struct run_row *row, struct err *e)
{
	int r;

	assert(s->in_tx);
	if ((r = store_exec(s, run_bind(s, Q_RUN_UPDATE, row, e), e)) < 0)
		return r;
	if (sqlite3_changes(s->db) == 0)
		return err_set_status(e, 404, -ENOENT, "the session has no run %" PRId64, row->n);
	return 0;
}

/* ---- events ---------------------------------------------------------------------------------------------- */

int
store_event_add(struct store *s, int64_t session, int64_t seq, int64_t run, const struct event *ev, int64_t *id,
		struct err *e)
{
	struct store_head *h;
	sqlite3_stmt *st;
	int r;

	assert(s->in_tx);
	if ((r = head_get(s, session, &h, e)) < 0)
		return r;
	if (seq != h->seq + 1)
		return err_set_status(e, 409, -EEXIST, "seq %" PRId64 " is not the next of the session, %" PRId64,
				      seq, h->seq + 1);
	if ((st = store_stmt(s, Q_EVENT_ADD, e))) {
		sqlite3_bind_int64(st, 1, ++s->last_id);
		sqlite3_bind_int64(st, 2, session);
		sqlite3_bind_int64(st, 3, seq);
		sqlite3_bind_int64(st, 4, run);
		sqlite3_bind_int64(st, 5, ev->time_us);
		bind_text(st, 6, ev->timestamp);
		bind_text(st, 7, ev->type);
		sqlite3_bind_int64(st, 8, ev->keys);
		sqlite3_bind_text64(st, 9, ev->data.data ? ev->data.data : "", ev->data.len, SQLITE_STATIC,
				    SQLITE_UTF8);
		if (ev->raw.len > 0)
			sqlite3_bind_blob64(st, 10, ev->raw.data, ev->raw.len, SQLITE_STATIC);
		else
			sqlite3_bind_null(st, 10);
	}
	if ((r = store_exec(s, st, e)) < 0)
		return r;
	h->seq = seq;
	if (!h->dirty) {
		h->dirty = true;
		s->dirty++;
	}
	if (id)
		*id = s->last_id;
	return 0;
}

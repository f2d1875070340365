/* SPDX-License-Identifier: MIT */
/* Prompts: what sessions are asked. See store.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <assert.h>
#include <string.h>

#include "store/store-internal.h"

static const char *const state_names[PROMPT_STATE_COUNT] = {
	[PROMPT_QUEUED] = "queued", [PROMPT_GIVEN] = "given",	      [PROMPT_DONE] = "done",
	[PROMPT_FAILED] = "failed", [PROMPT_CANCELLED] = "cancelled",
};

const char *
prompt_state_name(enum prompt_state s)
{
	assert(s < PROMPT_STATE_COUNT);
	return state_names[s];
}

static enum prompt_state
state_of(const char *name)
{
	for (int i = 0; i < PROMPT_STATE_COUNT; i++)
		if (name && strcmp(name, state_names[i]) == 0)
			return (enum prompt_state)i;
	return PROMPT_CANCELLED;
}

int
store_prompt_add(struct store *s, struct prompt_row *row, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_PROMPT_ADD, e);
	int r;

	assert(s->in_tx);
	if (st) {
		sqlite3_bind_int64(st, 1, row->session);
		bind_text(st, 2, row->uuid);
		bind_text(st, 3, row->source);
		bind_text(st, 4, row->origin);
		bind_text(st, 5, row->author);
		bind_text(st, 6, prompt_state_name(row->state));
		sqlite3_bind_int64(st, 7, row->run);
		sqlite3_bind_int64(st, 8, row->in_seq);
		sqlite3_bind_int64(st, 9, row->created_us);
		sqlite3_bind_int64(st, 10, row->given_us);
		sqlite3_bind_int64(st, 11, row->ended_us);
		sqlite3_bind_int(st, 12, row->callback);
		sqlite3_bind_int64(st, 13, (int64_t)strlen(row->text));
		bind_text(st, 14, row->text);
	}
	if ((r = store_exec(s, st, e)) < 0)
		return r;
	if (sqlite3_changes(s->db) == 0)
		return 0;
	row->id = sqlite3_last_insert_rowid(s->db);
	return 1;
}

int
store_prompt_update(struct store *s, const struct prompt_row *row, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_PROMPT_UPDATE, e);

	assert(s->in_tx);
	if (st) {
		sqlite3_bind_int64(st, 1, row->id);
		bind_text(st, 2, row->uuid);
		bind_text(st, 3, prompt_state_name(row->state));
		sqlite3_bind_int64(st, 4, row->run);
		sqlite3_bind_int64(st, 5, row->in_seq);
		sqlite3_bind_int64(st, 6, row->given_us);
		sqlite3_bind_int64(st, 7, row->ended_us);
	}
	return store_exec(s, st, e);
}

int
store_prompt_known(struct store *s, int64_t session, const char *origin, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_PROMPT_KNOWN, e);
	int r;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, session);
	bind_text(st, 2, origin);
	r = store_step(s, st, e);
	sqlite3_reset(st);
	return r < 0 ? r : r > 0;
}

int64_t
store_prompt_bytes(struct store *s, int64_t session, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_PROMPT_BYTES, e);
	int64_t bytes;
	int r;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, session);
	r = store_step(s, st, e);
	bytes = r > 0 ? sqlite3_column_int64(st, 0) : r;
	sqlite3_reset(st);
	return bytes;
}

int
store_prompt_cancel(struct store *s, int64_t session, int64_t id, int64_t time_us, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_PROMPT_CANCEL, e);
	int r;

	assert(s->in_tx);
	if (st) {
		sqlite3_bind_int64(st, 1, session);
		sqlite3_bind_int64(st, 2, id);
		sqlite3_bind_int64(st, 3, time_us);
	}
	if ((r = store_exec(s, st, e)) < 0)
		return r;
	return sqlite3_changes(s->db);
}

static void
prompt_row(sqlite3_stmt *st, struct prompt_row *row)
{
	row->id = sqlite3_column_int64(st, 0);
	row->session = sqlite3_column_int64(st, 1);
	row->uuid = col_text(st, 2);
	row->source = col_text(st, 3);
	row->origin = col_text(st, 4);
	row->author = col_text(st, 5);
	row->state = state_of(col_text(st, 6));
	row->run = sqlite3_column_int64(st, 7);
	row->in_seq = sqlite3_column_int64(st, 8);
	row->created_us = sqlite3_column_int64(st, 9);
	row->given_us = sqlite3_column_int64(st, 10);
	row->ended_us = sqlite3_column_int64(st, 11);
	row->callback = sqlite3_column_int(st, 12);
	row->text = col_text(st, 13);
}

static int
each_prompt(struct store *s, sqlite3_stmt *st, int64_t session, int64_t limit, store_prompt_cb cb, void *arg, struct err *e)
{
	struct prompt_row row;
	int r = 0;

	sqlite3_bind_int64(st, 1, session);
	sqlite3_bind_int64(st, 2, limit);
	while (store_next(s, st, &r, e)) {
		prompt_row(st, &row);
		r = cb(&row, arg);
	}
	return r;
}

int
store_prompt_open(struct store *s, int64_t session, int64_t limit, store_prompt_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_PROMPT_OPEN, e);

	return st ? each_prompt(s, st, session, limit, cb, arg, e) : s->code;
}

int
store_prompt_heads(struct store *s, int64_t session, int64_t limit, store_prompt_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_PROMPT_HEADS, e);

	return st ? each_prompt(s, st, session, limit, cb, arg, e) : s->code;
}

int
store_prompt_list(struct store *s, int64_t session, int64_t after, int64_t limit, store_prompt_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_PROMPT_LIST, e);

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 3, after);
	return each_prompt(s, st, session, limit, cb, arg, e);
}

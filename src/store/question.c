/* SPDX-License-Identifier: MIT */
/* Questions of agents. See store.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <assert.h>

#include "store/store-internal.h"

int
store_question_add(struct store *s, const struct question_row *row, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_QUESTION_ADD, e);

	assert(s->in_tx);
	if (st) {
		sqlite3_bind_int64(st, 1, row->session);
		sqlite3_bind_int64(st, 2, row->run);
		bind_text(st, 3, row->id);
		bind_text(st, 4, row->kind);
		bind_text(st, 5, row->json);
		sqlite3_bind_int64(st, 6, row->asked_us);
		sqlite3_bind_int64(st, 7, row->due_us);
	}
	return store_exec(s, st, e);
}

int
store_question_due(struct store *s, int64_t session, int64_t run, const char *id, int64_t due_us, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_QUESTION_DUE, e);

	assert(s->in_tx);
	if (st) {
		sqlite3_bind_int64(st, 1, session);
		sqlite3_bind_int64(st, 2, run);
		bind_text(st, 3, id);
		sqlite3_bind_int64(st, 4, due_us);
	}
	return store_exec(s, st, e);
}

int
store_question_close(struct store *s, const struct question_row *row, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_QUESTION_CLOSE, e);

	assert(s->in_tx);
	if (st) {
		sqlite3_bind_int64(st, 1, row->session);
		sqlite3_bind_int64(st, 2, row->run);
		bind_text(st, 3, row->id);
		bind_text(st, 4, row->closed);
		sqlite3_bind_int64(st, 5, row->closed_us);
		bind_text(st, 6, row->answer);
		bind_text(st, 7, row->author);
	}
	return store_exec(s, st, e);
}

static int
each(struct store *s, sqlite3_stmt *st, store_question_cb cb, void *arg, struct err *e)
{
	int r = 0;

	while (store_next(s, st, &r, e)) {
		const struct question_row row = {
			.session = sqlite3_column_int64(st, 0),
			.run = sqlite3_column_int64(st, 1),
			.id = col_text(st, 2),
			.kind = col_text(st, 3),
			.json = col_text(st, 4),
			.asked_us = sqlite3_column_int64(st, 5),
			.due_us = sqlite3_column_int64(st, 6),
			.closed = col_text(st, 7),
			.closed_us = sqlite3_column_int64(st, 8),
			.answer = col_text(st, 9),
			.author = col_text(st, 10),
			.session_id = col_text(st, 11),
			.session_name = col_text(st, 12),
		};

		r = cb(&row, arg);
	}
	return r;
}

int
store_question_open(struct store *s, int64_t after_us, int64_t limit, store_question_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_QUESTION_LIST_OPEN, e);

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, limit);
	sqlite3_bind_int64(st, 2, after_us);
	return each(s, st, cb, arg, e);
}

int
store_question_list(struct store *s, int64_t session, bool all, int64_t limit, store_question_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, all ? Q_QUESTION_LIST : Q_QUESTION_LIST_SESSION, e);

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, limit);
	sqlite3_bind_int64(st, 2, session);
	return each(s, st, cb, arg, e);
}

int
store_question_run(struct store *s, int64_t session, int64_t run, int64_t limit, store_question_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_QUESTION_RUN, e);

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, limit);
	sqlite3_bind_int64(st, 2, session);
	sqlite3_bind_int64(st, 3, run);
	return each(s, st, cb, arg, e);
}

/* SPDX-License-Identifier: MIT */
/* What was used: by blueprint and day, and of trees of sessions. See store.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <assert.h>
#include <string.h>

#include "store/store-internal.h"

int
store_usage_add(struct store *s, const struct usage_row *row, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_USAGE_ADD, e);

	assert(s->in_tx);
	if (st) {
		bind_text(st, 1, row->day);
		bind_text(st, 2, row->blueprint);
		sqlite3_bind_int64(st, 3, row->used.turns);
		sqlite3_bind_int64(st, 4, row->used.input_tokens);
		sqlite3_bind_int64(st, 5, row->used.output_tokens);
		sqlite3_bind_double(st, 6, row->used.cost_usd);
	}
	return store_exec(s, st, e);
}

static void
usage_of(sqlite3_stmt *st, struct usage *out)
{
	out->turns = sqlite3_column_int64(st, 0);
	out->input_tokens = sqlite3_column_int64(st, 1);
	out->output_tokens = sqlite3_column_int64(st, 2);
	out->cost_usd = sqlite3_column_double(st, 3);
}

/* Of the one row that a statement gives, or zeros. */
static int
one(struct store *s, sqlite3_stmt *st, struct usage *out, struct err *e)
{
	int r = store_step(s, st, e);

	memset(out, 0, sizeof(*out));
	if (r > 0) {
		usage_of(st, out);
		sqlite3_reset(st);
	}
	return r < 0 ? r : 0;
}

int
store_usage_get(struct store *s, const char *day, const char *blueprint, struct usage *out, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_USAGE_GET, e);

	if (!st)
		return s->code;
	bind_text(st, 1, day);
	bind_text(st, 2, blueprint);
	return one(s, st, out, e);
}

int
store_usage_tree(struct store *s, int64_t root, struct usage *out, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_USAGE_TREE, e);

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, root);
	return one(s, st, out, e);
}

int
store_usage_list(struct store *s, const char *from, const char *blueprint, int (*cb)(const struct usage_row *, void *), void *arg,
		 struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_USAGE_LIST, e);
	int r = 0;

	if (!st)
		return s->code;
	bind_text(st, 1, from);
	bind_text(st, 2, blueprint);
	sqlite3_bind_int64(st, 3, STORE_USAGE_DAYS_MAX);
	while (store_next(s, st, &r, e)) {
		struct usage_row row = { .day = col_text(st, 4), .blueprint = col_text(st, 5) };

		usage_of(st, &row.used);
		r = cb(&row, arg);
	}
	return r;
}

/* SPDX-License-Identifier: MIT */
/* What is known of blueprints' timers. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "store/store.h"

#include <assert.h>

#include "store/store-internal.h"

int
store_timer_put(struct store *s, const struct timer_row *row, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_TIMER_PUT, e);

	assert(s->in_tx);
	if (!st)
		return s->code;
	bind_text(st, 1, row->name);
	bind_text(st, 2, row->rule);
	sqlite3_bind_int64(st, 3, row->since_us);
	sqlite3_bind_int64(st, 4, row->turn_us);
	sqlite3_bind_int64(st, 5, row->last_us);
	sqlite3_bind_int64(st, 6, row->due_us);
	sqlite3_bind_int64(st, 7, row->next_us);
	bind_text(st, 8, row->boot);
	bind_text(st, 9, row->session);
	bind_text(st, 10, row->error);
	sqlite3_bind_int64(st, 11, row->skipped);
	return store_exec(s, st, e);
}

int
store_timer_get(struct store *s, const char *name, int (*cb)(const struct timer_row *, void *), void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_TIMER_GET, e);
	int r;

	if (!st)
		return s->code;
	bind_text(st, 1, name);
	r = store_step(s, st, e);
	if (r == 0)
		return err_set_status(e, 404, -ENOENT, "No timer '%s'", name);
	if (r > 0) {
		struct timer_row row = {
			.name = col_text(st, 0),
			.rule = col_text(st, 1),
			.since_us = sqlite3_column_int64(st, 2),
			.turn_us = sqlite3_column_int64(st, 3),
			.last_us = sqlite3_column_int64(st, 4),
			.due_us = sqlite3_column_int64(st, 5),
			.next_us = sqlite3_column_int64(st, 6),
			.boot = col_text(st, 7),
			.session = col_text(st, 8),
			.error = col_text(st, 9),
			.skipped = sqlite3_column_int64(st, 10),
		};

		r = cb(&row, arg);
		sqlite3_reset(st);
	}
	return r;
}

int
store_timer_prune(struct store *s, struct err *e)
{
	int r = store_exec(s, store_stmt(s, Q_TIMER_PRUNE, e), e);

	assert(s->in_tx);
	return r < 0 ? r : sqlite3_changes(s->db);
}

int
store_timer_blueprints(struct store *s, int (*cb)(const char *name, void *), void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_TIMER_BLUEPRINTS, e);
	int r = 0;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, STORE_BLUEPRINTS_MAX);
	while (store_next(s, st, &r, e))
		r = cb(col_text(st, 0), arg);
	return r;
}

/* SPDX-License-Identifier: MIT */
/* Blueprints and their versions, written and read. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "store/store.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "store/store-internal.h"

static void
bind_bytes(sqlite3_stmt *st, int i, const char *p, size_t n)
{
	sqlite3_bind_text64(st, i, p ? p : "", p ? n : 0, SQLITE_STATIC, SQLITE_UTF8);
}

static const char *
col_bytes(sqlite3_stmt *st, int i, size_t *n)
{
	const char *p = col_text(st, i);

	*n = (size_t)sqlite3_column_bytes(st, i);
	return p;
}

/* ---- writes ------------------------------------------------------------------------------------ */

static int
count_change(struct store *s, int r, struct err *e)
{
	return r < 0 ? r : store_exec(s, store_stmt(s, Q_BLUEPRINT_COUNT, e), e);
}

int
store_blueprint_put(struct store *s, const struct blueprint_row *row, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_BLUEPRINT_PUT, e);

	assert(s->in_tx);
	if (st) {
		bind_text(st, 1, row->name);
		bind_text(st, 2, row->status);
		bind_text(st, 3, row->alias_of);
		bind_text(st, 4, row->path);
		sqlite3_bind_int64(st, 5, row->version);
		sqlite3_bind_int64(st, 6, row->created_us);
		sqlite3_bind_int64(st, 7, row->modified_us);
		bind_bytes(st, 8, row->json, row->json_len);
		bind_bytes(st, 9, row->settings, row->settings_len);
		bind_bytes(st, 10, row->problems, row->problems_len);
		bind_bytes(st, 11, row->text, row->text_len);
	}
	return count_change(s, store_exec(s, st, e), e);
}

int
store_blueprint_delete(struct store *s, const char *name, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_BLUEPRINT_DELETE, e);

	assert(s->in_tx);
	if (st)
		bind_text(st, 1, name);
	return count_change(s, store_exec(s, st, e), e);
}

int
store_version_add(struct store *s, const struct version_row *row, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_VERSION_ADD, e);
	int r;

	assert(s->in_tx);
	if (st) {
		bind_text(st, 1, row->name);
		sqlite3_bind_int64(st, 2, row->version);
		sqlite3_bind_int64(st, 3, row->time_us);
		bind_text(st, 4, row->author);
		bind_text(st, 5, row->action);
		sqlite3_bind_int64(st, 6, (int64_t)row->unit_bytes);
		bind_bytes(st, 7, row->text, row->text_len);
		bind_bytes(st, 8, row->files, row->files_len);
	}
	if ((r = store_exec(s, st, e)) < 0 || row->version <= STORE_VERSIONS_KEPT)
		return r;
	if ((st = store_stmt(s, Q_VERSION_PRUNE, e))) {
		bind_text(st, 1, row->name);
		sqlite3_bind_int64(st, 2, row->version - STORE_VERSIONS_KEPT);
	}
	return store_exec(s, st, e);
}

/* ---- reads ------------------------------------------------------------------------------------- */

static void
blueprint_columns(sqlite3_stmt *st, struct blueprint_row *row, bool whole)
{
	memset(row, 0, sizeof(*row));
	row->name = col_text(st, 0);
	row->status = col_text(st, 1);
	row->alias_of = col_text(st, 2);
	row->path = col_text(st, 3);
	row->version = sqlite3_column_int64(st, 4);
	row->created_us = sqlite3_column_int64(st, 5);
	row->modified_us = sqlite3_column_int64(st, 6);
	row->json = col_bytes(st, 7, &row->json_len);
	if (!whole)
		return;
	row->settings = col_bytes(st, 8, &row->settings_len);
	row->problems = col_bytes(st, 9, &row->problems_len);
	row->text = col_bytes(st, 10, &row->text_len);
}

int
store_blueprint_get(struct store *s, const char *name, size_t name_len, store_blueprint_cb cb,
		    void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_BLUEPRINT_GET, e);
	struct blueprint_row row;
	int r;

	if (!st)
		return s->code;
	bind_bytes(st, 1, name, name_len);
	if ((r = store_step(s, st, e)) == 0)
		return err_set_status(e, 404, -ENOENT, "Agent not found: %.*s", (int)name_len,
				      name);
	if (r > 0) {
		blueprint_columns(st, &row, true);
		r = cb(&row, arg);
		sqlite3_reset(st);
	}
	return r;
}

int64_t
store_blueprint_changes(struct store *s)
{
	sqlite3_stmt *st = store_query(s, Q_BLUEPRINT_CHANGES, NULL);
	int64_t n;
	int r;

	if (!st)
		return -1;
	if ((r = store_step(s, st, NULL)) <= 0)
		return r < 0 ? -1 : 0;
	n = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return n;
}

void
store_blueprint_json(struct buf *out, const struct blueprint_row *row)
{
	buf_put(out, row->json, row->json_len > 0 ? row->json_len - 1 : 0);
	buf_puts(out, ",\"settings\":");
	buf_put(out, row->settings, row->settings_len);
	buf_puts(out, ",\"problems\":");
	buf_put(out, row->problems, row->problems_len);
	buf_putc(out, '}');
}

int
store_blueprint_list(struct store *s, store_blueprint_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_BLUEPRINT_LIST, e);
	struct blueprint_row row;
	int r = 0;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, STORE_BLUEPRINTS_MAX);
	while (store_next(s, st, &r, e)) {
		blueprint_columns(st, &row, false);
		r = cb(&row, arg);
	}
	return r;
}

static void
version_columns(sqlite3_stmt *st, struct version_row *row, bool whole)
{
	row->version = sqlite3_column_int64(st, 0);
	row->time_us = sqlite3_column_int64(st, 1);
	row->author = col_text(st, 2);
	row->action = col_text(st, 3);
	row->unit_bytes = (size_t)sqlite3_column_int64(st, 4);
	if (!whole)
		return;
	row->text = col_bytes(st, 5, &row->text_len);
	row->files = col_bytes(st, 6, &row->files_len);
	/* What is read from a file is not trusted to be in order. */
	if (row->unit_bytes > row->text_len)
		row->unit_bytes = row->text_len;
}

int
store_version_get(struct store *s, const char *name, size_t name_len, int64_t version,
		  store_version_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, version ? Q_VERSION_GET : Q_VERSION_LATEST, e);
	struct version_row row = {0};
	int r;

	if (!st)
		return s->code;
	bind_bytes(st, 1, name, name_len);
	if (version)
		sqlite3_bind_int64(st, 2, version);
	if ((r = store_step(s, st, e)) == 0)
		return err_set_status(e, 404, -ENOENT, "Agent %.*s has no version %" PRId64,
				      (int)name_len, name, version);
	if (r > 0) {
		CLEANUP_FREE char *copy = xstrndup(name, name_len);

		row.name = copy;
		version_columns(st, &row, true);
		r = cb(&row, arg);
		sqlite3_reset(st);
	}
	return r;
}

int
store_version_list(struct store *s, const char *name, size_t name_len, int64_t limit,
		   store_version_cb cb, void *arg, struct err *e)
{
	CLEANUP_FREE char *copy = xstrndup(name, name_len);
	sqlite3_stmt *st = store_query(s, Q_VERSION_LIST, e);
	struct version_row row = {.name = copy};
	int r = 0;

	if (!st)
		return s->code;
	bind_bytes(st, 1, name, name_len);
	sqlite3_bind_int64(st, 2, limit);
	while (store_next(s, st, &r, e)) {
		version_columns(st, &row, false);
		r = cb(&row, arg);
	}
	return r;
}

/* SPDX-License-Identifier: MIT */
/* Tokens, whose session is whose, and the audit trail. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "store/store.h"

#include <string.h>

#include "store/store-internal.h"

/* ---- tokens ---------------------------------------------------------------------------------------------- */

int
store_token_add(struct store *s, const struct token_row *row, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_TOKEN_ADD, e);
	int r;

	if (!st)
		return s->code;
	bind_text(st, 1, row->id);
	bind_text(st, 2, row->hash);
	bind_text(st, 3, row->name);
	bind_text(st, 4, role_name(row->role));
	bind_text(st, 5, row->kind);
	if (row->session)
		sqlite3_bind_int64(st, 6, row->session);
	else
		sqlite3_bind_null(st, 6);
	sqlite3_bind_int64(st, 7, row->run);
	bind_text(st, 8, row->parent);
	sqlite3_bind_int64(st, 9, row->created_us);
	sqlite3_bind_int64(st, 10, row->expires_us);
	if ((r = store_exec(s, st, e)) < 0)
		return r;
	if (sqlite3_changes(s->db) == 0)
		return err_set_status(e, 409, -EEXIST, "There is a token '%s' already: revoke it, or give another name", row->name);
	return 0;
}

static void
token_row(sqlite3_stmt *st, struct token_row *row)
{
	int role = role_parse(col_text(st, 2));

	memset(row, 0, sizeof(*row));
	row->id = col_text(st, 0);
	row->name = col_text(st, 1);
	row->role = role < 0 ? ROLE_NONE : (enum role)role;
	row->kind = col_text(st, 3);
	row->session = sqlite3_column_int64(st, 4);
	row->session_id = col_text(st, 5);
	row->parent = col_text(st, 6);
	row->created_us = sqlite3_column_int64(st, 7);
	row->expires_us = sqlite3_column_int64(st, 8);
	row->used_us = sqlite3_column_int64(st, 9);
}

int
store_token_find(struct store *s, const char *hash, int64_t now_us, store_token_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_TOKEN_FIND, e);
	struct token_row row;
	int r;

	if (!st)
		return s->code;
	bind_text(st, 1, hash);
	sqlite3_bind_int64(st, 2, now_us);
	r = store_step(s, st, e);
	if (r == 0)
		return err_set_status(e, 401, -ENOENT, "The token is not valid: it was revoked, has expired, or never was one");
	if (r > 0) {
		token_row(st, &row);
		r = cb(&row, arg);
		sqlite3_reset(st);
	}
	return r;
}

int
store_token_list(struct store *s, store_token_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_TOKEN_LIST, e);
	struct token_row row;
	int r = 0;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, STORE_TOKENS_MAX);
	while (store_next(s, st, &r, e)) {
		token_row(st, &row);
		r = cb(&row, arg);
	}
	return r;
}

int
store_token_revoke(struct store *s, const char *key, struct err *e)
{
	static const enum query both[] = { Q_TOKEN_REVOKE_LOGINS, Q_TOKEN_REVOKE };
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(both) && r == 0; i++) {
		sqlite3_stmt *st = store_stmt(s, both[i], e);

		if (st)
			bind_text(st, 1, key);
		r = store_exec(s, st, e);
	}
	if (r == 0 && sqlite3_changes(s->db) == 0)
		return err_set_status(e, 404, -ENOENT, "Token not found");
	return r;
}

int
store_token_set_cgroup(struct store *s, int64_t session, int64_t cgroup, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_TOKEN_SET_CGROUP, e);

	if (st) {
		sqlite3_bind_int64(st, 1, session);
		sqlite3_bind_int64(st, 2, cgroup);
	}
	return store_exec(s, st, e);
}

int
store_token_has_cgroup(struct store *s, int64_t cgroup, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_TOKEN_CGROUP, e);
	int r;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, cgroup);
	r = store_step(s, st, e);
	if (r > 0)
		sqlite3_reset(st);
	return r;
}

int
store_token_logout(struct store *s, const char *id, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_TOKEN_LOGOUT, e);

	if (st)
		bind_text(st, 1, id);
	return store_exec(s, st, e);
}

/* Run a statement with a number, and say how many rows it changed. */
static int
change(struct store *s, enum query q, int64_t a, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, q, e);
	int r;

	if (st)
		sqlite3_bind_int64(st, 1, a);
	r = store_exec(s, st, e);
	return r < 0 ? r : sqlite3_changes(s->db);
}

int
store_token_end_session(struct store *s, int64_t session, struct err *e)
{
	return change(s, Q_TOKEN_END_SESSION, session, e);
}

int
store_token_purge(struct store *s, int64_t now_us, struct err *e)
{
	int r = change(s, Q_TOKEN_PURGE, now_us, e);

	return r < 0 ? r : 0;
}

int
store_token_used(struct store *s, const char *id, int64_t now_us, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_TOKEN_USED, e);

	if (st) {
		bind_text(st, 1, id);
		sqlite3_bind_int64(st, 2, now_us);
	}
	return store_exec(s, st, e);
}

/* ---- whose session is whose ------------------------------------------------------------------------------ */

int
store_session_owned(struct store *s, const char *owner, int64_t n, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_SESSION_OWNED, e);
	int r;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, n);
	bind_text(st, 2, owner);
	r = store_step(s, st, e);
	if (r > 0)
		sqlite3_reset(st);
	return r;
}

/* ---- the audit trail ------------------------------------------------------------------------------------- */

static void
bind_audit(sqlite3_stmt *st, const struct audit_row *row)
{
	sqlite3_bind_int64(st, 1, row->time_us);
	bind_text(st, 2, row->who);
	bind_text(st, 3, row->origin);
	bind_text(st, 4, row->verb);
	bind_text(st, 5, row->target ? row->target : "");
	sqlite3_bind_int(st, 6, row->status);
	sqlite3_bind_int64(st, 7, row->count);
}

int
store_audit_add(struct store *s, const struct audit_row *row, bool fold, struct err *e)
{
	sqlite3_stmt *st;
	int64_t id;
	int r;

	if (fold) {
		if (!(st = store_stmt(s, Q_AUDIT_AGAIN, e)))
			return s->code;
		bind_audit(st, row);
		if ((r = store_exec(s, st, e)) < 0 || sqlite3_changes(s->db) > 0)
			return r;
	}
	if (!(st = store_stmt(s, Q_AUDIT_ADD, e)))
		return s->code;
	bind_audit(st, row);
	if ((r = store_exec(s, st, e)) < 0)
		return r;
	id = sqlite3_last_insert_rowid(s->db);
	if (id % STORE_PRUNE == 0 && id > STORE_AUDIT_KEPT)
		r = change(s, Q_AUDIT_PRUNE, id - STORE_AUDIT_KEPT, e);
	return r < 0 ? r : 0;
}

int
store_audit_list(struct store *s, int64_t after, int64_t limit, store_audit_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, after < 0 ? Q_AUDIT_TAIL : Q_AUDIT_LIST, e);
	int r = 0;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, limit);
	if (after >= 0)
		sqlite3_bind_int64(st, 2, after);
	while (store_next(s, st, &r, e)) {
		struct audit_row row = {
			.id = sqlite3_column_int64(st, 0),
			.time_us = sqlite3_column_int64(st, 1),
			.who = col_text(st, 2),
			.origin = col_text(st, 3),
			.verb = col_text(st, 4),
			.target = col_text(st, 5),
			.status = sqlite3_column_int(st, 6),
			.count = sqlite3_column_int64(st, 7),
		};

		r = cb(&row, arg);
	}
	return r;
}

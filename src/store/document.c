/* SPDX-License-Identifier: MIT */
/* Documents of the Context Store: rows, tags, versions, relations, the text index, and the uses of contents. See store.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "store/store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "store/store-internal.h"

/* Runs a statement with one JSON array of tags and, where it has a second parameter, the document's id. */
static int
exec_tags(struct store *s, enum query q, const char *tags, const char *id, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, q, e);

	if (st) {
		bind_text(st, 1, tags);
		if (id)
			bind_text(st, 2, id);
	}
	return store_exec(s, st, e);
}

static int
exec_id(struct store *s, enum query q, const char *id, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, q, e);

	if (st)
		bind_text(st, 1, id);
	return store_exec(s, st, e);
}

static int
exec_n(struct store *s, enum query q, int64_t n, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, q, e);

	if (st)
		sqlite3_bind_int64(st, 1, n);
	return store_exec(s, st, e);
}

/* ---- contents ------------------------------------------------------------------------------------------ */

int
store_blob_get(struct store *s, const char *sha256, int64_t *size, int64_t *refs, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_BLOB_GET, e);
	int r;

	if (!st)
		return s->code;
	bind_text(st, 1, sha256);
	if ((r = store_step(s, st, e)) <= 0)
		return r < 0 ? r : err_set(e, -ENOENT, "no content %.64s", sha256);
	*size = sqlite3_column_int64(st, 0);
	*refs = sqlite3_column_int64(st, 1);
	sqlite3_reset(st);
	return 0;
}

int
store_blob_total(struct store *s, int64_t *bytes, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_BLOB_TOTAL, e);
	int r;

	*bytes = 0;
	if (!st)
		return s->code;
	if ((r = store_step(s, st, e)) > 0) {
		*bytes = sqlite3_column_int64(st, 0);
		sqlite3_reset(st);
	}
	return r < 0 ? r : 0;
}

static int
blob_use(struct store *s, const char *sha256, int64_t size, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_BLOB_USE, e);

	if (st) {
		bind_text(st, 1, sha256);
		sqlite3_bind_int64(st, 2, size);
	}
	return store_exec(s, st, e);
}

static int
blob_drop(struct store *s, const char *sha256, struct err *e)
{
	return exec_id(s, Q_BLOB_DROP, sha256, e);
}

struct garbage {
	char sha256[65];
	int64_t size;
};

int
store_blob_collect(struct store *s, int64_t limit, int (*remove)(const char *sha256, int64_t size, void *), void *arg, struct err *e)
{
	struct garbage found[64];
	sqlite3_stmt *st = store_query(s, Q_BLOB_GARBAGE, e);
	int n = 0, r;

	assert(s->in_tx);
	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, limit < (int64_t)ARRAY_LEN(found) ? limit : (int64_t)ARRAY_LEN(found));
	while ((r = store_step(s, st, e)) > 0) {
		snprintf(found[n].sha256, sizeof(found[n].sha256), "%s", col_text(st, 0));
		found[n++].size = sqlite3_column_int64(st, 1);
	}
	for (int i = 0; i < n && r == 0; i++)
		if (remove(found[i].sha256, found[i].size, arg) == 0)
			r = exec_id(s, Q_BLOB_DELETE, found[i].sha256, e);
	return r < 0 ? r : n;
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

static void
read_row(sqlite3_stmt *st, struct document_row *row)
{
	*row = (struct document_row){
		.n = sqlite3_column_int64(st, 0),
		.id = col_text(st, 1),
		.filename = col_text(st, 2),
		.content_type = col_text(st, 3),
		.size = sqlite3_column_int64(st, 4),
		.sha256 = col_text(st, 5),
		.created_us = sqlite3_column_int64(st, 6),
		.updated_us = sqlite3_column_int64(st, 7),
		.version = sqlite3_column_int64(st, 8),
		.expires_us = sqlite3_column_int64(st, 9),
		.session = col_text(st, 10),
		.event = sqlite3_column_int64(st, 11),
		.author = col_text(st, 12),
		.tags = col_text(st, 13),
		.metadata = col_text(st, 14),
		.to_index = sqlite3_column_int64(st, 15) != 0,
	};
}

static int
each_row(struct store *s, sqlite3_stmt *st, store_document_cb cb, void *arg, struct err *e)
{
	struct document_row row;
	int r = 0;

	while (store_next(s, st, &r, e)) {
		read_row(st, &row);
		r = cb(&row, arg);
	}
	return r;
}

static void
bind_row(sqlite3_stmt *st, const struct document_row *row)
{
	bind_text(st, 1, row->id);
	bind_text(st, 2, row->filename);
	bind_text(st, 3, row->content_type);
	sqlite3_bind_int64(st, 4, row->size);
	bind_text(st, 5, row->sha256);
	sqlite3_bind_int64(st, 7, row->updated_us);
	sqlite3_bind_int64(st, 8, row->version);
	sqlite3_bind_int64(st, 9, row->expires_us);
	bind_text(st, 10, row->session);
	sqlite3_bind_int64(st, 11, row->event);
	bind_text(st, 12, row->author);
	bind_text(st, 13, row->tags);
	bind_text(st, 14, row->metadata);
	sqlite3_bind_int64(st, 15, row->to_index);
}

static int
tags_add(struct store *s, const char *id, const char *tags, struct err *e)
{
	int r = strcmp(tags, "[]") ? exec_tags(s, Q_DOCUMENT_TAG_ADD, tags, id, e) : 0;

	return r < 0 || !strcmp(tags, "[]") ? r : exec_tags(s, Q_TAG_COUNT, tags, NULL, e);
}

static int
tags_remove(struct store *s, const char *id, const char *tags, struct err *e)
{
	int r;

	if (!strcmp(tags, "[]"))
		return 0;
	if ((r = exec_tags(s, Q_DOCUMENT_TAG_DELETE, tags, id, e)) < 0 ||
	    (r = exec_tags(s, Q_TAG_UNCOUNT, tags, NULL, e)) < 0)
		return r;
	return exec_tags(s, Q_TAG_PRUNE, tags, NULL, e);
}

int
store_document_add(struct store *s, struct document_row *row, struct err *e)
{
	sqlite3_stmt *st;
	int r;

	assert(s->in_tx);
	/* The content first: the document refers to it. */
	if ((r = blob_use(s, row->sha256, row->size, e)) < 0)
		return r;
	if ((st = store_stmt(s, Q_DOCUMENT_ADD, e)) != NULL) {
		bind_row(st, row);
		sqlite3_bind_int64(st, 6, row->created_us);
	}
	if ((r = store_exec(s, st, e)) < 0)
		return r;
	if (sqlite3_changes(s->db) == 0) {
		s->poisoned = true;
		return err_set(e, -EEXIST, "Document already exists: %s", row->id);
	}
	row->n = sqlite3_last_insert_rowid(s->db);
	return tags_add(s, row->id, row->tags, e);
}

/* A copy of what an update or a delete has to know of the document as it was. */
struct was {
	int64_t n, version, size, updated_us, event;
	char *filename, *content_type, *sha256, *session, *author, *tags;
	bool to_index;
};

static int
copy_was(const struct document_row *row, void *arg)
{
	struct was *w = arg;

	*w = (struct was){
		.n = row->n,
		.version = row->version,
		.size = row->size,
		.updated_us = row->updated_us,
		.event = row->event,
		.filename = xstrdup(row->filename),
		.content_type = xstrdup(row->content_type),
		.sha256 = xstrdup(row->sha256),
		.session = xstrdup(row->session),
		.author = xstrdup(row->author),
		.tags = xstrdup(row->tags),
		.to_index = row->to_index,
	};
	return 0;
}

static void
was_free(struct was *w)
{
	free(w->filename);
	free(w->content_type);
	free(w->sha256);
	free(w->session);
	free(w->author);
	free(w->tags);
}

static void
read_version(sqlite3_stmt *st, struct document_version_row *v)
{
	*v = (struct document_version_row){
		.version = sqlite3_column_int64(st, 0),
		.filename = col_text(st, 1),
		.content_type = col_text(st, 2),
		.size = sqlite3_column_int64(st, 3),
		.sha256 = col_text(st, 4),
		.time_us = sqlite3_column_int64(st, 5),
		.session = col_text(st, 6),
		.event = sqlite3_column_int64(st, 7),
		.author = col_text(st, 8),
	};
}

/* Versions up to the given one go, and their uses of contents with them. */
static int
versions_remove(struct store *s, const char *id, int64_t upto, struct err *e)
{
	struct document_version_row v;
	char sha256[65];
	int r;

	for (;;) {
		sqlite3_stmt *st = store_query(s, Q_DOCUMENT_VERSION_OLD, e);

		if (!st)
			return s->code;
		bind_text(st, 1, id);
		sqlite3_bind_int64(st, 2, upto);
		sqlite3_bind_int64(st, 3, 1);
		if ((r = store_step(s, st, e)) <= 0)
			return r;
		read_version(st, &v);
		snprintf(sha256, sizeof(sha256), "%s", v.sha256);
		sqlite3_reset(st);
		if ((st = store_stmt(s, Q_DOCUMENT_VERSION_DELETE, e)) != NULL) {
			bind_text(st, 1, id);
			sqlite3_bind_int64(st, 2, v.version);
		}
		if ((r = store_exec(s, st, e)) < 0 || (r = blob_drop(s, sha256, e)) < 0)
			return r;
	}
}

/* What the document had becomes an earlier version, which keeps the use of its content. */
static int
version_add(struct store *s, const char *id, const struct was *w, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_DOCUMENT_VERSION_ADD, e);
	int r;

	if (st) {
		bind_text(st, 1, id);
		sqlite3_bind_int64(st, 2, w->version);
		bind_text(st, 3, w->filename);
		bind_text(st, 4, w->content_type);
		sqlite3_bind_int64(st, 5, w->size);
		bind_text(st, 6, w->sha256);
		sqlite3_bind_int64(st, 7, w->updated_us);
		bind_text(st, 8, w->session);
		sqlite3_bind_int64(st, 9, w->event);
		bind_text(st, 10, w->author);
	}
	r = store_exec(s, st, e);
	return r < 0 ? r : versions_remove(s, id, w->version - STORE_DOCUMENT_VERSIONS, e);
}

static int
update_row(struct store *s, const struct document_row *row, const struct was *w, bool content, struct err *e)
{
	bool tags = strcmp(row->tags, w->tags) != 0;
	sqlite3_stmt *st;
	int r = 0;

	if (content && ((r = blob_use(s, row->sha256, row->size, e)) < 0 || (r = version_add(s, row->id, w, e)) < 0))
		return r;
	if (content && !row->to_index && (r = exec_n(s, Q_TEXT_DELETE, w->n, e)) < 0)
		return r;
	if (tags && (r = tags_remove(s, row->id, w->tags, e)) < 0)
		return r;
	if ((st = store_stmt(s, Q_DOCUMENT_UPDATE, e)) != NULL)
		bind_row(st, row);
	if ((r = store_exec(s, st, e)) == 0 && tags)
		r = tags_add(s, row->id, row->tags, e);
	return r;
}

int
store_document_update(struct store *s, const struct document_row *row, bool content, struct err *e)
{
	struct was w;
	int r;

	assert(s->in_tx);
	if ((r = store_document_get(s, row->id, strlen(row->id), copy_was, &w, e)) < 0)
		return r;
	r = update_row(s, row, &w, content, e);
	was_free(&w);
	return r;
}

static int
delete_row(struct store *s, const char *id, const struct was *w, struct err *e)
{
	int r;

	if ((r = tags_remove(s, id, w->tags, e)) < 0 || (r = versions_remove(s, id, INT64_MAX, e)) < 0 ||
	    (r = exec_id(s, Q_RELATION_DELETE_FROM, id, e)) < 0 || (r = exec_id(s, Q_RELATION_DELETE_TO, id, e)) < 0 ||
	    (r = exec_n(s, Q_TEXT_DELETE, w->n, e)) < 0 || (r = exec_id(s, Q_DOCUMENT_DELETE, id, e)) < 0)
		return r;
	return blob_drop(s, w->sha256, e);
}

int
store_document_delete(struct store *s, const char *id, struct err *e)
{
	struct was w;
	int r;

	assert(s->in_tx);
	if ((r = store_document_get(s, id, strlen(id), copy_was, &w, e)) < 0)
		return r;
	r = delete_row(s, id, &w, e);
	was_free(&w);
	return r;
}

int
store_document_index(struct store *s, int64_t n, const char *text, size_t len, struct err *e)
{
	sqlite3_stmt *st;
	int r;

	assert(s->in_tx);
	if ((r = exec_n(s, Q_TEXT_DELETE, n, e)) < 0)
		return r;
	if (text) {
		if ((st = store_stmt(s, Q_TEXT_ADD, e)) != NULL) {
			sqlite3_bind_int64(st, 1, n);
			sqlite3_bind_text64(st, 2, text, len, SQLITE_STATIC, SQLITE_UTF8);
		}
		if ((r = store_exec(s, st, e)) < 0)
			return r;
	}
	return exec_n(s, Q_DOCUMENT_INDEXED, n, e);
}

/* ---- relations ----------------------------------------------------------------------------------------- */

int
store_relation_add(struct store *s, const struct relation_row *row, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_RELATION_ADD, e);
	int r;

	assert(s->in_tx);
	if (st) {
		bind_text(st, 1, row->from_id);
		bind_text(st, 2, row->to_id);
		bind_text(st, 3, row->type);
		sqlite3_bind_int64(st, 4, row->created_us);
		bind_text(st, 5, row->author);
	}
	r = store_exec(s, st, e);
	return r < 0 ? r : sqlite3_changes(s->db) > 0;
}

int
store_relation_delete(struct store *s, const char *from, const char *to, const char *type, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_RELATION_DELETE, e);
	int r;

	assert(s->in_tx);
	if (st) {
		bind_text(st, 1, from);
		bind_text(st, 2, to);
		bind_text(st, 3, type);
	}
	r = store_exec(s, st, e);
	return r < 0 ? r : sqlite3_changes(s->db);
}

int
store_relation_list(struct store *s, const char *id, int (*cb)(const struct relation_row *, void *), void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_RELATION_LIST, e);
	int r = 0;

	if (!st)
		return s->code;
	bind_text(st, 1, id);
	sqlite3_bind_int64(st, 2, STORE_RELATIONS_MAX);
	while (store_next(s, st, &r, e)) {
		struct relation_row row = {
			.from_id = col_text(st, 0),
			.to_id = col_text(st, 1),
			.type = col_text(st, 2),
			.created_us = sqlite3_column_int64(st, 3),
			.author = col_text(st, 4),
		};

		r = cb(&row, arg);
	}
	return r;
}

/* ---- reads --------------------------------------------------------------------------------------------- */

int
store_document_get(struct store *s, const char *id, size_t len, store_document_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_DOCUMENT_GET, e);
	struct document_row row;
	int r;

	if (!st)
		return s->code;
	sqlite3_bind_text64(st, 1, id, len, SQLITE_STATIC, SQLITE_UTF8);
	if ((r = store_step(s, st, e)) <= 0)
		return r < 0 ? r : err_set_status(e, 404, -ENOENT, "Document not found");
	read_row(st, &row);
	r = cb(&row, arg);
	sqlite3_reset(st);
	return r;
}

/* The two tags with the fewest uses, and how many tags there are. */
struct rare {
	struct buf text[2];
	int64_t uses[2];
	int count;
};

static void
rare_add(struct rare *r, const char *tag, int64_t uses)
{
	int at = r->count == 0 || uses < r->uses[0] ? 0 : 1;

	r->count++;
	if (at == 0 && r->count > 1) {
		struct buf spare = r->text[1];

		r->text[1] = r->text[0];
		r->uses[1] = r->uses[0];
		r->text[0] = spare;
	} else if (at == 1 && r->count > 2 && uses >= r->uses[1]) {
		return;
	}
	buf_reset(&r->text[at]);
	buf_puts(&r->text[at], tag);
	r->uses[at] = uses;
}

/* -ENOENT when one of the tags has no use: then no document has all of them. */
static int
rarest_tags(struct store *s, const char *tags, struct rare *out, struct err *e)
{
	sqlite3_stmt *each = store_query(s, Q_TAG_EACH, e), *st;
	int r;

	if (!each)
		return s->code;
	bind_text(each, 1, tags);
	while ((r = store_step(s, each, e)) > 0) {
		if (!(st = store_query(s, Q_TAG_USES, e))) {
			r = s->code;
			break;
		}
		bind_text(st, 1, col_text(each, 0));
		if ((r = store_step(s, st, e)) <= 0) {
			r = r < 0 ? r : -ENOENT;
			break;
		}
		rare_add(out, col_text(each, 0), sqlite3_column_int64(st, 0));
		sqlite3_reset(st);
	}
	sqlite3_reset(each);
	return r < 0 ? r : out->count == 0 ? -ENOENT : 0;
}

static int
list_tags(struct store *s, const char *like, const char *tags, int64_t limit, int64_t offset, store_document_cb cb, void *arg,
	  struct err *e)
{
	struct rare rare = {0};
	sqlite3_stmt *st;
	int r = rarest_tags(s, tags, &rare, e);

	if (r == 0 && !(st = store_query(s, Q_DOCUMENT_LIST_TAGS, e)))
		r = s->code;
	if (r == 0) {
		bind_text(st, 1, rare.count > 2 ? tags : NULL);
		bind_text(st, 2, rare.text[0].data);
		sqlite3_bind_int64(st, 3, limit);
		sqlite3_bind_int64(st, 4, offset);
		bind_text(st, 5, like);
		bind_text(st, 6, rare.count > 1 ? rare.text[1].data : NULL);
		r = each_row(s, st, cb, arg, e);
	}
	buf_free(&rare.text[0]);
	buf_free(&rare.text[1]);
	return r == -ENOENT ? 0 : r;
}

int
store_document_list(struct store *s, const char *filename, const char *tags, int64_t limit, int64_t offset, store_document_cb cb,
		    void *arg, struct err *e)
{
	CLEANUP_FREE char *like = filename ? xasprintf("%%%s%%", filename) : NULL;
	sqlite3_stmt *st;

	if (limit < 0 || limit > STORE_DOCUMENTS_MAX)
		limit = STORE_DOCUMENTS_MAX;
	if (tags)
		return list_tags(s, like, tags, limit, offset, cb, arg, e);
	st = store_query(s, like ? Q_DOCUMENT_LIST_NAME : Q_DOCUMENT_LIST, e);
	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, limit);
	sqlite3_bind_int64(st, 2, offset);
	if (like)
		bind_text(st, 3, like);
	return each_row(s, st, cb, arg, e);
}

int
store_document_search(struct store *s, const char *match, const char *on, const char *off, int64_t limit, int64_t offset,
		      int (*cb)(const struct document_hit *, void *), void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_DOCUMENT_SEARCH, e);
	struct document_hit hit;
	int r = 0;

	if (!st)
		return s->code;
	bind_text(st, 1, match);
	sqlite3_bind_int64(st, 2, limit);
	sqlite3_bind_int64(st, 3, offset);
	bind_text(st, 4, on);
	bind_text(st, 5, off);
	while (store_next(s, st, &r, e)) {
		read_row(st, &hit.row);
		hit.snippet = col_text(st, 16);
		r = cb(&hit, arg);
	}
	return r;
}

int
store_document_expired(struct store *s, int64_t now_us, int64_t limit, store_document_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_DOCUMENT_EXPIRED, e);

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, now_us);
	sqlite3_bind_int64(st, 2, limit);
	return each_row(s, st, cb, arg, e);
}

int
store_document_next_expiry(struct store *s, int64_t *us, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_DOCUMENT_NEXT_EXPIRY, e);
	int r;

	*us = 0;
	if (!st)
		return s->code;
	if ((r = store_step(s, st, e)) > 0) {
		*us = sqlite3_column_int64(st, 0);
		sqlite3_reset(st);
	}
	return r < 0 ? r : 0;
}

int
store_document_to_index(struct store *s, int64_t limit, store_document_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_DOCUMENT_TO_INDEX, e);

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, limit);
	return each_row(s, st, cb, arg, e);
}

int
store_tag_list(struct store *s, int (*cb)(const char *tag, int64_t uses, void *), void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_TAG_LIST, e);
	int r = 0;

	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, STORE_TAGS_MAX);
	while (store_next(s, st, &r, e))
		r = cb(col_text(st, 0), sqlite3_column_int64(st, 1), arg);
	return r;
}

int
store_document_versions(struct store *s, const char *id, store_document_version_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_DOCUMENT_VERSION_LIST, e);
	struct document_version_row v;
	int r = 0;

	if (!st)
		return s->code;
	bind_text(st, 1, id);
	sqlite3_bind_int64(st, 2, STORE_DOCUMENT_VERSIONS);
	while (store_next(s, st, &r, e)) {
		read_version(st, &v);
		r = cb(&v, arg);
	}
	return r;
}

int
store_document_version(struct store *s, const char *id, int64_t version, store_document_version_cb cb, void *arg, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_DOCUMENT_VERSION_GET, e);
	struct document_version_row v;
	int r;

	if (!st)
		return s->code;
	bind_text(st, 1, id);
	sqlite3_bind_int64(st, 2, version);
	if ((r = store_step(s, st, e)) <= 0)
		return r < 0 ? r : err_set_status(e, 404, -ENOENT, "Document %.60s has no version %" PRId64, id, version);
	read_version(st, &v);
	r = cb(&v, arg);
	sqlite3_reset(st);
	return r;
}

/* ---- the wire object ----------------------------------------------------------------------------------- */

/* As the clients of the older server know it: local time without a zone. */
static void
put_time(struct buf *out, const char *key, int64_t us)
{
	time_t t = (time_t)(us / 1000000);
	char text[32];
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(out, ",\"%s\":\"%s.%06d\"", key, text, (int)(us % 1000000));
}

static void
put_text(struct buf *out, const char *key, const char *text)
{
	buf_printf(out, ",\"%s\":", key);
	buf_put_json_str(out, text);
}

void
store_document_json(struct buf *out, const struct document_row *row, const char *base, const char *more)
{
	char expires[TIME_ISO_SIZE];

	buf_puts(out, "{\"id\":");
	buf_put_json_str(out, row->id);
	put_text(out, "filename", row->filename);
	put_text(out, "content_type", row->content_type);
	buf_printf(out, ",\"size_bytes\":%" PRId64, row->size);
	put_time(out, "created_at", row->created_us);
	put_time(out, "updated_at", row->updated_us);
	buf_printf(out, ",\"tags\":%s,\"metadata\":%s,\"url\":", row->tags, row->metadata);
	CLEANUP_FREE char *url = xasprintf("%s/documents/%s", base, row->id);
	buf_put_json_str(out, url);
	put_text(out, "checksum", row->sha256);
	buf_printf(out, ",\"version\":%" PRId64, row->version);
	put_text(out, "expires_at", row->expires_us ? time_iso(row->expires_us, expires) : NULL);
	put_text(out, "session_id", row->session);
	if (row->event)
		buf_printf(out, ",\"event_seq\":%" PRId64, row->event);
	else
		buf_puts(out, ",\"event_seq\":null");
	put_text(out, "author", row->author);
	if (more)
		buf_puts(out, more);
	buf_putc(out, '}');
}

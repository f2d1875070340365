/* SPDX-License-Identifier: MIT */
/* Reads the databases of an older installation. See old-store.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "ctl/old-store.h"

#include <errno.h>
#include <json-c/json.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "ctl/output.h"

#define EVENTS_MAX 1000
#define BUSY_MS 10000
#define TAGS_MAX 100000

struct old_store {
	sqlite3 *db;
	char *path;
	enum old_kind kind;
};

/* ---- opening ------------------------------------------------------------------------------------------- */

static int
failed(const struct old_store *s, struct err *e)
{
	return err_set(e, -EIO, "%s: %s", s->path, sqlite3_errmsg(s->db));
}

static sqlite3_stmt *
prepare(struct old_store *s, const char *sql, const char *text, struct err *e)
{
	sqlite3_stmt *st;

	if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL)) {
		failed(s, e);
		return NULL;
	}
	if (text)
		sqlite3_bind_text(st, 1, text, -1, SQLITE_TRANSIENT);
	return st;
}

static bool
has_table(struct old_store *s, const char *name, struct err *e)
{
	sqlite3_stmt *st = prepare(s, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 LIMIT 1", name, e);
	bool yes = st && sqlite3_step(st) == SQLITE_ROW;

	if (st && !yes && sqlite3_errcode(s->db) != SQLITE_DONE && sqlite3_errcode(s->db) != SQLITE_OK)
		failed(s, e);
	sqlite3_finalize(st);
	return yes;
}

struct old_store *
old_open(const char *path, struct err *e)
{
	struct old_store *s = xcalloc(1, sizeof(*s));

	s->path = xstrdup(path);
	*e = (struct err){ 0 };
	if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_PRIVATECACHE, NULL)) {
		failed(s, e);
	} else {
		sqlite3_busy_timeout(s->db, BUSY_MS);
		/* Somebody else's file: nothing in it is to be run. */
		sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
		if (has_table(s, "sessions", e) && has_table(s, "events", e))
			s->kind = OLD_SESSIONS;
		else if (!e->code && has_table(s, "documents", e))
			s->kind = OLD_DOCUMENTS;
	}
	if (!e->code)
		return s;
	old_close(s);
	return NULL;
}

void
old_close(struct old_store *s)
{
	if (!s)
		return;
	sqlite3_close(s->db);
	free(s->path);
	free(s);
}

enum old_kind
old_kind(const struct old_store *s)
{
	return s->kind;
}

/* ---- values -------------------------------------------------------------------------------------------- */

bool
old_time(struct buf *out, const char *text)
{
	char iso[TIME_ISO_SIZE], copy[64];
	struct tm tm = { .tm_isdst = -1 };
	int64_t us;
	int n = 0;

	if (strlen(text) > sizeof(copy) - 8)
		return false;
	snprintf(copy, sizeof(copy), "%s", text);
	/* How Python's sqlite3 writes them. */
	if (strlen(copy) > 10 && copy[10] == ' ')
		copy[10] = 'T';
	if (!time_parse_iso(copy, &us)) {
		if (sscanf(copy, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6)
			return false;
		tm.tm_year -= 1900;
		tm.tm_mon--;
		us = (int64_t)mktime(&tm);
		/* Only what is left of the second is to be read now, and it has no zone. */
		CLEANUP_FREE char *rest = xasprintf("1970-01-01T00:00:00%sZ", copy + n);
		int64_t part;

		if (!time_parse_iso(rest, &part))
			return false;
		us = us * 1000000 + part;
	}
	buf_puts(out, time_iso(us, iso));
	return true;
}

char *
old_name(const char *name)
{
	char *out = xstrndup(*name ? name : "unnamed", NAME_MAX_LEN), *p;

	for (p = out; *p; p++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *p))
			*p = '-';
	return out;
}

/* What stands in a column as JSON; a text that is none is a text. */
static struct json_object *
parsed(const char *text, size_t n)
{
	struct json_object *o = js_parse(text, n);

	return o ? o : json_object_new_string_len(text, (int)n);
}

static bool
is_one_of(const char *name, const char *const *list)
{
	while (*list && strcmp(*list, name) != 0)
		list++;
	return *list != NULL;
}

/* Text as UTF-8, whatever is in the file. */
static struct json_object *
text_value(const char *s, size_t n)
{
	struct buf b = BUF_INIT;
	struct json_object *o;

	buf_put_json(&b, s, n);
	o = js_parse(b.data, b.len);
	buf_free(&b);
	return o;
}

static struct json_object *
value_of(sqlite3_stmt *st, int i, const char *name)
{
	static const char *const json[] = { "tool_input", "tool_output", "content", "metadata", NULL };
	static const char *const times[] = { "created_at", "updated_at", "last_resumed_at", NULL };
	const char *text;
	size_t n;

	if (sqlite3_column_type(st, i) == SQLITE_INTEGER)
		return json_object_new_int64(sqlite3_column_int64(st, i));
	text = (const char *)sqlite3_column_text(st, i);
	n = (size_t)sqlite3_column_bytes(st, i);
	if (!text)
		return NULL;
	if (is_one_of(name, json))
		return parsed(text, n);
	if (is_one_of(name, times)) {
		struct buf b = BUF_INIT;
		struct json_object *o = old_time(&b, text) ? json_object_new_string(b.data) : NULL;

		buf_free(&b);
		return o;
	}
	return text_value(text, n);
}

static struct json_object *
row_of(sqlite3_stmt *st)
{
	struct json_object *o = json_object_new_object();
	int i;

	for (i = 0; i < sqlite3_column_count(st); i++) {
		struct json_object *v = value_of(st, i, sqlite3_column_name(st, i));

		if (v)
			json_object_object_add(o, sqlite3_column_name(st, i), v);
	}
	return o;
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

static int
add_tags(struct old_store *s, struct json_object *row, struct err *e)
{
	const char *id = js_str(row, "id");
	struct json_object *tags = json_object_new_array();
	sqlite3_stmt *st = prepare(s, "SELECT tag FROM document_tags WHERE document_id = ?1 ORDER BY rowid LIMIT 100000", id ? id : "", e);
	int rc = SQLITE_ERROR;

	while (st && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct json_object *tag = value_of(st, 0, "tag");

		if (tag)
			json_object_array_add(tags, tag);
	}
	json_object_object_add(row, "tags", tags);
	sqlite3_finalize(st);
	return !st ? e->code : rc == SQLITE_DONE ? 0 : failed(s, e);
}

int
old_each(struct old_store *s, old_row_cb cb, void *arg, struct err *e)
{
	bool documents = s->kind == OLD_DOCUMENTS;
	sqlite3_stmt *st = prepare(s, documents ? "SELECT * FROM documents ORDER BY created_at, rowid LIMIT -1"
						: "SELECT * FROM sessions ORDER BY created_at, rowid LIMIT -1", NULL, e);
	int rc = SQLITE_DONE, r = 0;

	if (!st)
		return e->code;
	while (r >= 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct json_object *row = row_of(st);

		r = documents ? add_tags(s, row, e) : 0;
		if (r == 0)
			r = cb(row, arg, e);
		json_object_put(row);
	}
	if (r >= 0 && rc != SQLITE_DONE)
		r = failed(s, e);
	sqlite3_finalize(st);
	return r < 0 ? r : 0;
}

int64_t
old_event_count(struct old_store *s, const char *session_id, struct err *e)
{
	sqlite3_stmt *st = prepare(s, "SELECT count(*) FROM events WHERE session_id = ?1 LIMIT 1", session_id, e);
	int64_t n;

	if (!st)
		return e->code;
	n = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : failed(s, e);
	sqlite3_finalize(st);
	return n;
}

struct json_object *
old_events(struct old_store *s, const char *session_id, const char *session_name, int64_t from, size_t max, struct err *e)
{
	sqlite3_stmt *st = prepare(s, "SELECT * FROM events WHERE session_id = ?1 ORDER BY id LIMIT ?2 OFFSET ?3", session_id, e);
	struct json_object *list = json_object_new_array();
	size_t size = 0;
	int rc = SQLITE_DONE;

	if (st) {
		sqlite3_bind_int(st, 2, EVENTS_MAX);
		sqlite3_bind_int64(st, 3, from);
	}
	while (st && (!size || size < max) && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct json_object *row = row_of(st);

		json_object_object_del(row, "id");
		json_object_object_add(row, "session_name", json_object_new_string(session_name));
		size += strlen(json_object_to_json_string_ext(row, JSON_C_TO_STRING_PLAIN)) + 1;
		/* One too many is for the next time. */
		if (size > max && json_object_array_length(list)) {
			json_object_put(row);
			break;
		}
		json_object_array_add(list, row);
	}
	if (!st || (rc != SQLITE_DONE && rc != SQLITE_ROW)) {
		if (st)
			failed(s, e);
		json_object_put(list);
		list = NULL;
	}
	sqlite3_finalize(st);
	return list;
}

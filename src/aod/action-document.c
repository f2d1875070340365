/* SPDX-License-Identifier: MIT */
/* Actions on documents of the Context Store. Files are documents.c's. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "aod/documents.h"
#include "aod/request.h"
#include "base/util.h"
#include "model/mime.h"

#define TAGS_MAX 1000
#define TAG_MAX 200	       /* bytes */
#define METADATA_MAX (1 << 20) /* bytes */
#define FILENAME_MAX_LEN 255   /* bytes, as on disks */
#define TYPE_MAX 255
#define RELATION_MAX 100 /* bytes of a type */
#define TTL_MAX_US (100LL * 366 * 86400 * 1000000)

#define JSON_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

/* A document that is being made or changed: the row, and the memory of its texts. */
struct draft {
	struct document_row row;
	char id[DOCUMENT_ID_SIZE];
	char *filename, *content_type, *sha256, *session, *author, *tags, *metadata;
};

static void
draft_free(struct draft *d)
{
	free(d->filename);
	free(d->content_type);
	free(d->sha256);
	free(d->session);
	free(d->author);
	free(d->tags);
	free(d->metadata);
}

static void
set_text(char **owner, const char **field, char *value)
{
	free(*owner);
	*field = *owner = value;
}

static int
copy_row(const struct document_row *row, void *arg)
{
	struct draft *d = arg;

	d->row = *row;
	snprintf(d->id, sizeof(d->id), "%s", row->id);
	d->row.id = d->id;
	d->row.filename = d->filename = xstrdup(row->filename);
	d->row.content_type = d->content_type = xstrdup(row->content_type);
	d->row.sha256 = d->sha256 = xstrdup(row->sha256);
	d->row.session = d->session = xstrdup(row->session);
	d->row.author = d->author = xstrdup(row->author);
	d->row.tags = d->tags = xstrdup(row->tags);
	d->row.metadata = d->metadata = xstrdup(row->metadata);
	return 0;
}

static int
is_there(const struct document_row *row, void *arg)
{
	return 0;
}

static int
invalid(struct err *e, const char *what)
{
	return err_set_status(e, 422, -EINVAL, "%s", what);
}

/* ---- names and types --------------------------------------------------------------------------- */

/*
 * What is left of a name that a client gave: its last part, without control characters, cut at a character's border. Clients save
 * documents under their names, so a name never leads to another directory.
 */
static char *
clean_filename(const char *name)
{
	const char *base = name, *p;
	struct buf b = BUF_INIT;

	for (p = name; *p; p++)
		if ((*p == '/' || *p == '\\') && p[1])
			base = p + 1;
	for (p = base; *p; p++)
		if ((unsigned char)*p >= 0x20 && *p != 0x7f && *p != '/' && *p != '\\')
			buf_putc(&b, *p);
	if (b.len > FILENAME_MAX_LEN) {
		b.len = FILENAME_MAX_LEN;
		while (b.len > 0 && ((unsigned char)b.data[b.len] & 0xc0) == 0x80)
			b.len--;
		b.data[b.len] = 0;
	}
	if (b.len == 0 || !strcmp(b.data, ".") || !strcmp(b.data, "..")) {
		buf_reset(&b);
		buf_puts(&b, "unknown");
	}
	return buf_steal(&b);
}

static bool
is_type(const char *s)
{
	if (!s || strlen(s) > TYPE_MAX || !strchr(s, '/'))
		return false;
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e)
			return false;
	return true;
}

/* ---- tags, metadata, expiry -------------------------------------------------------------------- */

/* One tag, trimmed, into the array unless it is there. seen has each as a key. */
static int
add_tag(struct json_object *out, struct json_object *seen, const char *s, size_t n, struct err *e)
{
	while (n > 0 && (*s == ' ' || *s == '\t' || *s == '\r' || *s == '\n')) {
		s++;
		n--;
	}
	while (n > 0 && strchr(" \t\r\n", s[n - 1]))
		n--;
	CLEANUP_FREE char *tag = xstrndup(s, n);

	if (n > TAG_MAX)
		return invalid(e, "A tag may have at most 200 bytes");
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < 0x20)
			return invalid(e, "A tag may not have control characters");
	if (json_object_object_get_ex(seen, tag, NULL))
		return 0;
	if (json_object_array_length(out) == TAGS_MAX)
		return invalid(e, "A document may have at most 1000 tags");
	json_object_object_add(seen, tag, NULL);
	json_object_array_add(out, json_object_new_string(tag));
	return 0;
}

/* Texts of an array, or one text with commas. */
static int
collect_tags(struct json_object *v, struct json_object *out, struct json_object *seen, struct err *e)
{
	int r = 0;

	if (json_object_is_type(v, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(v) && r == 0; i++) {
			struct json_object *it = json_object_array_get_idx(v, i);

			if (!json_object_is_type(it, json_type_string))
				return invalid(e, "tags: want texts");
			r = add_tag(out, seen, json_object_get_string(it), (size_t)json_object_get_string_len(it), e);
		}
		return r;
	}
	if (!json_object_is_type(v, json_type_string))
		return invalid(e, "tags: want an array of texts, or one text with commas");
	const char *p = json_object_get_string(v);

	while (r == 0 && *json_object_get_string(v)) {
		size_t n = strcspn(p, ",");

		r = add_tag(out, seen, p, n, e);
		if (!p[n])
			break;
		p += n + 1;
	}
	return r;
}

static int
take_tags(const struct request *q, struct draft *d, struct err *e)
{
	struct json_object *v, *out, *seen;
	int r;

	if (!json_object_object_get_ex(q->args, "tags", &v) || !v)
		return 0;
	out = json_object_new_array();
	seen = json_object_new_object();
	r = collect_tags(v, out, seen, e);
	if (r == 0)
		set_text(&d->tags, &d->row.tags, xstrdup(json_object_to_json_string_ext(out, JSON_FLAGS)));
	json_object_put(out);
	json_object_put(seen);
	return r;
}

/*
 * JSON without the blanks between its parts: what is stored goes over the wire as a line. Numbers stay as they were written. NULL where NaN
 * or Infinity is among them, which the parser takes and JSON has not.
 */
static char *
minify(const char *s)
{
	struct buf b = BUF_INIT;
	bool text = false;

	for (; *s; s++) {
		if (text && *s == '\\' && s[1]) {
			buf_putc(&b, *s++);
		} else if (*s == '"') {
			text = !text;
		} else if (!text && strchr(" \t\r\n", *s)) {
			continue;
		} else if (!text && (*s == 'N' || *s == 'I')) {
			buf_free(&b);
			return NULL;
		}
		buf_putc(&b, *s);
	}
	return buf_steal(&b);
}

/* The text of a form, which is checked here, or an object. Values of any kind are kept as they are. */
static int
take_metadata(const struct request *q, struct draft *d, struct err *e)
{
	struct json_object *v, *o = NULL;
	const char *text;
	char *small;

	if (!json_object_object_get_ex(q->args, "metadata", &v) || !v)
		return 0;
	text = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : json_object_to_json_string_ext(v, JSON_FLAGS);
	if (strlen(text) > METADATA_MAX)
		return err_set_status(e, 413, -E2BIG, "metadata may have at most 1 MiB");
	if (text[strspn(text, " \t\r\n")]) {
		struct json_tokener *t = json_tokener_new_ex(64);

		json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
		o = json_tokener_parse_ex(t, text, (int)strlen(text) + 1);
		json_tokener_free(t);
		small = json_object_is_type(o, json_type_object) ? minify(text) : NULL;
		json_object_put(o);
		if (!small)
			return err_set_status(e, 400, -EINVAL, "Invalid JSON in metadata parameter");
	} else {
		small = xstrdup("{}");
	}
	set_text(&d->metadata, &d->row.metadata, small);
	return 0;
}

static int
take_expiry(const struct request *q, struct draft *d, struct err *e)
{
	const char *at = request_text(q, "expires_at"), *ttl = request_text(q, "ttl");
	struct json_object *v;
	int64_t us;

	if (at && *at) {
		if (!time_parse_iso(at, &us) || us <= 0)
			return invalid(e, "expires_at: want a time as in 2030-01-31T12:00:00Z");
		d->row.expires_us = us;
	} else if (json_object_object_get_ex(q->args, "expires_at", &v) && (at || !v)) {
		d->row.expires_us = 0;
	}
	if (ttl && *ttl) {
		if (!parse_timespan(ttl, &us) || us <= 0 || us > TTL_MAX_US)
			return invalid(e, "ttl: want a span as in 90s, 12h or 30d");
		d->row.expires_us = now_us() + us;
	}
	return 0;
}

static int
take_fields(const struct request *q, struct draft *d, struct err *e)
{
	const char *filename = request_text(q, "filename");
	int r;

	if (filename)
		set_text(&d->filename, &d->row.filename, clean_filename(filename));
	if ((r = take_tags(q, d, e)) < 0 || (r = take_metadata(q, d, e)) < 0)
		return r;
	return take_expiry(q, d, e);
}

/* The id and the times that a document had with an older server. */
static int
take_origin(const struct request *q, struct draft *d, struct err *e)
{
	const char *id = request_text(q, "document_id"), *created = request_text(q, "created_at"), *updated = request_text(q, "updated_at");

	if (!id)
		return created || updated ? invalid(e, "created_at and updated_at go with document_id") : 0;
	if (q->role != ROLE_OPERATOR)
		return err_set_status(e, 403, -EPERM, "document_id is for operators, who take over documents of an older server");
	if (!str_starts(id, "doc_") || strlen(id) != DOCUMENT_ID_SIZE - 1 || strspn(id + 4, "0123456789abcdef") != DOCUMENT_ID_SIZE - 5)
		return invalid(e, "document_id: want doc_ and 24 hexadecimal digits");
	if ((created && !time_parse_iso(created, &d->row.created_us)) || (updated && !time_parse_iso(updated, &d->row.updated_us)))
		return invalid(e, "created_at, updated_at: want a time as in 2030-01-31T12:00:00Z");
	if (store_document_get(q->m->store, id, strlen(id), is_there, NULL, NULL) == 0)
		return err_set_status(e, 409, -EEXIST, "Document already exists: %s", id);
	snprintf(d->id, sizeof(d->id), "%s", id);
	return 0;
}

/* ---- contents ---------------------------------------------------------------------------------- */

static int
get_seq(const struct session_row *s, void *arg)
{
	*(int64_t *)arg = s->last_seq;
	return 0;
}

/* Who writes this version: the session that the caller proved to be, else what it says it is. */
static void
set_origin(const struct request *q, struct draft *d)
{
	const char *session = *q->session ? q->session : request_text(q, "session_hint");

	d->row.event = 0;
	if (session && store_session_find(q->m->store, session, strlen(session), get_seq, &d->row.event, NULL) < 0 && !*q->session)
		session = NULL;
	set_text(&d->session, &d->row.session, xstrdup(session));
	set_text(&d->author, &d->row.author, xstrdup(q->author));
}

static int
check_size(const struct request *q, int64_t size, struct err *e)
{
	const struct config *c = q->m->cfg;
	int64_t total;
	int r;

	if (size > c->max_document)
		return err_set_status(e, 413, -E2BIG, "A document may have at most %lld bytes (--max-document)",
				      (long long)c->max_document);
	if (c->document_quota <= 0)
		return 0;
	if ((r = documents_total(q->m, &total, e)) < 0)
		return r;
	if (total + size > c->document_quota)
		return err_set_status(e, 507, -ENOSPC, "The documents have %lld bytes of %lld (--document-quota): delete some",
				      (long long)total, (long long)c->document_quota);
	return 0;
}

/* The content that came with the request becomes the draft's. */
static int
take_content(const struct request *q, struct draft *d, struct err *e)
{
	const char *upload = request_text(q, "upload"), *sha256 = request_text(q, "sha256"), *type = request_text(q, "content_type");
	int64_t size = request_number(q, "size", -1);
	struct json_object *text;
	int r = 0;

	if (!upload || !sha256 || (r = check_size(q, size, e)) < 0 || (r = manager_begin(q->m, e)) < 0) {
		if (upload)
			documents_drop(q->m, upload);
		return r < 0 ? r : err_set_status(e, 500, -EINVAL, "a request without its upload");
	}
	if ((r = documents_take(q->m, upload, sha256, size, e)) < 0)
		return r;
	set_text(&d->sha256, &d->row.sha256, xstrdup(sha256));
	set_text(&d->content_type, &d->row.content_type, xstrdup(is_type(type) ? type : mime_guess(d->row.filename)));
	d->row.size = size;
	d->row.to_index = json_object_object_get_ex(q->args, "text", &text) && json_object_get_boolean(text);
	set_origin(q, d);
	return 0;
}

static void
reply_document(const struct request *q, int status, const struct draft *d)
{
	const char *base = request_text(q, "base");
	struct buf b = BUF_INIT;

	store_document_json(&b, &d->row, base ? base : "", NULL);
	manager_reply(q->m, q->id, status, b.data, b.len);
	buf_free(&b);
	documents_wake(q->m);
}

static void
new_id(char out[DOCUMENT_ID_SIZE])
{
	unsigned char r[12];

	if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
		abort();
	memcpy(out, "doc_", 4);
	for (size_t i = 0; i < sizeof(r); i++)
		snprintf(out + 4 + 2 * i, 3, "%02x", r[i]);
}

static void
drop_upload(const struct request *q)
{
	const char *upload = request_text(q, "upload");

	if (upload)
		documents_drop(q->m, upload);
}

/* ---- actions ----------------------------------------------------------------------------------- */

int
action_document_create(struct request *q, struct err *e)
{
	struct draft d = {.row = {.version = 1, .created_us = now_us()}};
	int r;

	new_id(d.id);
	d.row.id = d.id;
	d.row.updated_us = d.row.created_us;
	set_text(&d.filename, &d.row.filename, xstrdup("unknown"));
	set_text(&d.tags, &d.row.tags, xstrdup("[]"));
	set_text(&d.metadata, &d.row.metadata, xstrdup("{}"));
	if ((r = take_origin(q, &d, e)) < 0 || (r = take_fields(q, &d, e)) < 0)
		drop_upload(q);
	else if ((r = take_content(q, &d, e)) == 0)
		r = manager_check(q->m, store_document_add(q->m->store, &d.row, e), e);
	if (r == 0)
		reply_document(q, 201, &d);
	draft_free(&d);
	return r;
}

/* If-Match (RFC 9110, section 13.1.1): the entity tag is the content's sum. */
static int
check_match(const struct request *q, const struct draft *d, struct err *e)
{
	const char *want = request_text(q, "if_match");

	if (!want || !strcmp(want, "*"))
		return 0;
	CLEANUP_FREE char *tag = xasprintf("\"%s\"", d->row.sha256);
	const char *p = strstr(want, tag);

	/* Weak tags (W/"…") never match here. */
	while (p && p > want && p[-1] == '/')
		p = strstr(p + 1, tag);
	return p ? 0
		 : err_set_status(e, 412, -EBUSY, "The document is at version %lld with the checksum %s: read it again",
				  (long long)d->row.version, d->row.sha256);
}

static int
find(const struct request *q, struct draft *d, struct err *e)
{
	const char *id = request_text(q, "id");
	int r = store_document_get(q->m->store, id ? id : "", id ? strlen(id) : 0, copy_row, d, e);

	return r < 0 ? r : check_match(q, d, e);
}

static int
update(struct request *q, struct draft *d, bool content, struct err *e)
{
	int r = manager_begin(q->m, e);

	d->row.updated_us = now_us();
	if (r == 0)
		r = manager_check(q->m, store_document_update(q->m->store, &d->row, content, e), e);
	if (r == 0)
		reply_document(q, 200, d);
	return r;
}

int
action_document_put(struct request *q, struct err *e)
{
	struct draft d = {0};
	int r;

	if ((r = find(q, &d, e)) < 0 || (r = take_fields(q, &d, e)) < 0) {
		drop_upload(q);
	} else if ((r = take_content(q, &d, e)) == 0) {
		d.row.version++;
		r = update(q, &d, true, e);
	}
	draft_free(&d);
	return r;
}

int
action_document_patch(struct request *q, struct err *e)
{
	struct draft d = {0};
	int r = find(q, &d, e);

	if (r == 0)
		r = take_fields(q, &d, e);
	if (r == 0)
		r = update(q, &d, false, e);
	draft_free(&d);
	return r;
}

int
action_document_delete(struct request *q, struct err *e)
{
	struct draft d = {0};
	struct buf b = BUF_INIT;
	int r = find(q, &d, e);

	if (r == 0)
		r = manager_begin(q->m, e);
	if (r == 0)
		r = manager_check(q->m, store_document_delete(q->m->store, d.id, e), e);
	if (r == 0) {
		buf_printf(&b, "{\"success\":true,\"message\":\"Document %s deleted successfully\",\"document_id\":\"%s\"}", d.id,
			   d.id);
		manager_reply(q->m, q->id, 200, b.data, b.len);
		buf_free(&b);
		documents_wake(q->m);
	}
	draft_free(&d);
	return r;
}

static void
reply_relation(const struct request *q, int status, const struct relation_row *row)
{
	char time[TIME_ISO_SIZE];
	struct buf b = BUF_INIT;

	buf_puts(&b, "{\"from\":");
	buf_put_json_str(&b, row->from_id);
	buf_puts(&b, ",\"to\":");
	buf_put_json_str(&b, row->to_id);
	buf_puts(&b, ",\"type\":");
	buf_put_json_str(&b, row->type);
	buf_printf(&b, ",\"created_at\":\"%s\"}", time_iso(row->created_us, time));
	manager_reply(q->m, q->id, status, b.data, b.len);
	buf_free(&b);
}

int
action_document_relate(struct request *q, struct err *e)
{
	const char *to = request_text(q, "to"), *type = request_text(q, "type");
	struct relation_row row = {.to_id = to, .type = type, .author = q->author, .created_us = now_us()};
	struct draft d = {0};
	int r = find(q, &d, e);

	row.from_id = d.id;
	if (r == 0 && strlen(type) > RELATION_MAX)
		r = invalid(e, "type may have at most 100 bytes");
	if (r == 0 && store_document_get(q->m->store, to, strlen(to), is_there, NULL, e) < 0)
		r = err_set_status(e, 404, -ENOENT, "Document not found: %.60s", to);
	if (r == 0)
		r = manager_begin(q->m, e);
	if (r == 0) {
		r = store_relation_add(q->m->store, &row, e);
		if (r < 0)
			manager_check(q->m, r, e);
		else
			reply_relation(q, r ? 201 : 200, &row);
	}
	draft_free(&d);
	return r < 0 ? r : 0;
}

int
action_document_unrelate(struct request *q, struct err *e)
{
	const char *to = request_text(q, "to"), *type = request_text(q, "type");
	struct draft d = {0};
	char body[64];
	int r = find(q, &d, e);

	if (r == 0)
		r = manager_begin(q->m, e);
	if (r == 0) {
		r = store_relation_delete(q->m->store, d.id, to ? to : "", type, e);
		if (r < 0)
			manager_check(q->m, r, e);
		else if (r == 0)
			r = err_set_status(e, 404, -ENOENT, "Relation not found");
	}
	if (r > 0) {
		int n = snprintf(body, sizeof(body), "{\"success\":true,\"deleted\":%d}", r);

		manager_reply(q->m, q->id, 200, body, (size_t)n);
		r = 0;
	}
	draft_free(&d);
	return r;
}

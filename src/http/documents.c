/* SPDX-License-Identifier: MIT */
/* Queries about documents; see documents.h. Called by route.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "http/documents.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "base/util.h"
#include "http/reply.h"
#include "http/server.h"
#include "store/store.h"

#define LIMIT_DEFAULT 100
#define SEARCH_MIN 3 /* characters: the index knows nothing shorter */
#define HOST_MAX 255
#define HINT_MAX 200
#define MATCH_MAX 4096

static int dir_fd = -1;

void
documents_init(int dir)
{
	dir_fd = dir;
}

int
documents_dir(void)
{
	return dir_fd;
}

/* ---- the server's own name --------------------------------------------------------------------- */

/* A name, an address or an address in brackets, with or without a port. */
static bool
host_ok(h2o_iovec_t host)
{
	if (host.len == 0 || host.len > HOST_MAX)
		return false;
	for (size_t i = 0; i < host.len; i++) {
		char c = host.base[i];

		if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || strchr(".-_:[]", c)) || c == 0)
			return false;
	}
	return true;
}

/* What the URL of a document begins with: as configured, else as the client names this server. */
static void
put_base(struct buf *out, const struct request *rq)
{
	const char *public_url = getenv("DOCUMENT_SERVER_PUBLIC_URL");
	h2o_iovec_t host = rq->req->authority;

	if (public_url && *public_url) {
		size_t n = strlen(public_url);

		while (n > 0 && public_url[n - 1] == '/')
			n--;
		buf_put(out, public_url, n);
	} else if (conn_of(rq->req)->listener->unix_socket || !host_ok(host)) {
		buf_printf(out, "http://localhost:%d", server_port("context"));
	} else {
		buf_printf(out, "%.*s://%.*s", (int)rq->req->scheme->name.len, rq->req->scheme->name.base, (int)host.len, host.base);
	}
}

static h2o_iovec_t
find_header(const struct request *rq, const char *name)
{
	ssize_t i = h2o_find_header_by_str(&rq->req->headers, name, strlen(name), -1);

	return i < 0 ? h2o_iovec_init(NULL, 0) : rq->req->headers.entries[i].value;
}

static void
put_member(struct buf *b, const char *name, const char *text, size_t n)
{
	buf_printf(b, "%s\"%s\":", b->len > 1 ? "," : "", name);
	buf_put_json(b, text, n);
}

void
documents_context(const struct request *rq, struct buf *b)
{
	h2o_iovec_t match = find_header(rq, "if-match"), session = find_header(rq, "x-agent-session-id");
	struct buf base = BUF_INIT;

	put_base(&base, rq);
	put_member(b, "base", base.data, base.len);
	if (rq->id_len)
		put_member(b, "id", rq->id, rq->id_len);
	/* One that is too long matches nothing. */
	if (match.base)
		put_member(b, "if_match", match.base, match.len <= MATCH_MAX ? match.len : 0);
	if (session.base && session.len <= HINT_MAX)
		put_member(b, "session_hint", session.base, session.len);
	buf_free(&base);
}

void
documents_args(const struct request *rq, struct json_object *args)
{
	struct buf b = BUF_INIT;
	struct json_object *more;

	buf_putc(&b, '{');
	documents_context(rq, &b);
	buf_putc(&b, '}');
	more = json_tokener_parse(b.data);
	json_object_object_foreach(more, key, value)
	{
		json_object_object_add(args, key, json_object_get(value));
	}
	json_object_put(more);
	buf_free(&b);
}

/* ---- lists ------------------------------------------------------------------------------------- */

struct listing {
	struct buf out, base;
	bool any, relations;
	int r;
	struct err *e;
};

static void
begin_item(struct listing *l)
{
	if (l->any)
		buf_putc(&l->out, ',');
	l->any = true;
}

static int
on_listed(const struct document_row *row, void *arg)
{
	struct listing *l = arg;

	begin_item(l);
	store_document_json(&l->out, row, l->base.data, NULL);
	return 0;
}

static void
reply_listing(const struct request *rq, struct listing *l, int r, const struct err *e)
{
	if (r < 0)
		reply_err(rq->req, e);
	else
		reply_buf(rq->req, 200, &l->out);
	buf_free(&l->out);
	buf_free(&l->base);
}

/* "a, b" as a JSON array; NULL when an item is empty, which no document has been given in a way that could be asked for. */
static char *
tags_json(const char *s)
{
	struct buf b = BUF_INIT;

	buf_putc(&b, '[');
	for (;;) {
		size_t n = strcspn(s, ",");
		const char *p = s, *end = s + n;

		while (p < end && (*p == ' ' || *p == '\t'))
			p++;
		while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		if (p == end) {
			buf_free(&b);
			return NULL;
		}
		if (b.len > 1)
			buf_putc(&b, ',');
		buf_put_json(&b, p, (size_t)(end - p));
		if (!s[n])
			break;
		s += n + 1;
	}
	buf_putc(&b, ']');
	return buf_steal(&b);
}

static size_t
characters(const char *s, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += ((unsigned char)s[i] & 0xc0) != 0x80;
	return count;
}

/*
 * Words, each of which has to be there, and texts in quotes, as a query of FTS5. Words that are too short for the index are left out. False
 * when nothing is left.
 */
static bool
match_query(const char *q, struct buf *out)
{
	while (*q) {
		bool quoted = *q == '"';
		size_t n;

		q += quoted;
		n = strcspn(q, quoted ? "\"" : " \t");
		if (characters(q, n) >= SEARCH_MIN) {
			buf_puts(out, out->len ? " \"" : "\"");
			for (size_t i = 0; i < n; i++) {
				if (q[i] == '"')
					buf_putc(out, '"');
				buf_putc(out, q[i]);
			}
			buf_putc(out, '"');
		}
		q += n;
		q += *q != 0;
	}
	return out->len > 0;
}

static void
refuse_query(const struct request *rq, const char *q)
{
	struct json_object *list = json_tokener_parse("[{\"type\":\"string_too_short\",\"loc\":[\"query\",\"q\"],"
						      "\"msg\":\"String should have a word of at least 3 characters\"}]");

	json_object_object_add(json_object_array_get_idx(list, 0), "input", json_object_new_string(q));
	reply_invalid(rq->req, list);
}

static int
search(const struct request *rq, const char *q, int (*cb)(const struct document_hit *, void *), struct listing *l, struct err *e)
{
	struct buf match = BUF_INIT;
	int r;

	if (!match_query(q, &match))
		return -EDOM;
	r = store_document_search(front.store, match.data, "[", "]", request_int(rq, "limit", LIMIT_DEFAULT),
				  request_int(rq, "offset", 0), cb, l, e);
	buf_free(&match);
	return r;
}

static int
on_hit(const struct document_hit *hit, void *arg)
{
	struct listing *l = arg;
	struct buf more = BUF_INIT;

	begin_item(l);
	buf_puts(&more, ",\"snippet\":");
	buf_put_json_str(&more, hit->snippet);
	store_document_json(&l->out, &hit->row, l->base.data, more.data);
	buf_free(&more);
	return 0;
}

void
documents_list(const struct request *rq)
{
	const char *tags = request_text(rq, "tags"), *filename = request_text(rq, "filename"), *q = request_text(rq, "q");
	CLEANUP_FREE char *wanted = tags && *tags ? tags_json(tags) : NULL;
	struct listing l = {.any = false};
	struct err e = {0};
	int r = 0;

	put_base(&l.base, rq);
	buf_putc(&l.out, '[');
	if (q && *q)
		r = search(rq, q, on_hit, &l, &e);
	else if (!tags || !*tags || wanted)
		r = store_document_list(front.store, filename && *filename ? filename : NULL, wanted,
					request_int(rq, "limit", LIMIT_DEFAULT), request_int(rq, "offset", 0), on_listed, &l, &e);
	buf_putc(&l.out, ']');
	if (r == -EDOM) {
		refuse_query(rq, q);
		r = 0;
		buf_free(&l.out);
		buf_free(&l.base);
		return;
	}
	reply_listing(rq, &l, r, &e);
}

/* ---- relations --------------------------------------------------------------------------------- */

static int
on_relation(const struct relation_row *row, void *arg)
{
	struct buf *b = arg;
	char time[TIME_ISO_SIZE];

	if (b->data[b->len - 1] != '[')
		buf_putc(b, ',');
	buf_puts(b, "{\"from\":");
	buf_put_json_str(b, row->from_id);
	buf_puts(b, ",\"to\":");
	buf_put_json_str(b, row->to_id);
	buf_puts(b, ",\"type\":");
	buf_put_json_str(b, row->type);
	buf_printf(b, ",\"created_at\":\"%s\",\"author\":", time_iso(row->created_us, time));
	buf_put_json_str(b, row->author);
	buf_putc(b, '}');
	return 0;
}

static int
put_relations(struct buf *b, const char *id, struct err *e)
{
	int r;

	buf_putc(b, '[');
	r = store_relation_list(front.store, id, on_relation, b, e);
	buf_putc(b, ']');
	return r;
}

/* ---- search ------------------------------------------------------------------------------------ */

static int
on_result(const struct document_hit *hit, void *arg)
{
	struct listing *l = arg;
	struct buf more = BUF_INIT;

	begin_item(l);
	buf_puts(&more, ",\"document_id\":");
	buf_put_json_str(&more, hit->row.id);
	buf_printf(&more, ",\"document_url\":\"%s/documents/%s\",\"snippet\":", l->base.data, hit->row.id);
	buf_put_json_str(&more, hit->snippet);
	if (l->relations) {
		buf_puts(&more, ",\"relations\":");
		l->r = put_relations(&more, hit->row.id, l->e);
	}
	store_document_json(&l->out, &hit->row, l->base.data, more.data);
	buf_free(&more);
	return l->r;
}

void
documents_search(const struct request *rq)
{
	const char *q = request_text(rq, "q");
	struct err e = {0};
	struct listing l = {.relations = request_bool(rq, "include_relations"), .e = &e};
	int r;

	if (!q) {
		reply_invalid(rq->req, json_tokener_parse("[{\"type\":\"missing\",\"loc\":[\"query\",\"q\"],"
							  "\"msg\":\"Field required\",\"input\":null}]"));
		return;
	}
	put_base(&l.base, rq);
	buf_puts(&l.out, "{\"query\":");
	buf_put_json_str(&l.out, q);
	buf_puts(&l.out, ",\"results\":[");
	r = search(rq, q, on_result, &l, &e);
	buf_puts(&l.out, "]}");
	if (r == -EDOM) {
		refuse_query(rq, q);
		buf_free(&l.out);
		buf_free(&l.base);
		return;
	}
	reply_listing(rq, &l, r, &e);
}

static int
on_tag(const char *tag, int64_t uses, void *arg)
{
	struct listing *l = arg;

	begin_item(l);
	buf_puts(&l->out, "{\"name\":");
	buf_put_json_str(&l->out, tag);
	buf_printf(&l->out, ",\"count\":%lld}", (long long)uses);
	return 0;
}

void
documents_tags(const struct request *rq)
{
	struct listing l = {.any = false};
	struct err e = {0};
	int r;

	buf_putc(&l.out, '[');
	r = store_tag_list(front.store, on_tag, &l, &e);
	buf_putc(&l.out, ']');
	reply_listing(rq, &l, r, &e);
}

/* ---- one document ------------------------------------------------------------------------------ */

void
documents_metadata(const struct request *rq)
{
	struct listing l = {.any = false};
	struct err e = {0};
	int r;

	put_base(&l.base, rq);
	r = store_document_get(front.store, rq->id, rq->id_len, on_listed, &l, &e);
	reply_listing(rq, &l, r, &e);
}

static void
put_version(struct listing *l, const struct document_version_row *v, const char *id)
{
	char time[TIME_ISO_SIZE];

	begin_item(l);
	buf_printf(&l->out, "{\"version\":%lld,\"filename\":", (long long)v->version);
	buf_put_json_str(&l->out, v->filename);
	buf_puts(&l->out, ",\"content_type\":");
	buf_put_json_str(&l->out, v->content_type);
	buf_printf(&l->out, ",\"size_bytes\":%lld,\"checksum\":\"%s\",\"created_at\":\"%s\",\"session_id\":", (long long)v->size,
		   v->sha256, time_iso(v->time_us, time));
	buf_put_json_str(&l->out, v->session);
	buf_puts(&l->out, ",\"author\":");
	buf_put_json_str(&l->out, v->author);
	buf_printf(&l->out, ",\"url\":\"%s/documents/%s?version=%lld\"}", l->base.data, id, (long long)v->version);
}

struct versions {
	struct listing l;
	const struct request *rq;
};

static int
on_version(const struct document_version_row *v, void *arg)
{
	struct versions *vs = arg;

	put_version(&vs->l, v, vs->rq->id);
	return 0;
}

static int
on_current(const struct document_row *row, void *arg)
{
	struct document_version_row v = {
		.version = row->version,
		.filename = row->filename,
		.content_type = row->content_type,
		.size = row->size,
		.sha256 = row->sha256,
		.time_us = row->updated_us,
		.session = row->session,
		.author = row->author,
	};

	return on_version(&v, arg);
}

void
documents_versions(const struct request *rq)
{
	struct versions vs = {.rq = rq};
	struct err e = {0};
	int r;

	put_base(&vs.l.base, rq);
	buf_putc(&vs.l.out, '[');
	r = store_document_get(front.store, rq->id, rq->id_len, on_current, &vs, &e);
	if (r == 0)
		r = store_document_versions(front.store, rq->id, on_version, &vs, &e);
	buf_putc(&vs.l.out, ']');
	reply_listing(rq, &vs.l, r, &e);
}

static int
is_there(const struct document_row *row, void *arg)
{
	return 0;
}

void
documents_relations(const struct request *rq)
{
	struct listing l = {.any = false};
	struct err e = {0};
	int r = store_document_get(front.store, rq->id, rq->id_len, is_there, NULL, &e);

	if (r == 0)
		r = put_relations(&l.out, rq->id, &e);
	reply_listing(rq, &l, r, &e);
}

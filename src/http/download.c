/* SPDX-License-Identifier: MIT */
/*
 * Contents of documents going out: whole or in part, in constant memory, with the conditions of RFC 9110. A file is never written again
 * once it is there, so its name, the SHA-256, is its entity tag.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "http/documents.h"
#include "http/reply.h"
#include "http/server.h"
#include "store/store.h"

#define PIECE (64 << 10) /* in memory for each document that goes out */

/* A content that goes out. The generator is first, since h2o gives that back. */
struct download {
	h2o_generator_t generator;
	int fd;
	int64_t at, end;
	char *buf;
};

struct wanted {
	char sha256[65], etag[67], modified[H2O_TIMESTR_RFC1123_LEN + 1];
	char *filename, *type;
	int64_t size, updated_us, version;
};

static int
copy_current(const struct document_row *row, void *arg)
{
	struct wanted *w = arg;

	snprintf(w->sha256, sizeof(w->sha256), "%s", row->sha256);
	w->filename = xstrdup(row->filename);
	w->type = xstrdup(row->content_type);
	w->size = row->size;
	w->updated_us = row->updated_us;
	w->version = row->version;
	return 0;
}

static int
copy_version(const struct document_version_row *v, void *arg)
{
	struct document_row row = {.sha256 = v->sha256, .filename = v->filename, .content_type = v->content_type, .size = v->size, .updated_us = v->time_us};

	return copy_current(&row, arg);
}

/* The current version, or the one that is asked for. */
static int
find(const struct request *rq, struct wanted *w, struct err *e)
{
	int64_t version = request_int(rq, "version", 0);
	int r = store_document_get(front.store, rq->id, rq->id_len, copy_current, w, e);

	if (r < 0 || version == 0 || version == w->version)
		return r;
	free(w->filename);
	free(w->type);
	w->filename = w->type = NULL;
	return store_document_version(front.store, rq->id, version, copy_version, w, e);
}

/* ---- conditions and ranges --------------------------------------------------------------------- */

static bool
find_header(const h2o_req_t *req, const char *name, h2o_iovec_t *out)
{
	ssize_t i = h2o_find_header_by_str(&req->headers, name, strlen(name), -1);

	if (i >= 0)
		*out = req->headers.entries[i].value;
	return i >= 0;
}

/* Whether a list of entity tags has ours, or is "*". Weak ones (W/"…") have the same text, and count where weak is set. */
static bool
has_tag(h2o_iovec_t list, const char *etag, bool weak)
{
	const char *p = list.base, *end = p + list.len;

	if (h2o_memis(list.base, list.len, H2O_STRLIT("*")))
		return true;
	while ((p = memmem(p, (size_t)(end - p), etag, strlen(etag))) != NULL) {
		if (weak || p == list.base || p[-1] != '/')
			return true;
		p++;
	}
	return false;
}

/* The second of an HTTP date; -1 when it is none. */
static int64_t
parse_date(h2o_iovec_t v)
{
	char text[64];
	struct tm tm;

	snprintf(text, sizeof(text), "%.*s", (int)v.len, v.base);
	if (h2o_time_parse_rfc1123(text, strlen(text), &tm) != 0)
		return -1;
	return (int64_t)timegm(&tm);
}

/* RFC 9110, section 13.2.2. The status that ends the request, or 0. */
static int
check_conditions(const h2o_req_t *req, const struct wanted *w)
{
	int64_t modified = w->updated_us / 1000000, date;
	h2o_iovec_t v;

	if (find_header(req, "if-match", &v)) {
		if (!has_tag(v, w->etag, false))
			return 412;
	} else if (find_header(req, "if-unmodified-since", &v) && (date = parse_date(v)) >= 0 && modified > date) {
		return 412;
	}
	if (find_header(req, "if-none-match", &v))
		return has_tag(v, w->etag, true) ? 304 : 0;
	if (find_header(req, "if-modified-since", &v) && (date = parse_date(v)) >= 0 && modified <= date)
		return 304;
	return 0;
}

/* Digits, as many as they are: what is too large is INT64_MAX. -1 where there are none. */
static int64_t
parse_position(const char **p, const char *end)
{
	int64_t n = 0;
	const char *start = *p;

	for (; *p < end && **p >= '0' && **p <= '9'; ++*p)
		n = n > (INT64_MAX - 9) / 10 ? INT64_MAX / 10 * 10 : n * 10 + (**p - '0');
	return *p == start ? -1 : n;
}

/* 0: the whole content; 206: *from up to before *to; 416. Several ranges at once are answered with the whole, as RFC 9110 allows. */
static int
parse_range(const h2o_req_t *req, const struct wanted *w, int64_t *from, int64_t *to)
{
	h2o_iovec_t v, condition;
	const char *p, *end;
	int64_t first, last;

	*from = 0;
	*to = w->size;
	if (!find_header(req, "range", &v) || v.len < 6 || strncasecmp(v.base, "bytes=", 6) != 0 || memchr(v.base, ',', v.len))
		return 0;
	if (find_header(req, "if-range", &condition) && !h2o_memis(condition.base, condition.len, w->etag, strlen(w->etag)) &&
	    !h2o_memis(condition.base, condition.len, w->modified, strlen(w->modified)))
		return 0;
	p = v.base + 6;
	end = v.base + v.len;
	first = parse_position(&p, end);
	if (p == end || *p++ != '-')
		return 416;
	last = parse_position(&p, end);
	if (p != end || (first < 0 && last <= 0) || (first >= 0 && last >= 0 && last < first) || first >= w->size || w->size == 0)
		return 416;
	if (first < 0) {
		*from = last < w->size ? w->size - last : 0;
	} else {
		*from = first;
		*to = last >= 0 && last < w->size - 1 ? last + 1 : w->size;
	}
	return 206;
}

/* ---- headers ----------------------------------------------------------------------------------- */

static void
add_header(h2o_req_t *req, const char *name, const char *value, size_t n)
{
	h2o_iovec_t v = h2o_strdup(&req->pool, value, n);

	h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 1, NULL, v.base, v.len);
}

/*
 * RFC 6266: the name in quotes, with what could be misread replaced; and where that changed it, the name as it is in the form of RFC 8187,
 * which clients prefer.
 */
static void
add_disposition(h2o_req_t *req, const char *filename)
{
	static const char plain[] = "!#$&+-.^_`|~";
	struct buf b = BUF_INIT;
	bool same = true;

	buf_puts(&b, "attachment; filename=\"");
	for (const char *p = filename; *p; p++) {
		bool ok = (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f && !strchr("\"\\/%", *p);

		same = same && ok;
		/* One for each character, not for each byte. */
		if (((unsigned char)*p & 0xc0) != 0x80)
			buf_putc(&b, ok ? *p : '_');
	}
	buf_putc(&b, '"');
	if (!same) {
		buf_puts(&b, "; filename*=UTF-8''");
		for (const unsigned char *p = (const unsigned char *)filename; *p; p++)
			if ((*p >= '0' && *p <= '9') || ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z') || strchr(plain, *p))
				buf_putc(&b, (char)*p);
			else
				buf_printf(&b, "%%%02X", *p);
	}
	add_header(req, "content-disposition", b.data, b.len);
	buf_free(&b);
}

static void
add_validators(h2o_req_t *req, struct wanted *w)
{
	time_t t = (time_t)(w->updated_us / 1000000);
	struct tm tm;

	snprintf(w->etag, sizeof(w->etag), "\"%s\"", w->sha256);
	gmtime_r(&t, &tm);
	h2o_time2str_rfc1123(w->modified, &tm);
	add_header(req, "etag", w->etag, strlen(w->etag));
	add_header(req, "last-modified", w->modified, strlen(w->modified));
}

/* ---- sending ----------------------------------------------------------------------------------- */

static void
dispose(void *arg)
{
	struct download *d = arg;

	if (d->fd >= 0)
		close(d->fd);
}

static void
proceed(h2o_generator_t *self, h2o_req_t *req)
{
	struct download *d = (struct download *)self;
	size_t want = d->end - d->at < PIECE ? (size_t)(d->end - d->at) : PIECE;
	ssize_t n = pread(d->fd, d->buf, want, d->at);
	h2o_iovec_t v;

	if (n <= 0 && want > 0) {
		log_error("a document cannot be read: %s", n < 0 ? strerror(errno) : "it is too short");
		h2o_send(req, NULL, 0, H2O_SEND_STATE_ERROR);
		return;
	}
	d->at += n;
	v = h2o_iovec_init(d->buf, (size_t)n);
	h2o_send(req, &v, n > 0, d->at == d->end ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

static void
send_content(h2o_req_t *req, int fd, int64_t from, int64_t to)
{
	struct download *d = h2o_mem_alloc_shared(&req->pool, sizeof(*d), dispose);
	size_t size = to - from < PIECE ? (size_t)(to - from) : PIECE;

	*d = (struct download){.generator = {proceed, NULL}, .fd = fd, .at = from, .end = to};
	req->res.content_length = (size_t)(to - from);
	if (reply_is_head(req))
		d->end = d->at;
	else
		d->buf = h2o_mem_alloc_pool(&req->pool, size + 1);
	if (to - from > PIECE)
		posix_fadvise(fd, from, to - from, POSIX_FADV_SEQUENTIAL);
	h2o_start_response(req, &d->generator);
	proceed(&d->generator, req);
}

static void
reply_content(h2o_req_t *req, struct wanted *w, int status, int64_t from, int64_t to)
{
	char path[68], range[80];
	CLEANUP_FREE char *type = strncasecmp(w->type, "text/", 5) == 0 && !strcasestr(w->type, "charset=")
					  ? xasprintf("%s; charset=utf-8", w->type)
					  : xstrdup(w->type);
	h2o_iovec_t copy = h2o_strdup(&req->pool, type, strlen(type));
	int fd;

	snprintf(path, sizeof(path), "%.2s/%s", w->sha256, w->sha256);
	fd = openat(documents_dir(), path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		log_error("documents/%s: %s", path, strerror(errno));
		reply_detail(req, 500, "The document's content cannot be read");
		return;
	}
	reply_start(req, status, copy.base);
	add_disposition(req, w->filename);
	add_header(req, "accept-ranges", "bytes", 5);
	add_header(req, "x-content-type-options", "nosniff", 7);
	if (status == 206) {
		snprintf(range, sizeof(range), "bytes %lld-%lld/%lld", (long long)from, (long long)to - 1, (long long)w->size);
		add_header(req, "content-range", range, strlen(range));
	}
	send_content(req, fd, from, to);
}

static void
reply_unsatisfied(h2o_req_t *req, const struct wanted *w)
{
	char range[48];

	snprintf(range, sizeof(range), "bytes */%lld", (long long)w->size);
	add_header(req, "content-range", range, strlen(range));
	reply_detail(req, 416, "Range Not Satisfiable");
}

void
documents_get(const struct request *rq)
{
	struct wanted w = {.filename = NULL};
	int64_t from, to;
	struct err e = {0};
	int r = find(rq, &w, &e), status;

	if (r < 0) {
		reply_err(rq->req, &e);
	} else {
		add_validators(rq->req, &w);
		status = check_conditions(rq->req, &w);
		if (status == 304) {
			static h2o_generator_t nothing;

			rq->req->res.status = 304;
			rq->req->res.reason = "Not Modified";
			h2o_start_response(rq->req, &nothing);
			h2o_send(rq->req, NULL, 0, H2O_SEND_STATE_FINAL);
		} else if (status) {
			reply_detail(rq->req, status, "The document has changed");
		} else if ((status = parse_range(rq->req, &w, &from, &to)) == 416) {
			reply_unsatisfied(rq->req, &w);
		} else {
			reply_content(rq->req, &w, status ? status : 200, from, to);
		}
	}
	free(w.filename);
	free(w.type);
}

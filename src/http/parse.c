/* SPDX-License-Identifier: MIT */
/* The parser of request heads as h2o sees it; see parse.h. Called by libh2o for each request. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "http/parse.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "http/multipart.h"
#include "http/server.h"
#include "http/upload.h"

/* A colon cannot be in the name of a header that came over the wire. h2o writes names in lower case, in place. */
static char held_name[] = "body:held";

static int (*library_parse)(const char *, size_t, const char **, size_t *, const char **, size_t *, int *, struct phr_header *,
			    size_t *, size_t);
static int64_t held_max;

void
parse_init(int64_t max)
{
	held_max = max;
	/* ISO C has no conversion from void * to a function; POSIX asks for this one. */
	*(void **)&library_parse = dlsym(RTLD_NEXT, "phr_parse_request");
	if (!library_parse) {
		log_error("libh2o has no phr_parse_request: %s", dlerror());
		abort();
	}
}

static bool
is_name(const struct phr_header *h, const char *name)
{
	return h->name_len == strlen(name) && h2o_lcstris(h->name, h->name_len, name, strlen(name));
}

/* POST /documents and PUT /documents/ID: what upload.c reads. */
static bool
is_upload(const char *method, size_t method_len, const char *path, size_t path_len)
{
	static const char top[] = "/documents";
	const char *mark = memchr(path, '?', path_len);
	size_t n = mark ? (size_t)(mark - path) : path_len, len = sizeof(top) - 1;

	if (n < len || memcmp(path, top, len) != 0)
		return false;
	if (h2o_memis(method, method_len, H2O_STRLIT("POST")))
		return n == len;
	return h2o_memis(method, method_len, H2O_STRLIT("PUT")) && n > len + 1 && path[len] == '/' &&
	       !memchr(path + len + 1, '/', n - len - 1);
}

static bool
parse_length(const struct phr_header *h, int64_t *out)
{
	CLEANUP_FREE char *text = xstrndup(h->value, h->value_len);

	return parse_i64(text, 0, INT64_MAX, out);
}

/* Headers that say where the body ends. False when they leave a doubt, or there are two names of the host (RFC 9112, section 3.2). */
static bool
find_body(struct phr_header *headers, size_t n, int minor_version, struct phr_header **length, struct phr_header **coding)
{
	struct phr_header *host = NULL;

	for (size_t i = 0; i < n; i++) {
		struct phr_header *h = &headers[i], **which = NULL;

		if (!h->name) /* the line before goes on: obsolete (RFC 9112, section 5.2) */
			return false;
		if (is_name(h, "content-length"))
			which = length;
		else if (is_name(h, "transfer-encoding"))
			which = coding;
		else if (is_name(h, "host"))
			which = &host;
		if (which && *which)
			return false;
		if (which)
			*which = h;
	}
	return !(*length && *coding) && !(*coding && minor_version == 0);
}

/* A form has fields and the heads of its parts around the document. */
static int64_t
largest(const struct phr_header *headers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_name(&headers[i], "content-type") && multipart_is(headers[i].value, headers[i].value_len))
			return held_max + UPLOAD_FORM_EXTRA;
	return held_max;
}

static void
withhold(struct phr_header *body, bool chunked, struct phr_header *extra, int head, int64_t length, int64_t max)
{
	static char value[64];

	if (!chunked && length > max) {
		/* No server would take so much: h2o refuses it, before the client is told to go on. */
		*body = (struct phr_header){body->name, body->name_len, "9223372036854775807", 19};
		return;
	}
	if (chunked) {
		static char name[] = "content-length";

		*body = (struct phr_header){name, sizeof(name) - 1, NULL, 0};
	}
	body->value = "0";
	body->value_len = 1;
	snprintf(value, sizeof(value), "%d %lld", head, chunked ? -1LL : (long long)length);
	*extra = (struct phr_header){held_name, sizeof(held_name) - 1, value, strlen(value)};
}

int
phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len, const char **path, size_t *path_len,
		  int *minor_version, struct phr_header *headers, size_t *num_headers, size_t last_len)
{
	struct phr_header *length = NULL, *coding = NULL, *body;
	size_t max = *num_headers;
	int64_t bytes = -1;
	int r = library_parse(buf, len, method, method_len, path, path_len, minor_version, headers, num_headers, last_len);

	if (r < 0)
		return r;
	if (!find_body(headers, *num_headers, *minor_version, &length, &coding))
		return -1;
	body = length ? length : coding;
	if (!body || *num_headers == max || !is_upload(*method, *method_len, *path, *path_len))
		return r;
	/* What is no length, and codings other than chunked, h2o refuses by itself. */
	if (length ? !parse_length(length, &bytes) : !h2o_lcstris(coding->value, coding->value_len, H2O_STRLIT("chunked")))
		return r;
	withhold(body, coding != NULL, &headers[*num_headers], r, bytes, largest(headers, *num_headers));
	if (body->value_len == 1)
		++*num_headers;
	return r;
}

static ssize_t
find_held(const h2o_req_t *req)
{
	return h2o_find_header_by_str(&req->headers, held_name, sizeof(held_name) - 1, -1);
}

bool
parse_unread(const h2o_req_t *req)
{
	return find_held(req) >= 0;
}

void
parse_taken(h2o_req_t *req)
{
	ssize_t i = find_held(req);

	if (i >= 0)
		h2o_delete_header(&req->headers, i);
}

void
parse_held(h2o_req_t *req, struct held_body *out)
{
	ssize_t i = find_held(req);
	long long head, length;

	*out = (struct held_body){0};
	if (i < 0)
		return;
	CLEANUP_FREE char *text = xstrndup(req->headers.entries[i].value.base, req->headers.entries[i].value.len);

	if (sscanf(text, "%lld %lld", &head, &length) != 2)
		abort();
	*out = (struct held_body){true, (size_t)head, length, req->http1_is_persistent != 0};
	req->http1_is_persistent = 0;
}

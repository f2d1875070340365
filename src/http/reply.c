/* SPDX-License-Identifier: MIT */
/* Answers and CORS; see reply.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "base/util.h"
#include "http/parse.h"
#include "http/reply.h"
#include "http/server.h"

#define DEFAULT_ORIGINS "http://localhost:5173,http://localhost:3000"

static char **origins;

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{101, "Switching Protocols"},
	{200, "OK"},
	{201, "Created"},
	{204, "No Content"},
	{206, "Partial Content"},
	{304, "Not Modified"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{412, "Precondition Failed"},
	{421, "Misdirected Request"},
	{413, "Request Entity Too Large"},
	{416, "Range Not Satisfiable"},
	{422, "Unprocessable Entity"},
	{426, "Upgrade Required"},
	{429, "Too Many Requests"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{507, "Insufficient Storage"},
};

void
reply_start(h2o_req_t *req, int status, const char *content_type)
{
	req->res.status = status;
	req->res.reason = status < 400 ? "OK" : "Error";
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			req->res.reason = reasons[i].reason;
	if (!content_type)
		content_type = "application/json";
	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, content_type,
		       strlen(content_type));
}

bool
reply_is_head(const h2o_req_t *req)
{
	return h2o_memis(req->input.method.base, req->input.method.len, H2O_STRLIT("HEAD"));
}

/* The bytes stay valid until the request is disposed of. */
static void
send_whole(h2o_req_t *req, int status, const char *content_type, const void *body, size_t n)
{
	static h2o_generator_t generator = {NULL, NULL};
	h2o_iovec_t v = h2o_iovec_init(body, n);

	reply_start(req, status, content_type);
	req->res.content_length = n;
	if (!req->http1_is_persistent && parse_unread(req))
		server_drain(req);
	h2o_start_response(req, &generator);
	h2o_send(req, &v, n > 0 && !reply_is_head(req) ? 1 : 0, H2O_SEND_STATE_FINAL);
}

void
reply_body(h2o_req_t *req, int status, const char *content_type, const void *body, size_t n)
{
	void *copy = h2o_mem_alloc_pool(&req->pool, n + 1);

	if (n)
		memcpy(copy, body, n);
	send_whole(req, status, content_type, copy, n);
}

void
reply_json(h2o_req_t *req, int status, const char *body, size_t n)
{
	reply_body(req, status, NULL, body, n);
}

void
reply_buf(h2o_req_t *req, int status, const struct buf *b)
{
	reply_body(req, status, NULL, b->data, b->len);
}

void
reply_shared(h2o_req_t *req, int status, const char *content_type, void *shared, size_t n)
{
	h2o_mem_link_shared(&req->pool, shared);
	send_whole(req, status, content_type, shared, n);
}

void
reply_put_text(struct buf *out, const char *key, const char *value)
{
	buf_printf(out, ",\"%s\":", key);
	buf_put_json_str(out, value);
}

void
reply_put_time(struct buf *out, const char *key, int64_t us)
{
	char when[TIME_ISO_SIZE];

	reply_put_text(out, key, us && us != INT64_MAX ? time_iso(us, when) : NULL);
}

void
reply_detail_text(struct buf *out, const char *text)
{
	buf_puts(out, "{\"detail\":");
	buf_put_json_str(out, text);
	buf_putc(out, '}');
}

void
reply_detail(h2o_req_t *req, int status, const char *text)
{
	struct buf b = BUF_INIT;

	reply_detail_text(&b, text);
	reply_buf(req, status, &b);
	buf_free(&b);
}

static int
status_of(const struct err *e)
{
	if (e->status)
		return e->status;
	switch (e->code) {
	case -ENOENT:
		return 404;
	case -EAGAIN:
		return 503;
	case -ENOSPC:
		return 507;
	default:
		return 500;
	}
}

void
reply_err(h2o_req_t *req, const struct err *e)
{
	reply_detail(req, status_of(e), e->text);
}

void
reply_invalid(h2o_req_t *req, struct json_object *problems)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "{\"detail\":");
	buf_puts(&b, json_object_to_json_string_ext(
			     problems, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	buf_putc(&b, '}');
	json_object_put(problems);
	reply_buf(req, 422, &b);
	buf_free(&b);
}

/* ---- CORS -------------------------------------------------------------------------------- */

static const char *
scheme(void)
{
	return front.tls ? "https://" : "http://";
}

void
reply_init(void)
{
	const char *list = getenv("CORS_ORIGINS"), *own = getenv("AOD_DASHBOARD_ORIGIN");
	static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};
	int port = server_port("dashboard");

	if (!list)
		list = DEFAULT_ORIGINS;
	while (*list) {
		size_t n = strcspn(list, ",");
		const char *p = list, *end = list + n;

		while (p < end && *p == ' ')
			p++;
		while (end > p && (end[-1] == ' ' || end[-1] == '/'))
			end--;
		if (end > p) {
			CLEANUP_FREE char *one = xstrndup(p, (size_t)(end - p));

			origins = strv_add(origins, one);
		}
		list += n + (list[n] == ',');
	}
	if (own && *own)
		origins = strv_add(origins, own);
	for (size_t i = 0; port && i < ARRAY_LEN(hosts); i++) {
		CLEANUP_FREE char *one = xasprintf("%s%s:%d", scheme(), hosts[i], port);

		origins = strv_add(origins, one);
	}
}

static bool
find_origin(const h2o_req_t *req, h2o_iovec_t *out)
{
	ssize_t i = h2o_find_header_by_str(&req->headers, H2O_STRLIT("origin"), -1);

	if (i < 0)
		return false;
	*out = req->headers.entries[i].value;
	return true;
}

static bool
origin_allowed(h2o_iovec_t origin)
{
	for (char **o = origins; o && *o; o++)
		if (strcmp(*o, "*") == 0 || h2o_memis(*o, strlen(*o), origin.base, origin.len))
			return true;
	return false;
}

/* A page that came from here. Whether Host says what it may was looked at before: site.c. */
static bool
origin_is_own(const h2o_req_t *req, h2o_iovec_t origin)
{
	size_t n = strlen(scheme());
	h2o_iovec_t own = req->input.authority;

	return origin.len == n + own.len && memcmp(origin.base, scheme(), n) == 0 && memcmp(origin.base + n, own.base, own.len) == 0;
}

bool
reply_origin_ok(h2o_req_t *req)
{
	h2o_iovec_t origin;

	return !find_origin(req, &origin) || origin_allowed(origin) || origin_is_own(req, origin);
}

void
reply_cors(h2o_req_t *req)
{
	h2o_iovec_t origin;

	if (!find_origin(req, &origin) || !origin_allowed(origin))
		return;
	/* The header's bytes may lie in the input buffer. */
	origin = h2o_strdup(&req->pool, origin.base, origin.len);
	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_ACCESS_CONTROL_ALLOW_ORIGIN, NULL,
		       origin.base, origin.len);
	h2o_add_header_by_str(&req->pool, &req->res.headers,
			      H2O_STRLIT("access-control-allow-credentials"), 0, NULL,
			      H2O_STRLIT("true"));
	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_VARY, NULL, H2O_STRLIT("Origin"));
}

bool
reply_preflight(h2o_req_t *req)
{
	ssize_t asked = h2o_find_header_by_str(&req->headers,
					       H2O_STRLIT("access-control-request-headers"), -1);
	h2o_headers_t *h = &req->res.headers;
	h2o_iovec_t origin;

	if (!find_origin(req, &origin) ||
	    h2o_find_header_by_str(&req->headers, H2O_STRLIT("access-control-request-method"), -1) <
		    0)
		return false;
	if (!origin_allowed(origin)) {
		reply_body(req, 400, "text/plain; charset=utf-8", "Disallowed CORS origin", 22);
		return true;
	}
	h2o_add_header_by_str(&req->pool, h, H2O_STRLIT("access-control-allow-methods"), 0, NULL,
			      H2O_STRLIT("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"));
	h2o_add_header_by_str(&req->pool, h, H2O_STRLIT("access-control-max-age"), 0, NULL,
			      H2O_STRLIT("600"));
	if (asked >= 0) {
		h2o_iovec_t v = req->headers.entries[asked].value;

		v = h2o_strdup(&req->pool, v.base, v.len);
		h2o_add_header_by_str(&req->pool, h, H2O_STRLIT("access-control-allow-headers"), 0,
				      NULL, v.base, v.len);
	}
	reply_body(req, 200, "text/plain; charset=utf-8", "OK", 2);
	return true;
}

/* SPDX-License-Identifier: MIT */
/*
 * Actions and the wire to aod; see forward.h. A pending request is found by its number; when its
 * client goes, its record goes with the request and a late answer finds nothing. A start or resume
 * with async_mode false waits on, after aod's answer, until the session is not live any more.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/log.h"
#include "base/util.h"
#include "http/agents.h"
#include "http/body.h"
#include "http/documents.h"
#include "http/forward.h"
#include "http/live.h"
#include "http/query.h"
#include "http/refuse.h"
#include "http/reply.h"
#include "http/server.h"
#include "http/watch.h"
#include "wire/wire.h"

#define BUCKETS 1024
#define JSON_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

struct pending {
	h2o_linklist_t bucket; /* of pendings, while aod's answer is outstanding */
	h2o_linklist_t age;    /* oldest first */
	struct watch watch;    /* sync requests, after aod's answer */
	uint64_t id;
	int64_t deadline_us;
	h2o_req_t *req;
	struct conn *conn;
	bool sync;
	bool cookie; /* the answer carries one */
	char session[201];
};

static struct wire wire;
static h2o_socket_t *wire_sock;
static bool wire_broken;
static uint64_t last_id;
static h2o_linklist_t pendings[BUCKETS], ages;

static void
break_wire(const char *why)
{
	wire_broken = true;
	if (wire_sock) {
		h2o_socket_close(wire_sock); /* closes the descriptor, too */
		wire_sock = NULL;
	}
	while (!h2o_linklist_is_empty(&ages)) {
		struct pending *p = H2O_STRUCT_FROM_MEMBER(struct pending, age, ages.next);

		h2o_linklist_unlink(&p->bucket);
		h2o_linklist_unlink(&p->age);
		/* Not 503, which says that nothing was done: a client that asks again may have it done twice. */
		reply_detail(p->req, 502, "aod has ended before it answered: look whether it was done");
	}
	server_quit(why);
}

static void flush_wire(void);

static void
on_wire_writable(h2o_socket_t *sock, const char *err)
{
	if (!wire_broken)
		flush_wire();
}

static void
flush_wire(void)
{
	int r;

	if (h2o_socket_is_writing(wire_sock))
		return;
	r = wire_flush(&wire);
	if (r == 1)
		h2o_socket_notify_write(wire_sock, on_wire_writable);
	else if (r < 0 && r != -EAGAIN)
		break_wire("the wire to aod broke");
}

/* ---- answers ----------------------------------------------------------------------------- */

/* A sync request whose session has ended: its result, or its error. */
static void
reply_ended(struct pending *p, const struct found *f, struct buf *session)
{
	struct buf b = BUF_INIT, text = BUF_INIT;
	struct err e = {0};

	if (f->state == SESSION_FINISHED || (f->state == SESSION_IDLE && f->outcome == OUTCOME_SUCCESS)) {
		int r = store_session_result(front.store, f->n, &text, &e);

		if (r < 0 && r != -ENODATA && r != -ENOENT) {
			reply_err(p->req, &e);
		} else {
			buf_puts(&b, "{\"result\":");
			buf_put_json(&b, text.data ? text.data : "", text.len);
			buf_puts(&b, ",\"session\":");
			buf_put(&b, session->data, session->len);
			buf_putc(&b, '}');
			reply_buf(p->req, 200, &b);
		}
	} else {
		struct json_object *o = json_tokener_parse(session->data), *error = NULL;
		const char *why = o && json_object_object_get_ex(o, "error", &error)
					  ? json_object_get_string(error)
					  : NULL;

		if (!why)
			why = outcome_name(f->outcome);
		CLEANUP_FREE char *detail =
			xasprintf("Error: %s", why ? why : session_state_name(f->state));

		reply_detail(p->req, 400, detail);
		json_object_put(o);
	}
	buf_free(&text);
	buf_free(&b);
}

static bool
sync_check(struct watch *w, int64_t now)
{
	struct pending *p = H2O_STRUCT_FROM_MEMBER(struct pending, watch, w);
	struct buf session = BUF_INIT;
	struct err e = {0};
	struct found f;
	int r = query_find(p->session, strlen(p->session), &f, &e);

	w->wake_us = now + FORWARD_TIMEOUT_US;
	if (r == 0 && session_state_busy(f.state) && !front.quitting)
		return false;
	watch_remove(w);
	conn_unwatch(p->conn);
	if (r == 0)
		r = query_render(p->session, strlen(p->session), &session, &f, &e);
	if (r < 0)
		reply_err(p->req, &e);
	else if (session_state_busy(f.state))
		reply_detail(p->req, 503, "Error: the server is restarting; the session goes on");
	else
		reply_ended(p, &f, &session);
	buf_free(&session);
	return true;
}

static void
sync_gone(void *arg)
{
	struct pending *p = arg;

	watch_remove(&p->watch);
	p->req->http1_is_persistent = 0;
	reply_detail(p->req, 503, "Error: the client went away");
}

/* Wait for the session that aod's answer names. False when it names none. */
static bool
sync_start(struct pending *p, const char *body, size_t n)
{
	struct json_object *bad, *o = body_parse(body, n, &bad), *session, *id;
	const char *text = NULL;

	json_object_put(bad);
	if (o && json_object_object_get_ex(o, "session", &session) &&
	    json_object_object_get_ex(session, "session_id", &id))
		text = json_object_get_string(id);
	if (text) {
		snprintf(p->session, sizeof(p->session), "%s", text);
		p->watch.check = sync_check;
		p->watch.wake_us = mono_us(); /* it may have ended already */
		watch_add(&p->watch);
		conn_watch(p->conn, sync_gone, p);
	}
	json_object_put(o);
	return text != NULL;
}

/* What aod says is the cookie goes into a header, and not into the body, where a script could read it. */
static void
reply_login(h2o_req_t *req, const char *body, size_t n)
{
	struct json_object *bad, *o = body_parse(body, n, &bad), *cookie = NULL;
	const char *text = json_object_object_get_ex(o, "cookie", &cookie) ? json_object_get_string(cookie) : "";
	CLEANUP_FREE char *header = xasprintf("%s=%s; Path=/; HttpOnly; SameSite=Strict%s%s", LOGIN_COOKIE, text,
					      front.tls ? "; Secure" : "", *text ? "" : "; Max-Age=0");
	h2o_iovec_t v = h2o_strdup(&req->pool, header, SIZE_MAX);

	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_SET_COOKIE, NULL, v.base, v.len);
	json_object_put(bad);
	json_object_object_del(o, "cookie");
	text = json_object_to_json_string_ext(o, JSON_FLAGS);
	reply_json(req, 200, text, strlen(text));
	json_object_put(o);
}

static void
take_answer(uint64_t id, int status, const char *body, size_t n)
{
	h2o_linklist_t *bucket = &pendings[id % BUCKETS];

	for (h2o_linklist_t *l = bucket->next; l != bucket; l = l->next) {
		struct pending *p = H2O_STRUCT_FROM_MEMBER(struct pending, bucket, l);

		if (p->id != id)
			continue;
		h2o_linklist_unlink(&p->bucket);
		h2o_linklist_unlink(&p->age);
		if (n == 4 && memcmp(body, "null", 4) == 0)
			n = 0;
		if (p->sync && status < 300 && !front.quitting && sync_start(p, body, n))
			return;
		if (p->cookie && status == 200)
			reply_login(p->req, body, n);
		else
			reply_json(p->req, status, body, n);
		return;
	}
}

/* "key":NUMBER at *s; moves *s behind it. */
static bool
skip_number(const char **s, const char *end, const char *key, uint64_t *out)
{
	size_t n = strlen(key);
	uint64_t v = 0;
	const char *p;

	if ((size_t)(end - *s) < n || memcmp(*s, key, n) != 0)
		return false;
	for (p = *s + n; p < end && *p >= '0' && *p <= '9' && v < UINT64_MAX / 16; p++)
		v = v * 10 + (uint64_t)(*p - '0');
	if (p == *s + n)
		return false;
	*s = p;
	*out = v;
	return true;
}

/* The form that aod writes is taken apart as text, so that large bodies pass as they are. */
static bool
take_fast(const char *msg, size_t n)
{
	const char *s = msg, *end = msg + n;
	uint64_t id, status;

	if (skip_number(&s, end, "{\"bell\":", &id) && end - s == 1) {
		live_bell((int64_t)id);
		watch_bell();
		return true;
	}
	s = msg;
	if (!skip_number(&s, end, "{\"id\":", &id) ||
	    !skip_number(&s, end, ",\"status\":", &status) || end - s < 9 ||
	    memcmp(s, ",\"body\":", 8) != 0 || end[-1] != '}' || status < 100 || status > 599)
		return false;
	s += 8;
	take_answer(id, (int)status, s, (size_t)(end - 1 - s));
	return true;
}

static void
take_message(const char *msg, size_t n)
{
	struct json_object *bad, *o, *v, *status, *body = NULL;

	if (take_fast(msg, n))
		return;
	o = body_parse(msg, n, &bad);
	json_object_put(bad);
	if (o && json_object_object_get_ex(o, "quit", &v)) {
		server_quit("aod says so");
	} else if (o && json_object_object_get_ex(o, "tokens", &v)) {
		auth_tokens_gone();
	} else if (o && json_object_object_get_ex(o, "bell", &v)) {
		live_bell(json_object_get_int64(v));
		watch_bell();
	} else if (o && json_object_object_get_ex(o, "id", &v) &&
		   json_object_object_get_ex(o, "status", &status)) {
		const char *text;

		json_object_object_get_ex(o, "body", &body);
		text = json_object_to_json_string_ext(body, JSON_FLAGS);
		take_answer((uint64_t)json_object_get_int64(v), json_object_get_int(status), text,
			    strlen(text));
	} else {
		log_warn("aod sent a message that is not understood (%zu bytes)", n);
	}
	json_object_put(o);
}

static void
on_wire_readable(h2o_socket_t *sock, const char *err)
{
	const char *msg;
	size_t n;
	int r;

	if (wire_broken)
		return;
	r = wire_read(&wire);
	while (!wire_broken && (msg = wire_next(&wire, &n)) != NULL)
		take_message(msg, n);
	if (r < 0 && r != -EAGAIN && !wire_broken)
		break_wire(r == -EPIPE ? "aod is gone" : "the wire to aod broke");
}

void
forward_init(int fd)
{
	char hello[64];
	int n = snprintf(hello, sizeof(hello), "{\"hello\":{\"pid\":%ld}}", (long)getpid());

	for (int i = 0; i < BUCKETS; i++)
		h2o_linklist_init_anchor(&pendings[i]);
	h2o_linklist_init_anchor(&ages);
	wire_init(&wire, fd);
	wire_sock = h2o_evloop_socket_create(front.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
	h2o_socket_read_start(wire_sock, on_wire_readable);
	wire_send(&wire, hello, (size_t)n);
	flush_wire();
}

/* ---- requests ---------------------------------------------------------------------------- */

static void
pending_dispose(void *arg)
{
	struct pending *p = arg;

	if (h2o_linklist_is_linked(&p->bucket)) {
		h2o_linklist_unlink(&p->bucket);
		h2o_linklist_unlink(&p->age);
	}
	watch_remove(&p->watch);
	conn_unwatch(p->conn);
}

/* Whether the client wants to wait for the end of what it starts. */
static bool
wants_sync(const struct verb *v, struct json_object *args)
{
	struct json_object *mode = NULL, *word = json_object_object_get(args, "execution_mode");

	if (!json_object_object_get_ex(args, "async_mode", &mode) && json_object_is_type(word, json_type_string)) {
		if (strcmp(json_object_get_string(word), "sync") != 0)
			return false;
	} else if (!json_object_is_type(mode, json_type_boolean) || json_object_get_boolean(mode)) {
		return false;
	}
	if (strcmp(v->name, "session.resume") == 0)
		return true;
	/* A registration runs nothing here that could be waited for. */
	return strcmp(v->name, "session.create") == 0 &&
	       (json_object_object_get(args, "prompt") || json_object_object_get(args, "command") ||
		!json_object_object_get(args, "session_id"));
}

/* ---- connections that aod knows ---------------------------------------------------------- */

/* Small numbers, used again when aod was told that a connection is gone. */
static unsigned *free_numbers, free_count, free_cap, last_number;

static void
send_number(const char *key, unsigned number, int fd)
{
	char text[40];
	int n = snprintf(text, sizeof(text), "{\"%s\":%u}", key, number);

	if (fd >= 0)
		wire_send_fd(&wire, text, (size_t)n, fd);
	else
		wire_send(&wire, text, (size_t)n);
}

/* Hands the connection over, that aod may see itself whose it is. */
static bool
tell_conn(struct conn *c)
{
	int fd;

	if (c->number > 0)
		return true;
	fd = fcntl(h2o_socket_get_fd(c->sock), F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return false;
	c->number = free_count > 0 ? free_numbers[--free_count] : ++last_number;
	send_number("conn", c->number, fd);
	return true;
}

void
forward_conn_gone(struct conn *c)
{
	if (c->number == 0 || wire_broken)
		return;
	if (free_count == free_cap) {
		free_cap = free_cap ? 2 * free_cap : 64;
		free_numbers = xrealloc(free_numbers, free_cap * sizeof(*free_numbers));
	}
	free_numbers[free_count++] = c->number;
	send_number("gone", c->number, -1); /* with what is sent next, by the tick at the latest: it is not worth a wakeup of aod's */
}

/* ---- sending ----------------------------------------------------------------------------- */

static struct pending *
send_action(h2o_req_t *req, const struct verb *verb, const char *args, size_t n)
{
	struct pending *p = h2o_mem_alloc_shared(&req->pool, sizeof(*p), pending_dispose);
	const struct who *who = conn_of(req)->auth.who;
	struct buf b = BUF_INIT;

	memset(p, 0, sizeof(*p));
	p->id = ++last_id;
	p->deadline_us = mono_us() + FORWARD_TIMEOUT_US;
	p->req = req;
	p->conn = conn_of(req);
	h2o_linklist_insert(&pendings[p->id % BUCKETS], &p->bucket);
	h2o_linklist_insert(&ages, &p->age);
	buf_printf(&b, "{\"id\":%llu,\"verb\":\"%s\",\"args\":", (unsigned long long)p->id, verb->name);
	buf_put(&b, args, n);
	buf_printf(&b, ",\"caller\":{\"conn\":%u", p->conn->number);
	if (who == &p->conn->auth.bearer) {
		buf_puts(&b, ",\"token\":");
		buf_put_json(&b, p->conn->auth.credential, p->conn->auth.credential_len);
	}
	buf_puts(&b, "}}");
	wire_send(&wire, b.data, b.len);
	buf_free(&b);
	flush_wire();
	return p;
}

/* Whether aod can be asked now; answers the request when not. */
static bool
can_send(h2o_req_t *req)
{
	bool gone = wire_broken || front.quitting;

	if (!gone && wire.out.len - wire.out_done <= FORWARD_QUEUE_MAX && tell_conn(conn_of(req)))
		return true;
	reply_detail(req, 503, gone ? "aod is not there" : "aod is busy");
	return false;
}

bool
forward_send(h2o_req_t *req, const struct verb *verb, const char *args, size_t n)
{
	if (!can_send(req))
		return false;
	send_action(req, verb, args, n);
	return true;
}

/*
 * By its type; tools that are told to send a file as it is often say a type of their own, so then
 * by its first character.
 */
bool
forward_is_text(const struct request *rq)
{
	ssize_t i = h2o_find_header(&rq->req->headers, H2O_TOKEN_CONTENT_TYPE, -1);
	h2o_iovec_t type = i >= 0 ? rq->req->headers.entries[i].value : h2o_iovec_init(NULL, 0);
	const char *p = rq->req->entity.base, *end = p + rq->req->entity.len;

	if (!verb_find_arg(rq->verb, IN_BODY, "unit"))
		return false;
	if (type.len > 0 && memmem(type.base, type.len, "json", 4))
		return false;
	if (type.len >= 5 && memcmp(type.base, "text/", 5) == 0)
		return true;
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++;
	return p == end || *p != '{';
}

struct json_object *
forward_args(const struct request *rq, struct json_object **bad)
{
	const h2o_iovec_t *body = &rq->req->entity;
	struct json_object *args;

	*bad = NULL;
	if (forward_is_text(rq)) {
		const char *text = body->base ? body->base : "";

		args = json_object_new_object();
		json_object_object_add(args, "unit",
				       json_object_new_string_len(text, (int)body->len));
	} else {
		args = body_parse(body->base, body->len, bad);
	}
	if (args && (*bad = verb_check(rq->verb, IN_BODY, args)) != NULL) {
		json_object_put(args);
		args = NULL;
	}
	return args;
}

/* If-Match: "3" is the argument version=3 of verbs that have it. What is no number matches nothing. */
static void
add_if_match(const struct request *rq, struct json_object *args)
{
	ssize_t i = h2o_find_header(&rq->req->headers, H2O_TOKEN_IF_MATCH, -1);
	char text[24] = "";
	int64_t version;
	h2o_iovec_t v;

	if (i < 0 || !verb_find_arg(rq->verb, IN_QUERY, "version") || request_has(rq, "version"))
		return;
	v = rq->req->headers.entries[i].value;
	if (h2o_memis(v.base, v.len, H2O_STRLIT("*")))
		return;
	if (v.len > 2 && v.base[0] == '"' && v.base[v.len - 1] == '"')
		v = h2o_iovec_init(v.base + 1, v.len - 2);
	if (v.len < sizeof(text))
		memcpy(text, v.base, v.len);
	if (!parse_i64(text, 1, INT64_MAX, &version))
		version = INT64_MAX;
	json_object_object_add(args, "version", json_object_new_int64(version));
}

static bool
utf8_ok(const h2o_iovec_t *body)
{
	struct buf b = BUF_INIT;
	bool ok = body->len == 0 || buf_put_json(&b, body->base, body->len) == 1;

	buf_free(&b);
	return ok;
}

void
forward_action(const struct request *rq)
{
	const h2o_iovec_t *body = &rq->req->entity;
	struct json_object *bad, *args;
	struct pending *p;
	const char *text;
	bool sync;
	size_t n;

	/* Nothing but UTF-8 can go over the wire; the check says where it is not. */
	if (forward_is_text(rq) && !utf8_ok(body) && !agents_text_ok(rq, body->base, body->len))
		return;
	args = forward_args(rq, &bad);
	if (!args) {
		reply_invalid(rq->req, bad);
		return;
	}
	if (strcmp(rq->verb->name, "login") == 0 && !auth_token_ok(json_object_get_string(json_object_object_get(args, "token")))) {
		refuse(rq, NULL, NULL);
		json_object_put(args);
		return;
	}
	if (!can_send(rq->req)) {
		json_object_put(args);
		return;
	}
	if (rq->query) {
		json_object_object_foreach(rq->query, key, value)
		{
			if (verb_find_arg(rq->verb, IN_QUERY, key))
				json_object_object_add(args, key, json_object_get(value));
		}
	}
	add_if_match(rq, args);
	if (rq->id_len > 0)
		json_object_object_add(args, "id",
				       json_object_new_string_len(rq->id, (int)rq->id_len));
	if (rq->second)
		json_object_object_add(args, verb_second(rq->verb), json_object_new_string(rq->second));
	if (rq->verb->ports & PORT_CONTEXT)
		documents_args(rq, args);
	sync = wants_sync(rq->verb, args);
	text = json_object_to_json_string_length(args, JSON_FLAGS, &n);
	p = send_action(rq->req, rq->verb, text, n);
	p->sync = sync;
	p->cookie = rq->verb->perms & PERM_OPEN;
	json_object_put(args);
}

void
forward_notice(const struct buf *b)
{
	if (wire_broken || front.quitting || wire.out.len - wire.out_done > FORWARD_QUEUE_MAX)
		return;
	wire_send(&wire, b->data, b->len);
	flush_wire();
}

void
forward_token_used(const char *id)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "{\"used\":");
	buf_put_json_str(&b, id);
	buf_putc(&b, '}');
	forward_notice(&b);
	buf_free(&b);
}

void
forward_tick(int64_t now)
{
	if (!wire_broken && wire.out.len > 0)
		flush_wire();
	while (!h2o_linklist_is_empty(&ages)) {
		struct pending *p = H2O_STRUCT_FROM_MEMBER(struct pending, age, ages.next);

		if (now < p->deadline_us)
			return;
		h2o_linklist_unlink(&p->bucket);
		h2o_linklist_unlink(&p->age);
		reply_detail(p->req, 504, "aod did not answer in time: look whether it was done");
	}
}

void
forward_quit(void)
{
	if (wire_sock)
		flush_wire();
}

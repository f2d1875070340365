/* SPDX-License-Identifier: MIT */
/* The feed and its subscribers; see live.h. Called by route.c, forward.c (bells) and server.c
 * (work). */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <h2o.h>
#include <h2o/http1.h>

#include "base/log.h"
#include "base/util.h"
#include "http/live.h"
#include "http/query.h"
#include "http/reply.h"
#include "http/ring.h"
#include "http/server.h"
#include "http/stream.h"
#include "http/ws.h"

enum kind { SUB_WS, SUB_SSE, SUB_NDJSON };

struct sub {
	h2o_generator_t gen; /* first; SSE and ndjson */
	h2o_linklist_t link;
	h2o_linklist_t ready; /* in the list of those to look at */
	enum kind kind;
	int64_t cursor;  /* has everything up to this id, once what is in flight is written */
	int64_t session; /* only this one, 0 = all */
	bool busy, gone, greeted;
	struct conn *conn;
	h2o_socket_t *sock; /* WebSocket */
	h2o_req_t *req;     /* SSE, ndjson */
	struct ws_reader *reader;
	int64_t write_us, beat_us;
	struct frame *flight[LIVE_BATCH];
	int flights;
	struct frame *first; /* the init frame, until it is in flight */
	struct frame *page[LIVE_OWN_PAGE];
	int page_at, page_len;
	uint8_t control[2 * (2 + WS_CONTROL_MAX)]; /* control frames to send with the next write */
	uint8_t control_flight[2 * (2 + WS_CONTROL_MAX)];
	size_t control_len;
	int closing; /* a close frame is queued or sent: the status */
};

static h2o_linklist_t subs, ready;
static struct ring ring;
static int64_t bell_id;
static int sub_count;
static size_t turn_bytes; /* handed to sockets in this turn */
static bool feed_behind;  /* there is more for the ring than one turn reads */

static void sub_mark(struct sub *s);

/* ---- reading the feed -------------------------------------------------------------------- */

/* Renders one row of the feed; the caller has the reference. */
static struct frame *
render(const struct event_row *ev, const struct change_row *change)
{
	static struct buf b = BUF_INIT; /* kept for the next one */

	buf_reset(&b);
	if (ev) {
		buf_puts(&b, "{\"type\":\"event\",\"data\":");
		event_render(&b, ev, false);
		buf_puts(&b, ",\"seq\":");
		buf_put_int(&b, ev->seq);
		buf_puts(&b, ",\"id\":");
		buf_put_int(&b, ev->id);
		buf_putc(&b, '}');
		return frame_new("event", ev->id, ev->session, b.data, b.len);
	}
	buf_put(&b, change->json, change->json_len);
	buf_puts(&b, ",\"id\":");
	buf_put_int(&b, change->id);
	buf_putc(&b, '}');
	return frame_new(change->kind, change->id, change->session, b.data, b.len);
}

static int
on_ring_row(const struct event_row *ev, const struct change_row *change, void *arg)
{
	int *rows = arg;

	ring_push(&ring, render(ev, change));
	(*rows)++;
	return 0;
}

/* Read on into the ring. True when there is more. */
static bool
read_feed(void)
{
	struct err e = {0};
	int64_t upto = bell_id;
	int rows = 0, r;

	if (ring.head >= bell_id)
		return false;
	if (sub_count == 0) {
		ring_reset(&ring, bell_id);
		return false;
	}
	r = store_feed(front.store, ring.head, 0, LIVE_FEED_PAGE, on_ring_row, &rows, &e);
	if (r < 0) {
		log_error("cannot read the feed: %s", e.text);
		return false; /* the next bell tries again */
	}
	/* What was there was deleted since. */
	if (store_feed_reached(front.store) < upto)
		upto = store_feed_reached(front.store);
	if (ring.head < upto)
		ring.head = upto;
	if (rows > 0)
		for (h2o_linklist_t *l = subs.next; l != &subs; l = l->next) {
			struct sub *s = H2O_STRUCT_FROM_MEMBER(struct sub, link, l);

			if (!s->busy)
				sub_mark(s);
		}
	return ring.head < bell_id;
}

struct paging {
	struct sub *sub;
	size_t bytes;
	bool full;
};

static int
on_page_row(const struct event_row *ev, const struct change_row *change, void *arg)
{
	struct paging *p = arg;
	struct frame *f = render(ev, change);

	p->sub->page[p->sub->page_len++] = f;
	p->bytes += f->len;
	p->full = p->sub->page_len == LIVE_OWN_PAGE || p->bytes >= LIVE_OWN_PAGE_BYTES;
	return p->full;
}

/* Read what a subscriber that is behind the ring needs next. False when it has to wait or there is
 * nothing. */
static bool
read_own_page(struct sub *s)
{
	struct paging p = {.sub = s};
	struct err e = {0};
	int64_t upto = ring.head;

	if (frame_bytes_alive() > LIVE_BYTES_MAX)
		return false; /* the tick makes room and tries again */
	s->page_at = s->page_len = 0;
	if (store_feed(front.store, s->cursor, s->session, LIVE_OWN_PAGE, on_page_row, &p, &e) <
	    0) {
		log_error("cannot read the feed: %s", e.text);
		return false;
	}
	if (s->page_len > 0)
		return true;
	/* Nothing of it was left, or none is for this one. */
	if (store_feed_reached(front.store) < upto)
		upto = store_feed_reached(front.store);
	if (s->cursor >= upto)
		return false;
	s->cursor = upto;
	return true;
}

/* ---- writing ----------------------------------------------------------------------------- */

static void
sub_mark(struct sub *s)
{
	if (!h2o_linklist_is_linked(&s->ready))
		h2o_linklist_insert(&ready, &s->ready);
}

/* Collect frames for one write; returns their bytes. */
static size_t
fill_flight(struct sub *s)
{
	size_t bytes = 0;

	if (s->first) {
		s->flight[s->flights++] = s->first;
		bytes += s->first->len;
		s->first = NULL;
	}
	while (s->flights < LIVE_BATCH && bytes < LIVE_BATCH_BYTES) {
		struct frame *f;

		if (s->page_at < s->page_len) {
			f = s->page[s->page_at++];
		} else if (s->cursor >= ring.base) {
			uint64_t at = ring_find(&ring, s->cursor);

			if (at == ring.next)
				break;
			f = frame_ref(ring_at(&ring, at));
		} else if (s->flights > 0 || !read_own_page(s)) {
			break;
		} else {
			continue;
		}
		s->cursor = f->id;
		if (s->session && f->session != s->session) {
			frame_unref(f);
			continue;
		}
		s->flight[s->flights++] = f;
		bytes += f->len;
	}
	return bytes;
}

static void
drop_flight(struct sub *s)
{
	for (int i = 0; i < s->flights; i++)
		frame_unref(s->flight[i]);
	s->flights = 0;
}

static void
sub_free(struct sub *s)
{
	drop_flight(s);
	frame_unref(s->first);
	while (s->page_at < s->page_len)
		frame_unref(s->page[s->page_at++]);
	if (h2o_linklist_is_linked(&s->ready))
		h2o_linklist_unlink(&s->ready);
	if (h2o_linklist_is_linked(&s->link)) {
		h2o_linklist_unlink(&s->link);
		if (--sub_count == 0)
			ring_reset(&ring, ring.head);
	}
	ws_reader_free(s->reader);
	s->reader = NULL;
}

static void
ws_end(struct sub *s)
{
	h2o_socket_t *sock = s->sock;

	sub_free(s);
	free(s);
	h2o_socket_close(sock);
}

static void
on_ws_written(h2o_socket_t *sock, const char *err)
{
	struct sub *s = sock->data;

	s->busy = false;
	drop_flight(s);
	if (err || (s->closing && s->control_len == 0))
		ws_end(s);
	else
		sub_mark(s);
}

static void
ws_step(struct sub *s, int64_t now)
{
	h2o_iovec_t v[LIVE_BATCH + 1];
	size_t n = 0;

	if (s->control_len > 0) {
		memcpy(s->control_flight, s->control, s->control_len);
		v[n++] = h2o_iovec_init(s->control_flight, s->control_len);
		s->control_len = 0;
	}
	if (!s->closing)
		turn_bytes += fill_flight(s);
	for (int i = 0; i < s->flights; i++)
		v[n++] = h2o_iovec_init(s->flight[i]->data,
					s->flight[i]->ws_len + s->flight[i]->len);
	if (n == 0)
		return;
	s->busy = true;
	s->write_us = now;
	h2o_socket_write(s->sock, v, n, on_ws_written);
}

static void
stream_end(struct sub *s, h2o_send_state_t state)
{
	conn_unwatch(s->conn);
	h2o_send(s->req, NULL, 0, state);
}

static void
stream_step(struct sub *s, int64_t now)
{
	h2o_iovec_t v[3 * LIVE_BATCH + 1];
	size_t n = 0;

	if (s->gone) {
		stream_end(s, H2O_SEND_STATE_ERROR);
		return;
	}
	turn_bytes += fill_flight(s);
	for (int i = 0; i < s->flights; i++) {
		struct frame *f = s->flight[i];

		if (s->kind == SUB_SSE)
			v[n++] = h2o_iovec_init(f->sse, f->sse_len);
		v[n++] = h2o_iovec_init(f->data + f->ws_len, f->len);
		v[n++] = s->kind == SUB_SSE ? h2o_iovec_init("\n\n", 2) : h2o_iovec_init("\n", 1);
	}
	/* What is there already is sent before we leave. */
	if (n == 0 && front.quitting) {
		stream_end(s, H2O_SEND_STATE_FINAL);
		return;
	}
	if (n == 0) {
		if (s->greeted && now < s->beat_us)
			return;
		/* The first one makes the head go out at once. */
		v[n++] = s->kind == SUB_SSE ? h2o_iovec_init(":\n\n", 3) : h2o_iovec_init("\n", 1);
	}
	s->greeted = true;
	s->beat_us = now + HEARTBEAT_US;
	s->busy = true;
	s->write_us = now;
	h2o_send(s->req, v, n, H2O_SEND_STATE_IN_PROGRESS);
}

static void
on_stream_proceed(h2o_generator_t *gen, h2o_req_t *req)
{
	struct sub *s = (struct sub *)gen;

	s->busy = false;
	drop_flight(s);
	sub_mark(s);
}

static void
on_stream_gone(void *arg)
{
	struct sub *s = arg;

	s->gone = true;
	sub_mark(s);
}

static void
on_stream_dispose(void *arg)
{
	struct sub *s = arg;

	conn_unwatch(s->conn);
	sub_free(s);
}

void
live_work(void)
{
	int64_t now = mono_us();
	h2o_linklist_t round;

	feed_behind = read_feed();
	/* Each once: who becomes ready again meanwhile has its turn after the next poll. */
	h2o_linklist_init_anchor(&round);
	h2o_linklist_insert_list(&round, &ready);
	turn_bytes = 0;
	while (!h2o_linklist_is_empty(&round) && turn_bytes < LIVE_TURN_BYTES) {
		struct sub *s = H2O_STRUCT_FROM_MEMBER(struct sub, ready, round.next);

		h2o_linklist_unlink(&s->ready);
		if (s->busy)
			continue;
		if (s->kind == SUB_WS)
			ws_step(s, now);
		else
			stream_step(s, now);
	}
	/* The rest is first in the next turn; requests are looked at in between. */
	h2o_linklist_insert_list(ready.next, &round);
}

bool
live_pending(void)
{
	return feed_behind || !h2o_linklist_is_empty(&ready);
}

void
live_bell(int64_t id)
{
	if (id > bell_id)
		bell_id = id;
}

/* ---- WebSocket --------------------------------------------------------------------------- */

static void
ws_queue(struct sub *s, int opcode, const void *payload, size_t n)
{
	/* A pong answers the latest ping; what does not fit is not needed. */
	if (s->control_len + 2 + n > sizeof(s->control))
		return;
	s->control_len += ws_control(s->control + s->control_len, opcode, payload, n);
	sub_mark(s);
}

static void
ws_close(struct sub *s, int status)
{
	uint8_t payload[2] = {(uint8_t)(status >> 8), (uint8_t)status};

	if (s->closing)
		return;
	s->closing = status;
	s->control_len = 0;
	ws_queue(s, WS_CLOSE, payload, status ? 2 : 0);
}

static void
on_ws_control(int opcode, const uint8_t *payload, size_t n, void *arg)
{
	struct sub *s = arg;

	if (opcode == WS_PING && !s->closing)
		ws_queue(s, WS_PONG, payload, n);
	else if (opcode == WS_CLOSE)
		ws_close(s, 1000);
}

static void
on_ws_readable(h2o_socket_t *sock, const char *err)
{
	struct sub *s = sock->data;
	int status;

	if (err) {
		ws_end(s);
		return;
	}
	if (s->closing) {
		h2o_buffer_consume(&sock->input, sock->input->size);
		return;
	}
	status = ws_reader_feed(s->reader, sock->input->bytes, sock->input->size, on_ws_control, s);
	h2o_buffer_consume(&sock->input, sock->input->size);
	if (status)
		ws_close(s, status);
}

static void
on_ws_open(void *arg, h2o_socket_t *sock, size_t request_size)
{
	struct sub *s = arg;

	if (!sock) {
		sub_free(s);
		free(s);
		return;
	}
	s->sock = sock;
	s->conn = conn_of_socket(sock);
	s->busy = false;
	s->beat_us = mono_us() + LIVE_PING_US;
	sock->data = s;
	conn_bound_buffers(s->conn);
	h2o_buffer_consume(&sock->input, request_size);
	h2o_socket_read_start(sock, on_ws_readable);
	if (front.quitting)
		ws_close(s, 1001);
	sub_mark(s);
	if (sock->input->size > 0)
		on_ws_readable(sock, NULL);
}

/* ---- subscribing ------------------------------------------------------------------------- */

#define INIT_KEPT (4u << 20) /* bytes of an init frame that is kept for the next client */

/*
 * The init frame of all sessions as of id. Every change of a session has an id, so the same id
 * means the same text: many clients that come back at once share one frame.
 */
static int
init_frame(int64_t id, struct frame **out, struct err *e)
{
	static struct frame *kept;
	struct buf b = BUF_INIT;
	int r = 0;

	if (kept && kept->id == id) {
		*out = frame_ref(kept);
		return 0;
	}
	frame_unref(kept);
	kept = NULL;
	buf_puts(&b, "{\"type\":\"init\",\"sessions\":");
	r = query_sessions_json(&b, e);
	if (r == 0) {
		buf_printf(&b, ",\"id\":%lld}", (long long)id);
		*out = frame_new("init", id, 0, b.data, b.len);
		if (b.len <= INIT_KEPT)
			kept = frame_ref(*out);
	}
	buf_free(&b);
	return r;
}

/* The init frame of one session, or with a gap to be told of. */
static int
init_frame_own(const char *only, int64_t id, bool gap, struct found *f, struct frame **out,
	       struct err *e)
{
	struct buf b = BUF_INIT;
	int r;

	buf_puts(&b, "{\"type\":\"init\",\"sessions\":");
	if (only) {
		buf_putc(&b, '[');
		r = query_render(only, strlen(only), &b, f, e);
		buf_putc(&b, ']');
	} else {
		r = query_sessions_json(&b, e);
	}
	buf_printf(&b, ",\"id\":%lld%s}", (long long)id, gap ? ",\"gap\":true" : "");
	if (r == 0)
		*out = frame_new("init", id, 0, b.data, b.len);
	buf_free(&b);
	return r;
}

/*
 * Place a subscriber on the feed. Snapshot and cursor come from one read transaction, so that
 * between the init frame and the first one after it nothing is missing and nothing is there twice.
 */
static int
subscribe(struct sub *s, const struct request *rq, struct err *e)
{
	int64_t after = request_int(rq, "after", -1), last;
	const char *only = request_text(rq, "session");
	struct found f = {0};
	bool gap;
	int r;

	if ((r = store_read_begin(front.store, e)) < 0)
		return r;
	last = store_last_id(front.store);
	gap = after >= 0 && (after > last || after < store_feed_floor(front.store));
	if (s->kind == SUB_WS && !only && !gap)
		r = init_frame(last, &s->first, e);
	else if (s->kind == SUB_WS)
		r = init_frame_own(only, last, gap, &f, &s->first, e);
	else if (only)
		r = query_find(only, strlen(only), &f, e);
	store_read_end(front.store);
	if (r < 0)
		return r;
	s->session = f.n;
	s->cursor = after >= 0 && after <= last ? after : last;
	/* The ring was not read while nobody listened. */
	if (sub_count == 0)
		ring_reset(&ring, last);
	h2o_linklist_insert(&subs, &s->link);
	sub_count++;
	return 0;
}

static bool
header_has(const h2o_req_t *req, const char *name, const char *token)
{
	ssize_t i = h2o_find_header_by_str(&req->headers, name, strlen(name), -1);

	return i >= 0 &&
	       h2o_contains_token(req->headers.entries[i].value.base,
				  req->headers.entries[i].value.len, token, strlen(token), ',');
}

void
live_ws(const struct request *rq)
{
	h2o_req_t *req = rq->req;
	ssize_t key = h2o_find_header_by_str(&req->headers, H2O_STRLIT("sec-websocket-key"), -1);
	char *accept;
	struct err e = {0};
	struct sub *s;

	if (!h2o_memis(req->method.base, req->method.len, H2O_STRLIT("GET")) ||
	    req->version != 0x101 ||
	    !h2o_lcstris(req->upgrade.base, req->upgrade.len, H2O_STRLIT("websocket")) || key < 0 ||
	    req->headers.entries[key].value.len != WS_KEY_LEN ||
	    !header_has(req, "sec-websocket-version", "13")) {
		h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("upgrade"), 0, NULL,
				      H2O_STRLIT("websocket"));
		h2o_add_header_by_str(&req->pool, &req->res.headers,
				      H2O_STRLIT("sec-websocket-version"), 0, NULL,
				      H2O_STRLIT("13"));
		reply_detail(req, 426,
			     "This is a WebSocket: upgrade the connection (RFC 6455, version 13)");
		return;
	}
	s = xcalloc(1, sizeof(*s));
	s->kind = SUB_WS;
	s->busy = true; /* until the answer to the handshake is written */
	if (subscribe(s, rq, &e) < 0) {
		sub_free(s);
		free(s);
		reply_err(req, &e);
		return;
	}
	s->reader = ws_reader_new();
	accept = h2o_mem_alloc_pool(&req->pool, WS_ACCEPT_SIZE);
	ws_accept(req->headers.entries[key].value.base, WS_KEY_LEN, accept);
	req->res.status = 101;
	req->res.reason = "Switching Protocols";
	h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("upgrade"), 0, NULL,
			      H2O_STRLIT("websocket"));
	h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("sec-websocket-accept"), 0,
			      NULL, accept, WS_ACCEPT_SIZE - 1);
	h2o_http1_upgrade(req, NULL, 0, on_ws_open, s);
}

void
live_feed(const struct request *rq)
{
	h2o_req_t *req = rq->req;
	ssize_t last = h2o_find_header_by_str(&req->headers, H2O_STRLIT("last-event-id"), -1);
	struct err e = {0};
	struct sub *s;

	s = h2o_mem_alloc_shared(&req->pool, sizeof(*s), on_stream_dispose);
	memset(s, 0, sizeof(*s));
	s->gen.proceed = on_stream_proceed;
	s->kind = request_accepts(req, "text/event-stream") ? SUB_SSE : SUB_NDJSON;
	s->req = req;
	s->conn = conn_of(req);
	if (subscribe(s, rq, &e) < 0) {
		reply_err(req, &e);
		return;
	}
	if (s->kind == SUB_SSE && last >= 0) {
		h2o_iovec_t text = req->headers.entries[last].value;
		CLEANUP_FREE char *number = xstrndup(text.base, text.len);
		int64_t id;

		if (parse_i64(number, 0, INT64_MAX, &id) && id < s->cursor)
			s->cursor = id;
	}
	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL,
		       H2O_STRLIT("no-cache"));
	if (req->version < 0x101)
		req->http1_is_persistent = 0;
	conn_bound_buffers(s->conn);
	reply_start(req, 200, s->kind == SUB_SSE ? "text/event-stream" : "application/x-ndjson");
	h2o_start_response(req, &s->gen);
	if (reply_is_head(req)) {
		h2o_send(req, NULL, 0, H2O_SEND_STATE_FINAL);
		return;
	}
	conn_watch(s->conn, on_stream_gone, s);
	sub_mark(s);
}

/* ---- time -------------------------------------------------------------------------------- */

/* Clients that take nothing hold frames. They come back with their cursor. */
static void
shed(int64_t now)
{
	struct sub *longest = NULL;
	int closed = 0;

	if (frame_bytes_alive() <= LIVE_BYTES_SOFT)
		return;
	for (h2o_linklist_t *l = subs.next; l != &subs; l = l->next) {
		struct sub *s = H2O_STRUCT_FROM_MEMBER(struct sub, link, l);

		if (!s->busy || s->flights == 0)
			continue;
		if (!longest || s->write_us < longest->write_us)
			longest = s;
		if (now - s->write_us > LIVE_STALL_US) {
			/* Its write fails in the next turn, and its frames go with it. */
			shutdown(h2o_socket_get_fd(s->conn->sock), SHUT_RDWR);
			closed++;
		}
	}
	if (closed == 0 && longest && frame_bytes_alive() > LIVE_BYTES_MAX) {
		shutdown(h2o_socket_get_fd(longest->conn->sock), SHUT_RDWR);
		closed++;
	}
	if (closed)
		log_note("closing %d slow clients, which hold a part of %zu bytes", closed,
			 frame_bytes_alive());
}

void
live_tick(int64_t now)
{
	for (h2o_linklist_t *l = subs.next; l != &subs; l = l->next) {
		struct sub *s = H2O_STRUCT_FROM_MEMBER(struct sub, link, l);

		if (s->kind == SUB_WS && s->sock && now >= s->beat_us && !s->closing) {
			s->beat_us = now + LIVE_PING_US;
			/* While a write waits, the kernel finds out about a dead peer by itself. */
			if (!s->busy)
				ws_queue(s, WS_PING, NULL, 0);
		}
		if (!s->busy && (s->cursor < ring.base || (s->kind != SUB_WS && now >= s->beat_us)))
			sub_mark(s);
	}
	shed(now);
}

void
live_init(void)
{
	h2o_linklist_init_anchor(&subs);
	h2o_linklist_init_anchor(&ready);
	bell_id = store_last_id(front.store);
	ring_reset(&ring, bell_id);
}

void
live_quit(void)
{
	for (h2o_linklist_t *l = subs.next; l != &subs; l = l->next) {
		struct sub *s = H2O_STRUCT_FROM_MEMBER(struct sub, link, l);

		if (s->kind == SUB_WS && s->sock)
			ws_close(s, 1001);
		sub_mark(s);
	}
}

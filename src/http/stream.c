/* SPDX-License-Identifier: MIT */
/*
 * Events of one session; see stream.h. Memory is bounded by one page: the next one is read when the
 * one before has been written. A page that holds everything is sent with its length, anything else
 * in chunks. Called by route.c.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "http/query.h"
#include "http/reply.h"
#include "http/server.h"
#include "http/stream.h"
#include "http/watch.h"

enum form { FORM_ARRAY, FORM_NDJSON, FORM_SSE };

struct stream {
	h2o_generator_t gen; /* first: h2o hands it back */
	struct watch watch;
	h2o_req_t *req;
	struct conn *conn;
	enum form form;
	struct found session;
	int64_t cursor, left;
	int64_t beat_us; /* when a heartbeat is due */
	bool raw, follow, paging, any, busy, gone, ended;
	struct buf out; /* the page that is being written */
};

static void
stream_dispose(void *arg)
{
	struct stream *s = arg;

	watch_remove(&s->watch);
	conn_unwatch(s->conn);
	buf_free(&s->out);
}

static int
on_event(const struct event_row *ev, void *arg)
{
	struct stream *s = arg;

	switch (s->form) {
	case FORM_ARRAY:
		if (s->any)
			buf_putc(&s->out, ',');
		event_render(&s->out, ev, s->raw);
		break;
	case FORM_NDJSON:
		event_render(&s->out, ev, s->raw);
		buf_putc(&s->out, '\n');
		break;
	case FORM_SSE:
		buf_printf(&s->out, "id: %lld\nevent: event\ndata: ", (long long)ev->seq);
		event_render(&s->out, ev, s->raw);
		buf_puts(&s->out, "\n\n");
		break;
	}
	s->any = true;
	s->cursor = ev->seq;
	s->left--;
	return s->out.len >= STREAM_PAGE_BYTES;
}

/* Put the next page into out; ended is set when nothing comes after it. Negative when the store
 * fails. */
static int
read_page(struct stream *s, struct err *e)
{
	int64_t want = s->left < STREAM_PAGE ? s->left : STREAM_PAGE;
	/* Its state first: what it did before it ended is then surely in the page or behind it. */
	int64_t n = s->session.n;
	int r = query_find(s->session.id, strlen(s->session.id), &s->session, e);

	if (r < 0 && r != -ENOENT)
		return r;
	/* Deleted, or deleted and made anew under the same id. */
	if (r == -ENOENT || s->session.n != n) {
		s->ended = true;
		return 0;
	}
	if (want > 0 && s->cursor < s->session.last_seq) {
		r = store_events(front.store, s->session.n, s->cursor, want, s->raw, on_event, s,
				 e);
		if (r < 0)
			return r;
	}
	if (s->left <= 0)
		s->ended = true;
	else if (s->cursor >= s->session.last_seq)
		s->ended = !s->follow || !session_state_busy(s->session.state) || front.quitting;
	return 0;
}

static void
put_tail(struct stream *s)
{
	if (s->form != FORM_ARRAY)
		return;
	buf_putc(&s->out, ']');
	if (s->paging)
		buf_printf(&s->out, ",\"next_after\":%lld,\"more\":%s", (long long)s->cursor,
			   s->cursor < s->session.last_seq ? "true" : "false");
	buf_putc(&s->out, '}');
}

static void
end_with(struct stream *s, h2o_send_state_t state)
{
	h2o_iovec_t v = h2o_iovec_init(s->out.data, s->out.len);

	watch_remove(&s->watch);
	conn_unwatch(s->conn);
	h2o_send(s->req, &v, v.len ? 1 : 0, state);
}

static void
send_page(struct stream *s, int64_t now)
{
	h2o_iovec_t v = h2o_iovec_init(s->out.data, s->out.len);

	s->beat_us = now + HEARTBEAT_US;
	s->watch.wake_us = s->beat_us; /* while busy nothing is done then */
	s->busy = true;
	h2o_send(s->req, &v, 1, H2O_SEND_STATE_IN_PROGRESS);
}

static void
put_heartbeat(struct stream *s)
{
	buf_puts(&s->out, s->form == FORM_SSE ? ":\n\n" : "\n");
}

/* Write the next page, if there is one. Returns false when there was nothing to do. */
static bool
stream_step(struct stream *s, int64_t now)
{
	struct err e = {0};

	if (s->busy)
		return false;
	buf_reset(&s->out);
	if (s->gone || read_page(s, &e) < 0) {
		buf_reset(&s->out);
		end_with(s, H2O_SEND_STATE_ERROR);
		return true;
	}
	if (s->ended) {
		put_tail(s);
		end_with(s, H2O_SEND_STATE_FINAL);
		return true;
	}
	if (s->out.len == 0) {
		s->watch.wake_us = s->beat_us;
		if (now < s->beat_us)
			return false;
		/* Tells us of a client that is gone, and proxies that the stream lives. */
		put_heartbeat(s);
	}
	send_page(s, now);
	return true;
}

static bool
stream_check(struct watch *w, int64_t now)
{
	return stream_step(H2O_STRUCT_FROM_MEMBER(struct stream, watch, w), now);
}

/* The page was written. The next one waits for its turn, others are served in between. */
static void
stream_proceed(h2o_generator_t *gen, h2o_req_t *req)
{
	struct stream *s = (struct stream *)gen;

	s->busy = false;
	s->watch.wake_us = 0;
	watch_add(&s->watch);
}

static void
stream_gone(void *arg)
{
	struct stream *s = arg;

	s->gone = true;
	if (!s->busy)
		stream_step(s, 0);
}

/* ---- beginning --------------------------------------------------------------------------- */

static const char *
content_type(enum form form)
{
	return form == FORM_SSE      ? "text/event-stream"
	       : form == FORM_NDJSON ? "application/x-ndjson"
				     : NULL;
}

static enum form
choose_form(const struct request *rq)
{
	if (request_accepts(rq->req, "text/event-stream"))
		return FORM_SSE;
	if (request_accepts(rq->req, "application/x-ndjson") || request_bool(rq, "follow"))
		return FORM_NDJSON;
	return FORM_ARRAY;
}

/* The SSE client's cursor, or -1. */
static int64_t
last_event_id(const struct request *rq)
{
	ssize_t i = h2o_find_header_by_str(&rq->req->headers, H2O_STRLIT("last-event-id"), -1);
	int64_t v = -1;

	if (i >= 0) {
		h2o_iovec_t text = rq->req->headers.entries[i].value;
		CLEANUP_FREE char *s = xstrndup(text.base, text.len);

		if (!parse_i64(s, 0, INT64_MAX, &v))
			v = -1;
	}
	return v;
}

static void
set_start(struct stream *s, const struct request *rq, int64_t resumed)
{
	int64_t tail = request_int(rq, "tail", -1);

	s->cursor = resumed >= 0 ? resumed : request_int(rq, "after", 0);
	/* seq has no gaps: the last so many are known without looking. */
	if (tail >= 0 && resumed < 0 && s->session.last_seq - tail > s->cursor)
		s->cursor = s->session.last_seq - tail;
	s->left = request_int(rq, "limit", INT64_MAX);
	s->paging = request_has(rq, "after") || request_has(rq, "limit");
	s->raw = request_bool(rq, "raw");
	s->follow =
		s->form != FORM_ARRAY && (!request_has(rq, "follow") || request_bool(rq, "follow"));
}

static void
start_stream(struct stream *s)
{
	h2o_req_t *req = s->req;

	if (s->form != FORM_ARRAY)
		h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL,
			       H2O_STRLIT("no-cache"));
	/* Without chunks the end of the connection is the end of the answer. */
	if (req->version < 0x101)
		req->http1_is_persistent = 0;
	conn_bound_buffers(s->conn);
	reply_start(req, 200, content_type(s->form));
	h2o_start_response(req, &s->gen);
	if (reply_is_head(req)) {
		h2o_send(req, NULL, 0, H2O_SEND_STATE_FINAL);
		return;
	}
	if (s->ended) {
		end_with(s, H2O_SEND_STATE_FINAL);
		return;
	}
	/* So that the head goes out at once. */
	if (s->out.len == 0)
		put_heartbeat(s);
	watch_add(&s->watch);
	conn_watch(s->conn, stream_gone, s);
	send_page(s, mono_us());
}

static void
begin(const struct request *rq, const struct found *f)
{
	h2o_req_t *req = rq->req;
	struct stream *s = h2o_mem_alloc_shared(&req->pool, sizeof(*s), stream_dispose);
	struct err e = {0};
	int64_t resumed;

	memset(s, 0, sizeof(*s));
	s->gen.proceed = stream_proceed;
	s->watch.check = stream_check;
	s->req = req;
	s->conn = conn_of(req);
	s->form = choose_form(rq);
	s->session = *f;
	resumed = s->form == FORM_SSE ? last_event_id(rq) : -1;
	set_start(s, rq, resumed);
	if (s->form == FORM_SSE && resumed >= f->last_seq && !session_state_busy(f->state)) {
		/* A browser that came back for more: this tells it to stop. */
		reply_body(req, 204, content_type(s->form), NULL, 0);
		return;
	}
	if (s->form == FORM_ARRAY)
		buf_puts(&s->out, "{\"events\":[");
	if (read_page(s, &e) < 0) {
		reply_err(req, &e);
		return;
	}
	if (s->ended && s->form == FORM_ARRAY) {
		put_tail(s);
		reply_buf(req, 200, &s->out);
		return;
	}
	start_stream(s);
}

void
stream_events(const struct request *rq)
{
	struct err e = {0};
	struct found f;

	if (query_find(rq->id, rq->id_len, &f, &e) < 0)
		reply_err(rq->req, &e);
	else
		begin(rq, &f);
}

void
stream_events_old(const struct request *rq)
{
	struct err e = {0};
	struct found f;
	int r = query_find(rq->id, rq->id_len, &f, &e);

	if (r == -ENOENT)
		reply_json(rq->req, 200, H2O_STRLIT("{\"events\":[]}"));
	else if (r < 0)
		reply_err(rq->req, &e);
	else
		begin(rq, &f);
}

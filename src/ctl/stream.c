/* SPDX-License-Identifier: MIT */
/* Events of a session. See stream.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "ctl/stream.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "ctl/args.h"
#include "ctl/output.h"

#define PAGE_EVENTS 500
#define PAGE_MAX (64u << 20)
#define RETRY_FOR_US 60000000
#define RETRY_FIRST_US 100000
#define RETRY_LAST_US 5000000
#define WAIT_STEP_S 30

int
splitter_feed(struct splitter *s, const char *p, size_t n, size_t max, line_cb on_line, void *arg, struct err *e)
{
	size_t start = 0;
	char *nl;
	int r = 0;

	buf_put(&s->in, p, n);
	while (start < s->in.len && (nl = memchr(s->in.data + s->seen, '\n', s->in.len - s->seen))) {
		size_t end = (size_t)(nl - s->in.data), len = end - start;

		if (len > max)
			break;
		*nl = 0;
		if (len && s->in.data[end - 1] == '\r')
			s->in.data[--len + start] = 0;
		if (len)
			r = on_line(s->in.data + start, len, arg, e);
		start = s->seen = end + 1;
		if (r < 0)
			break;
	}
	buf_consume(&s->in, start);
	s->seen = s->in.len;
	if (r >= 0 && s->in.len > max)
		return err_set(e, -EMSGSIZE, "the server sent a line of more than %zu bytes", max);
	return r < 0 ? r : 0;
}

void
splitter_free(struct splitter *s)
{
	buf_free(&s->in);
	s->seen = 0;
}

char *
session_path(const char *id, const char *tail)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "/sessions/");
	ctl_put_escaped(&b, id);
	buf_puts(&b, tail);
	return buf_steal(&b);
}

int
session_fetch(struct client *c, const char *id, struct buf *reply, struct json_object **out, struct err *e)
{
	CLEANUP_FREE char *path = session_path(id, "");
	struct json_object *o;
	int r = client_call(c, "GET", path, NULL, 0, CLIENT_REPLY_MAX, reply, e);

	*out = NULL;
	if (r < 0)
		return r;
	o = js_parse(reply->data, reply->len);
	*out = json_object_get(js_get(o, "session"));
	json_object_put(o);
	if (!*out)
		return err_set(e, -EPROTO, "%s: the server's answer has no session in it", id);
	return 0;
}

static char *
events_path(const struct events_query *q, int64_t limit, bool follow)
{
	struct buf query = BUF_INIT, tail = BUF_INIT;
	char *path;

	if (q->after > 0)
		ctl_put_param_int(&query, "after", q->after);
	if (limit > 0)
		ctl_put_param_int(&query, "limit", limit);
	if (q->raw)
		ctl_put_param(&query, "raw", "1");
	if (follow)
		ctl_put_param(&query, "follow", "1");
	if (query.len)
		buf_printf(&tail, "/events?%s", query.data);
	else
		buf_puts(&tail, "/events");
	path = session_path(q->id, tail.data);
	buf_free(&query);
	buf_free(&tail);
	return path;
}

/* Hands one event over, unless it was seen before. */
static int
give(struct events_query *q, const char *text, size_t n, struct json_object *ev, event_cb cb, void *arg, struct err *e)
{
	int64_t seq = js_int(ev, "seq", 0);

	if (seq && seq <= q->after)
		return 0;
	if (seq)
		q->after = seq;
	return cb(text, n, ev, arg, e);
}

/* One page. Returns 1 when there is more. */
static int
read_page(struct events_query *q, const struct buf *reply, event_cb cb, void *arg, struct err *e)
{
	struct json_object *o = js_parse(reply->data, reply->len), *list = js_get(o, "events");
	int64_t before = q->after;
	size_t i, n;
	int r = 0;

	if (!json_object_is_type(list, json_type_array)) {
		json_object_put(o);
		return err_set(e, -EPROTO, "%s: the server's answer has no events in it", q->id);
	}
	n = json_object_array_length(list);
	for (i = 0; i < n && r >= 0 && q->after < q->until; i++) {
		struct json_object *ev = json_object_array_get_idx(list, i);
		size_t len;
		const char *text = json_object_to_json_string_length(
			ev, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);

		r = give(q, text, len, ev, cb, arg, e);
	}
	if (r >= 0)
		r = js_bool(o, "more") && q->after > before && q->after < q->until;
	json_object_put(o);
	return r;
}

int
events_read(struct client *c, struct events_query *q, event_cb cb, void *arg, struct err *e)
{
	struct buf reply = BUF_INIT;
	int64_t limit = PAGE_EVENTS;
	int r;

	if (q->after >= q->until)
		return 0;
	do {
		CLEANUP_FREE char *path = events_path(q, limit, false);

		r = client_call(c, "GET", path, NULL, 0, limit > 1 ? PAGE_MAX : CLIENT_REPLY_MAX, &reply, e);
		/* Events may be huge: take fewer of them at a time. */
		if (r == -EFBIG && limit > 1) {
			limit = limit > 8 ? limit / 8 : 1;
			r = 1;
			continue;
		}
		if (r >= 0)
			r = read_page(q, &reply, cb, arg, e);
	} while (r > 0);
	buf_free(&reply);
	return r;
}

/* ---- following ----------------------------------------------------------------------------------------- */

/* How long to go on after lost connections. */
struct patience {
	int64_t until, pause;
	bool said;
};

static bool
worth_retrying(int r)
{
	return r == -ECONNRESET || r == -EHOSTDOWN || r == -ETIMEDOUT;
}

/* Progress was made: the minute begins anew. */
static void
patience_reset(struct patience *p)
{
	p->until = 0;
	p->pause = RETRY_FIRST_US;
}

/* After an error that may go away. 0: try again now. */
static int
patience_wait(struct patience *p, int r)
{
	int64_t now = mono_us();

	if (!p->until) {
		p->until = now + RETRY_FOR_US;
		p->pause = RETRY_FIRST_US;
	}
	if (now >= p->until)
		return r;
	if (!p->said)
		print_note("lost the connection to aod; trying again for up to 60 s");
	p->said = true;
	nanosleep(&(struct timespec){ .tv_sec = p->pause / 1000000, .tv_nsec = p->pause % 1000000 * 1000 }, NULL);
	if (client_interrupted)
		return -EINTR;
	p->pause = p->pause * 2 < RETRY_LAST_US ? p->pause * 2 : RETRY_LAST_US;
	return 0;
}

struct follow {
	struct splitter lines;
	struct events_query *q;
	struct patience patience;
	event_cb cb;
	void *arg;
};

static int
on_line(const char *line, size_t n, void *arg, struct err *e)
{
	struct follow *f = arg;
	struct json_object *ev = js_parse(line, n);
	int r = 0;

	if (!ev)
		return err_set(e, -EPROTO, "%s: the server sent a line that is not JSON: %.100s", f->q->id, line);
	/* Objects that are no event keep the connection alive. */
	if (js_str(ev, "event_type")) {
		patience_reset(&f->patience);
		r = give(f->q, line, n, ev, f->cb, f->arg, e);
	}
	json_object_put(ev);
	return r;
}

static int
on_data(const char *p, size_t n, void *arg, struct err *e)
{
	struct follow *f = arg;
	int r = splitter_feed(&f->lines, p, n, STREAM_LINE_MAX, on_line, f, e);

	fflush(stdout);
	return r;
}

/* The stream ended as it should. 1: there is, or will be, more. */
static int
more_to_come(struct client *c, const struct events_query *q, struct err *e)
{
	struct buf reply = BUF_INIT;
	struct json_object *s;
	const char *status;
	int r = session_fetch(c, q->id, &reply, &s, e);

	if (r == 0) {
		status = js_str(s, "status");
		r = js_int(s, "seq", 0) > q->after || (status && !strcmp(status, "running"));
	}
	json_object_put(s);
	buf_free(&reply);
	return r;
}

int
events_follow(struct client *c, struct events_query *q, event_cb cb, void *arg, struct err *e)
{
	struct follow f = { .q = q, .cb = cb, .arg = arg };
	int r;

	patience_reset(&f.patience);
	for (;;) {
		CLEANUP_FREE char *path = events_path(q, 0, true);
		int64_t before = q->after;

		r = client_stream(c, path, on_data, &f, e);
		splitter_free(&f.lines);
		if (r == 0)
			r = more_to_come(c, q, e);
		if (r == 0)
			break;
		/* An end without news, from a session that is live: as good as a lost connection. */
		if (r == 1 && q->after > before)
			continue;
		if (r < 0 && !worth_retrying(r))
			break;
		r = patience_wait(&f.patience, r == 1 ? err_set(e, -ECONNRESET, "%s: the stream of events ends "
								 "again and again", q->id) : r);
		if (r < 0)
			break;
	}
	if (r == -EINTR)
		err_set(e, -EINTR, "interrupted");
	return r;
}

/* One long poll. 1: still running. */
static int
wait_step(struct client *c, const char *id, int seconds, struct buf *reply, struct err *e)
{
	CLEANUP_FREE char *tail = xasprintf("/status?wait=%d", seconds);
	CLEANUP_FREE char *path = session_path(id, tail);
	struct json_object *o;
	const char *status;
	int r = client_call(c, "GET", path, NULL, seconds, CLIENT_REPLY_MAX, reply, e);

	if (r < 0)
		return r;
	o = js_parse(reply->data, reply->len);
	status = js_str(o, "status");
	if (!status)
		r = err_set(e, -EPROTO, "%s: the server's answer has no status in it", id);
	else if (!strcmp(status, "not_existent"))
		r = err_set_status(e, 404, -ENOENT, "Session not found");
	else
		r = !strcmp(status, "running");
	json_object_put(o);
	return r;
}

int
session_wait(struct client *c, const char *id, int64_t timeout_us, struct err *e)
{
	int64_t start = mono_us(), left;
	struct patience patience = { 0 };
	struct buf reply = BUF_INIT;
	int r;

	for (;;) {
		left = timeout_us == INT64_MAX ? INT64_MAX : start + timeout_us - mono_us();
		if (left < 0)
			left = 0;
		/* The server counts whole seconds: the last one is asked for in full, and cut by nobody. */
		r = wait_step(c, id, left >= WAIT_STEP_S * 1000000LL ? WAIT_STEP_S : (int)((left + 999999) / 1000000),
			      &reply, e);
		if (r == 0)
			break;
		if (r == 1) {
			patience_reset(&patience);
			if (left == 0) {
				r = err_set(e, -ETIMEDOUT, "still running");
				break;
			}
			continue;
		}
		if (!worth_retrying(r) || (r = patience_wait(&patience, r)) < 0)
			break;
	}
	if (r == -EINTR)
		err_set(e, -EINTR, "interrupted");
	buf_free(&reply);
	return r;
}

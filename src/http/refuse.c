/* SPDX-License-Identifier: MIT */
/* Refusals; see refuse.h. Called by route.c, forward.c (a login that failed) and server.c (the tick). */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <string.h>

#include "http/forward.h"
#include "http/refuse.h"
#include "http/reply.h"
#include "http/server.h"
#include "http/watch.h"

/* ---- telling aod ------------------------------------------------------------------------- */

#define REPORTS_MAX 64

static struct report {
	char who[100], from[60];
	const char *verb;
	int status, count;
} reports[REPORTS_MAX];
static int report_count;

static void
tell(const char *who, const char *from, const char *verb, int status)
{
	struct report r = {.verb = verb, .status = status, .count = 1};

	snprintf(r.who, sizeof(r.who), "%s", who);
	snprintf(r.from, sizeof(r.from), "%s", from);
	for (int i = 0; i < report_count; i++) {
		struct report *o = &reports[i];

		if (o->status == status && o->verb == verb && !strcmp(o->who, r.who) && !strcmp(o->from, r.from)) {
			o->count++;
			return;
		}
	}
	if (report_count < REPORTS_MAX)
		reports[report_count++] = r;
	else
		reports[REPORTS_MAX - 1].count++;
}

static void
send_reports(void)
{
	for (int i = 0; i < report_count; i++) {
		const struct report *r = &reports[i];
		struct buf b = BUF_INIT;

		buf_puts(&b, "{\"refused\":{\"who\":");
		buf_put_json_str(&b, r->who);
		buf_puts(&b, ",\"from\":");
		buf_put_json_str(&b, r->from);
		buf_printf(&b, ",\"verb\":\"%s\",\"status\":%d,\"count\":%d}}", r->verb, r->status, r->count);
		forward_notice(&b);
		buf_free(&b);
	}
	report_count = 0;
}

/* ---- slowness ---------------------------------------------------------------------------- */

static struct source {
	char from[60];
	int failures;
	int64_t last_us; /* when the newest one was, or one was forgotten */
} sources[REFUSE_SOURCES];

static struct source *
source_of(const char *from, int64_t now)
{
	struct source *s = &sources[0];

	for (int i = 0; i < REFUSE_SOURCES; i++) {
		if (strcmp(sources[i].from, from) == 0)
			return &sources[i];
		if (sources[i].last_us < s->last_us)
			s = &sources[i];
	}
	/* The one that was quiet for longest makes room. */
	snprintf(s->from, sizeof(s->from), "%s", from);
	s->failures = 0;
	s->last_us = now;
	return s;
}

static int64_t
delay_of(const char *from, int64_t now)
{
	struct source *s = source_of(from, now);
	int64_t delay = REFUSE_DELAY_US, forgotten = (now - s->last_us) / REFUSE_FORGET_US;

	s->failures -= forgotten < s->failures ? (int)forgotten : s->failures;
	for (int i = 0; i < s->failures && delay < REFUSE_DELAY_MAX_US; i++)
		delay *= 2;
	s->failures++;
	s->last_us = now;
	return delay < REFUSE_DELAY_MAX_US ? delay : REFUSE_DELAY_MAX_US;
}

struct late {
	struct watch watch;
	h2o_req_t *req;
	struct conn *conn;
};
static int waiting;

static void
answer_401(h2o_req_t *req, const char *text)
{
	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_WWW_AUTHENTICATE, NULL, H2O_STRLIT("Bearer realm=\"aod\""));
	reply_detail(req, 401, text);
}

static void
late_answer(struct late *l)
{
	watch_remove(&l->watch);
	conn_unwatch(l->conn);
	answer_401(l->req, "The token is not valid: it was revoked, has expired, or never was one");
}

static bool
late_check(struct watch *w, int64_t now)
{
	if (now < w->wake_us && !front.quitting)
		return false;
	late_answer(H2O_STRUCT_FROM_MEMBER(struct late, watch, w));
	return true;
}

static void
late_gone(void *arg)
{
	struct late *l = arg;

	l->req->http1_is_persistent = 0;
	late_answer(l);
}

static void
late_dispose(void *arg)
{
	struct late *l = arg;

	watch_remove(&l->watch);
	conn_unwatch(l->conn);
	waiting--;
}

static void
refuse_late(const struct request *rq, int64_t delay)
{
	struct late *l;

	if (waiting >= REFUSE_WAITING_MAX) {
		rq->req->http1_is_persistent = 0;
		reply_detail(rq->req, 429, "Too many requests with tokens that are not valid");
		return;
	}
	l = h2o_mem_alloc_shared(&rq->req->pool, sizeof(*l), late_dispose);
	memset(l, 0, sizeof(*l));
	waiting++;
	l->req = rq->req;
	l->conn = conn_of(rq->req);
	l->watch.check = late_check;
	l->watch.wake_us = mono_us() + delay;
	watch_add(&l->watch);
	conn_watch(l->conn, late_gone, l);
}

/* ---- refusing ---------------------------------------------------------------------------- */

void
refuse(const struct request *rq, const struct who *who, const char *why)
{
	const char *from = conn_from(conn_of(rq->req));
	CLEANUP_FREE char *text = NULL, *name = NULL;

	if (!who) {
		tell("a token that is not valid", from, rq->verb->name, 401);
		refuse_late(rq, delay_of(from, mono_us()));
		return;
	}
	name = who->role == ROLE_SESSION ? xasprintf("session:%s", who->session) : *who->name ? xasprintf("token:%s", who->name) : xstrdup("nobody");
	tell(name, from, rq->verb->name, who->role == ROLE_NONE ? 401 : 403);
	if (who->role == ROLE_NONE) {
		text = xasprintf("This needs a token: %s", why ? why : "the one that came allows nothing");
		answer_401(rq->req, text);
	} else {
		text = xasprintf("The role %s does not allow this (%s)", role_name(who->role), rq->verb->name);
		reply_detail(rq->req, 403, text);
	}
}

void
refuse_tick(int64_t now)
{
	send_reports();
}

/* SPDX-License-Identifier: MIT */
/* Tokens and the audit trail, as they are shown; see audit.h. Called by route.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "http/audit.h"
#include "http/reply.h"
#include "http/server.h"

#define AUDIT_PAGE 100

struct page {
	struct buf out;
	int64_t last;
	bool any;
};

static void
next(struct page *p)
{
	if (p->any)
		buf_putc(&p->out, ',');
	p->any = true;
}

static void
finish(const struct request *rq, int r, struct page *p, const struct err *e)
{
	if (r < 0)
		reply_err(rq->req, e);
	else
		reply_buf(rq->req, 200, &p->out);
	buf_free(&p->out);
}

static int
on_token(const struct token_row *row, void *arg)
{
	struct page *p = arg;

	next(p);
	buf_puts(&p->out, "{\"id\":");
	buf_put_json_str(&p->out, row->id);
	reply_put_text(&p->out, "name", row->name);
	reply_put_text(&p->out, "role", role_name(row->role));
	reply_put_text(&p->out, "session_id", row->session_id);
	reply_put_time(&p->out, "created_at", row->created_us);
	reply_put_time(&p->out, "expires_at", row->expires_us);
	reply_put_time(&p->out, "used_at", row->used_us);
	buf_putc(&p->out, '}');
	return 0;
}

void
audit_tokens(const struct request *rq)
{
	struct page p = {BUF_INIT, 0, false};
	struct err e = {0};
	int r;

	buf_puts(&p.out, "{\"tokens\":[");
	r = store_token_list(front.store, on_token, &p, &e);
	buf_puts(&p.out, "]}");
	finish(rq, r, &p, &e);
}

static int
on_row(const struct audit_row *row, void *arg)
{
	struct page *p = arg;

	next(p);
	p->last = row->id;
	buf_printf(&p->out, "{\"id\":%lld", (long long)row->id);
	reply_put_time(&p->out, "time", row->time_us);
	reply_put_text(&p->out, "who", row->who);
	reply_put_text(&p->out, "from", row->origin);
	reply_put_text(&p->out, "verb", row->verb);
	reply_put_text(&p->out, "target", row->target);
	buf_printf(&p->out, ",\"status\":%d,\"count\":%lld}", row->status, (long long)row->count);
	return 0;
}

void
audit_list(const struct request *rq)
{
	struct page p = {BUF_INIT, request_int(rq, "after", 0), false};
	struct err e = {0};
	int r;

	buf_puts(&p.out, "{\"audit\":[");
	r = store_audit_list(front.store, request_int(rq, "after", -1), request_int(rq, "limit", AUDIT_PAGE), on_row, &p, &e);
	buf_printf(&p.out, "],\"next_after\":%lld}", (long long)p.last);
	finish(rq, r, &p, &e);
}

/* SPDX-License-Identifier: MIT */
/* Questions; see questions.h. Called by route.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "http/questions.h"

#include <string.h>

#include "base/util.h"
#include "http/query.h"
#include "http/reply.h"
#include "http/server.h"

#define LIST_MAX 10000
#define LIST_BYTES (8u << 20) /* what is asked may be long: a list that has so many bytes ends */

struct list {
	struct buf out;
	int64_t last, left; /* last: when the latest of it was asked */
	bool more;
};

static int
on_question(const struct question_row *row, void *arg)
{
	struct list *l = arg;
	struct buf *b = &l->out;
	const char *status = !row->closed ? "open" : strcmp(row->closed, "answer") ? row->closed : "answered";

	/* Of what was asked at the same moment the next page would show nothing. */
	if ((l->left <= 0 || b->len >= LIST_BYTES) && row->asked_us != l->last) {
		l->more = true;
		return 1;
	}
	l->left--;
	l->last = row->asked_us;
	buf_puts(b, b->data[b->len - 1] == '[' ? "{\"session_id\":" : ",{\"session_id\":");
	buf_put_json_str(b, row->session_id);
	reply_put_text(b, "session_name", row->session_name);
	buf_printf(b, ",\"run_number\":%lld", (long long)row->run);
	reply_put_text(b, "question_id", row->id);
	reply_put_text(b, "kind", row->kind);
	reply_put_text(b, "status", status);
	reply_put_time(b, "asked_at", row->asked_us);
	reply_put_time(b, "until", row->due_us);
	reply_put_time(b, "closed_at", row->closed_us);
	reply_put_text(b, "by", row->author);
	/* What it is about, and what was said: objects, as they were stored. */
	buf_printf(b, ",\"about\":%s,\"answer\":%s}", row->json, row->answer ? row->answer : "null");
	return 0;
}

static void
reply(const struct request *rq, struct list *l, int r, const struct err *e)
{
	if (r < 0)
		reply_err(rq->req, e);
	else
		reply_buf(rq->req, 200, &l->out);
	buf_free(&l->out);
}

void
questions_session(const struct request *rq)
{
	struct list l = { .out = BUF_INIT, .left = LIST_MAX };
	struct err e = { 0 };
	struct found f;
	int r = query_find(rq->id, rq->id_len, &f, &e);

	buf_puts(&l.out, "{\"questions\":[");
	if (r == 0)
		r = store_question_list(front.store, f.n, request_bool(rq, "all"), LIST_MAX, on_question, &l, &e);
	buf_puts(&l.out, l.more ? "],\"more\":true}" : "]}");
	reply(rq, &l, r, &e);
}

void
questions_all(const struct request *rq)
{
	struct list l = { .out = BUF_INIT, .last = request_int(rq, "after", 0), .left = request_int(rq, "limit", LIST_MAX) };
	struct err e = { 0 };
	int r;

	buf_puts(&l.out, "{\"questions\":[");
	/* One more tells that there is one; those of one moment are few. */
	r = store_question_open(front.store, l.last, 2 * LIST_MAX, on_question, &l, &e);
	buf_printf(&l.out, "],\"next_after\":%lld,\"more\":%s}", (long long)l.last, l.more ? "true" : "false");
	reply(rq, &l, r, &e);
}

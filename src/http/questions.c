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
	bool more;
};

static int
on_question(const struct question_row *row, void *arg)
{
	struct list *l = arg;
	struct buf *b = &l->out;
	const char *status = !row->closed ? "open" : strcmp(row->closed, "answer") ? row->closed : "answered";

	if (b->len >= LIST_BYTES) {
		l->more = true;
		return 1;
	}
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

/* session 0: of all */
static void
list(const struct request *rq, int64_t session, bool all)
{
	struct list l = { .out = BUF_INIT };
	struct err e = { 0 };
	int r;

	buf_puts(&l.out, "{\"questions\":[");
	r = store_question_list(front.store, session, all, LIST_MAX, on_question, &l, &e);
	buf_puts(&l.out, l.more ? "],\"more\":true}" : "]}");
	if (r < 0)
		reply_err(rq->req, &e);
	else
		reply_buf(rq->req, 200, &l.out);
	buf_free(&l.out);
}

void
questions_session(const struct request *rq)
{
	struct err e = { 0 };
	struct found f;

	if (query_find(rq->id, rq->id_len, &f, &e) < 0)
		reply_err(rq->req, &e);
	else
		list(rq, f.n, request_bool(rq, "all"));
}

void
questions_all(const struct request *rq)
{
	list(rq, 0, false);
}

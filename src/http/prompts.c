/* SPDX-License-Identifier: MIT */
/* What sessions are asked, as it is shown; see prompts.h. Called by route.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "http/prompts.h"

#include "base/util.h"
#include "http/query.h"
#include "http/reply.h"
#include "http/server.h"

#define PAGE 1000
#define PAGE_BYTES (1u << 20) /* prompts may be long: a page that has so many bytes ends */

struct page {
	struct buf out;
	int64_t last, left;
	bool more;
};

static int
on_prompt(const struct prompt_row *row, void *arg)
{
	struct page *p = arg;

	if (p->left-- <= 0 || p->out.len >= PAGE_BYTES) {
		p->more = true;
		return 1;
	}
	buf_printf(&p->out, "%s{\"id\":%lld", p->last ? "," : "", (long long)row->id);
	p->last = row->id;
	reply_put_text(&p->out, "state", prompt_state_name(row->state));
	reply_put_text(&p->out, "source", row->source);
	reply_put_text(&p->out, "author", row->author);
	buf_puts(&p->out, ",\"run\":");
	if (row->run)
		buf_put_int(&p->out, row->run);
	else
		buf_puts(&p->out, "null");
	reply_put_time(&p->out, "created_at", row->created_us);
	reply_put_time(&p->out, "given_at", row->given_us);
	reply_put_time(&p->out, "ended_at", row->ended_us);
	reply_put_text(&p->out, "prompt", row->text);
	buf_putc(&p->out, '}');
	return 0;
}

void
prompts_list(const struct request *rq)
{
	struct page p = {.left = request_int(rq, "limit", PAGE)};
	struct err e = {0};
	struct found f;
	int r = query_find(rq->id, rq->id_len, &f, &e);

	buf_puts(&p.out, "{\"prompts\":[");
	if (r == 0)
		r = store_prompt_list(front.store, f.n, request_int(rq, "after", 0), p.left + 1, on_prompt, &p, &e);
	buf_printf(&p.out, "],\"next_after\":%lld,\"more\":%s}", (long long)p.last, p.more ? "true" : "false");
	if (r < 0)
		reply_err(rq->req, &e);
	else
		reply_buf(rq->req, 200, &p.out);
	buf_free(&p.out);
}

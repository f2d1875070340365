/* SPDX-License-Identifier: MIT */
/* Actions that end sessions, or make them go: one, a tree of them, or all. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "aod/action.h"
#include "aod/admission.h"
#include "aod/next.h"
#include "aod/request.h"
#include "aod/trash.h"
#include "aod/tree.h"
#include "base/util.h"

#define BATCH_MAX 100 /* rows of the list held in memory at a time while all sessions are deleted */

/* Several sessions deleted for one request. */
struct batch {
	int64_t id;
	char *top; /* id of the first session of the tree that it is; NULL: it is all sessions */
	struct buf ids; /* of a tree's: as a JSON array, without its end */
	int waiting;
	int64_t deleted, events;
};

bool
request_tree(const struct request *q)
{
	return request_choice(q, "tree") > 0;
}

int
request_family(const struct request *q, const struct session *top, struct tree_list *out, struct err *e)
{
	return store_session_family(q->m->store, top->row.id, tree_list_add, out, e);
}

void
request_reply_family(const struct request *q, const struct session *top, const struct tree_list *l, const char *more)
{
	const struct session *first = top;
	struct buf b = BUF_INIT;

	buf_puts(&b, more ? more : "");
	for (int i = 0; i < l->count; i++) {
		const struct session *s = tree_session(q->m, &l->v[i]);

		buf_puts(&b, i ? "," : ",\"sessions\":[");
		session_render(&b, &s->row);
		if (s->row.n == top->row.n)
			first = s;
	}
	buf_puts(&b, l->count ? "]" : ",\"sessions\":[]");
	request_reply_session(q, first, b.data);
	buf_free(&b);
}

bool
request_by_parent(const struct request *q, const struct session *s)
{
	return s->row.parent_id && !strcmp(s->row.parent_id, q->session);
}

/* ---- stop ------------------------------------------------------------------------------------------------ */

static int
stop_one(const struct request *q, struct session *s, bool told, struct err *e)
{
	int64_t timeout_ms = request_number(q, "timeout_ms", -1);
	int rc = told ? tree_forget(q->m, s, e) : 0;

	if (rc == 0 && s->row.passive && session_state_live(s->row.state))
		return err_set_status(e, 409, -EBUSY, "Session '%s' was registered by a client that runs the agent itself: stop it there", s->row.name);
	return rc < 0 ? rc : session_stop(q->m, s, timeout_ms < 0 ? -1 : timeout_ms * 1000, e);
}

/*
 * In one transaction, so that none of them can start another one meanwhile; from the leaves up, so that none is stopped a second time for its parent's
 * end. Who is stopped together with its parent does not answer it any more.
 */
static int
stop_tree(const struct request *q, struct session *top, struct err *e)
{
	struct tree_list l = { 0 };
	int rc = request_family(q, top, &l, e), stopped = 0;
	char more[100];

	for (int i = 0; rc >= 0 && i < l.count; i++) {
		struct session *s = tree_session(q->m, &l.v[i]);
		bool is_top = s->row.n == top->row.n;

		/* What others run they have to stop. */
		if (!is_top && s->row.passive && session_state_live(s->row.state))
			continue;
		rc = stop_one(q, s, !is_top || request_by_parent(q, s), e);
		stopped += rc > 0;
	}
	/* One that had ended, and waited for what is stopped now, waits no more. */
	if (rc >= 0)
		rc = tree_settle(q->m, top->row.id, e);
	snprintf(more, sizeof(more), ",\"success\":true,\"message\":\"%d session(s) stopped or being stopped\"", stopped);
	if (rc >= 0)
		request_reply_family(q, top, &l, more);
	tree_list_free(&l);
	return rc;
}

int
action_stop(struct request *q, struct err *e)
{
	static const char *const stopped[] = { ",\"success\":true,\"message\":\"Session is not running\"",
					       ",\"success\":true,\"message\":\"Session is being stopped\"",
					       ",\"success\":true,\"message\":\"Session is not started again\"" };
	struct session s = { 0 };
	struct run *r = NULL;
	int rc = request_session(q, &s, &r, e);

	if (rc == 0 && request_tree(q)) {
		rc = stop_tree(q, &s, e);
	} else if (rc == 0) {
		/* Who stops it waits for nothing more of it. */
		rc = stop_one(q, r ? &r->s : &s, request_by_parent(q, &s), e);
		if (rc >= 0)
			request_reply_session(q, r ? &r->s : &s, stopped[rc]);
	}
	session_free(&s);
	return rc < 0 ? rc : 0;
}

/* ---- delete ---------------------------------------------------------------------------------------------- */

/* The database first: files without a row are found and removed at the next start. */
static int
delete_row(struct manager *m, const struct session_row *row, int64_t *events, struct err *e)
{
	CLEANUP_FREE char *dir = row->passive ? NULL : session_dir(m, row->id);
	int rc = manager_begin(m, e);

	if (rc == 0)
		rc = manager_check(m, store_session_delete(m->store, row->n, events, e), e);
	if (rc == 0)
		admission_gone(m, row->n);
	manager_purge(m);
	if (rc == 0 && dir)
		trash_put(m, dir);
	return rc;
}

static void
reply_deleted(struct manager *m, int64_t id, const char *session_id, int64_t events)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "{\"ok\":true,\"session_id\":");
	buf_put_json_str(&b, session_id);
	buf_printf(&b, ",\"deleted\":{\"session\":true,\"events_count\":%lld}}", (long long)events);
	manager_reply(m, id, 200, b.data, b.len);
	buf_free(&b);
}

/* Kill it now; action_run_ended() goes on when that is done. */
static int
delete_live(struct manager *m, struct run *r, struct err *e)
{
	int rc = 0;

	if (!r->exited) {
		rc = session_set_state(m, &r->s, SEV_STOP, e);
		if (rc >= 0)
			run_stop(r, 0);
	}
	r->delete_after = true;
	return rc < 0 ? rc : 0;
}

static int
delete_ended(struct manager *m, struct session *s, int64_t *events, struct err *e)
{
	int rc = tree_gone(m, s, e);

	return rc < 0 ? rc : delete_row(m, &s->row, events, e);
}

static void
batch_free(struct batch *b)
{
	free(b->top);
	buf_free(&b->ids);
	free(b);
}

static void
batch_done(struct manager *m, struct batch *b)
{
	struct buf body = BUF_INIT;

	if (b->waiting > 0)
		return;
	if (b->top) {
		buf_puts(&body, "{\"ok\":true,\"session_id\":");
		buf_put_json_str(&body, b->top);
		buf_printf(&body, ",\"deleted\":{\"session\":true,\"events_count\":%lld},\"sessions\":%s]}", (long long)b->events, b->ids.data);
	} else if (b->deleted) {
		buf_printf(&body, "{\"ok\":true,\"deleted\":%lld,\"message\":\"Removed %lld session(s)\"}", (long long)b->deleted, (long long)b->deleted);
	} else {
		buf_puts(&body, "{\"ok\":true,\"deleted\":0,\"message\":\"No sessions to remove\"}");
	}
	manager_reply(m, b->id, 200, body.data, body.len);
	buf_free(&body);
	batch_free(b);
}

/* It is gone, or goes when its run has ended. */
static int
delete_in_batch(struct manager *m, struct batch *b, struct session *s, struct err *e)
{
	struct run *r = manager_find_run(m, s->row.n);
	int64_t events = 0;
	int rc = r ? delete_live(m, r, e) : delete_ended(m, s, &events, e);

	if (rc == 0 && r && !r->batch) {
		r->batch = b;
		b->waiting++;
	}
	b->deleted += rc == 0 && !r;
	b->events += events;
	return rc;
}

/* One page of the list; all pages are one transaction: either every session goes or none. */
static int
delete_page(struct manager *m, struct batch *b, int64_t offset, struct err *e)
{
	struct tree_list page = { 0 };
	int rc = store_session_list(m->store, -1, offset, BATCH_MAX, tree_list_add, &page, e), count = page.count, kept = 0;

	for (int i = 0; rc == 0 && i < count; i++) {
		/* Nobody is left to be told. */
		tree_session(m, &page.v[i])->row.callback_due = false;
		kept += manager_find_run(m, page.v[i].row.n) != NULL;
		rc = delete_in_batch(m, b, &page.v[i], e);
	}
	tree_list_free(&page);
	/* Live ones stay in the list until they have ended: skip those. */
	return rc < 0 ? rc : count == BATCH_MAX ? kept : -1;
}

static int
delete_pages(struct manager *m, struct batch *b, struct err *e)
{
	int64_t offset = 0;
	int kept;

	while ((kept = delete_page(m, b, offset, e)) >= 0)
		offset += kept;
	return e->code;
}

/* From the leaves up. Who goes together with its parent does not answer it any more. */
static int
delete_family(const struct request *q, struct batch *b, const struct session *top, struct err *e)
{
	struct tree_list l = { 0 };
	int rc = request_family(q, top, &l, e);

	b->top = xstrdup(top->row.id);
	for (int i = 0; rc == 0 && i < l.count; i++) {
		struct session *s = tree_session(q->m, &l.v[i]);

		buf_putc(&b->ids, i ? ',' : '[');
		buf_put_json_str(&b->ids, s->row.id);
		if (s->row.n != top->row.n || request_by_parent(q, s))
			rc = tree_forget(q->m, s, e);
		if (rc == 0)
			rc = delete_in_batch(q->m, b, &l.v[i], e);
	}
	tree_list_free(&l);
	return rc;
}

/* top NULL: all there are. */
static int
delete_several(const struct request *q, const struct session *top, struct err *e)
{
	struct batch *b = xcalloc(1, sizeof(*b));
	int rc;

	b->id = q->id;
	b->waiting = 1; /* until all of them were looked at */
	memset(e, 0, sizeof(*e));
	rc = top ? delete_family(q, b, top, e) : delete_pages(q->m, b, e);
	b->waiting--;
	if (rc == 0)
		batch_done(q->m, b);
	/* The transaction is rolled back; runs that point here are forgotten with it, and free it. */
	else if (b->waiting == 0)
		batch_free(b);
	return rc;
}

static int
delete_one(struct request *q, struct session *s, struct run *r, struct err *e)
{
	int64_t events = 0;
	int rc = request_by_parent(q, s) ? tree_forget(q->m, r ? &r->s : s, e) : 0;

	if (rc == 0 && r) {
		rc = delete_live(q->m, r, e);
		if (rc < 0)
			return rc;
		r->delete_replies = xrealloc(r->delete_replies, sizeof(int64_t) * (size_t)(r->delete_reply_count + 1));
		r->delete_replies[r->delete_reply_count++] = q->id;
	} else if (rc == 0) {
		rc = delete_ended(q->m, s, &events, e);
		if (rc == 0)
			reply_deleted(q->m, q->id, s->row.id, events);
	}
	return rc;
}

int
action_delete(struct request *q, struct err *e)
{
	struct session s = { 0 };
	struct run *r = NULL;
	int rc = request_session(q, &s, &r, e);

	if (rc == 0)
		rc = request_tree(q) ? delete_several(q, &s, e) : delete_one(q, &s, r, e);
	if (rc == 0 && request_by_parent(q, &s))
		rc = tree_settle(q->m, s.row.parent_id, e);
	session_free(&s);
	return rc;
}

int
action_delete_all(struct request *q, struct err *e)
{
	return delete_several(q, NULL, e);
}

void
action_run_ended(struct manager *m, struct run *r)
{
	struct err e = { 0 };
	int64_t events = 0;
	int rc;

	if (!r->delete_after)
		return;
	rc = delete_row(m, &r->s.row, &events, &e);
	for (int i = 0; i < r->delete_reply_count; i++) {
		if (rc == 0)
			reply_deleted(m, r->delete_replies[i], r->s.row.id, events);
		else
			manager_reply_error(m, r->delete_replies[i], &e);
	}
	if (r->batch) {
		r->batch->deleted += rc == 0;
		r->batch->events += events;
		r->batch->waiting--;
		batch_done(m, r->batch);
	}
}

void
action_forget_waiters(struct manager *m, struct run *r)
{
	struct err e = { 0 };

	err_set_status(&e, 503, -EAGAIN, "aod had to read its state again: ask once more");
	for (int i = 0; i < r->delete_reply_count; i++)
		manager_reply_error(m, r->delete_replies[i], &e);
	if (r->batch && --r->batch->waiting == 0) {
		manager_reply_error(m, r->batch->id, &e);
		batch_free(r->batch);
	}
}

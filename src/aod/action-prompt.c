/* SPDX-License-Identifier: MIT */
/* Actions on what sessions are asked: a further prompt, one that is taken back, the end of a turn. */
#include "config.h"

#include <errno.h>

#include "aod/admission.h"
#include "aod/next.h"
#include "aod/request.h"
#include "aod/tree.h"
#include "aod/turn.h"
#include "base/util.h"

/* What aod does not run it cannot ask. */
static int
own_session(struct request *q, struct session *s, struct run **r, const char *what, struct err *e)
{
	int rc = request_session(q, s, r, e);

	if (rc == 0 && s->row.passive)
		rc = err_set_status(e, 409, -EBUSY, "Session '%s' was registered by a client that runs the agent itself: %s it there", s->row.name,
				    what);
	return rc;
}

/* Old clients count on a refusal where the session is still running. */
static int
may_queue(const struct request *q, const struct session *s, struct err *e)
{
	const struct session_move *move = session_move(s->row.state, SEV_RESUME);

	if (move->action != ACT_REFUSE || s->row.persistent || request_number(q, "queue", 0))
		return 0;
	return err_set_status(e, 409, -EBUSY, "Session '%s': %s", s->row.name, move->why);
}

static bool
needs_prompt(const struct session *s)
{
	const struct adapter *a = s->row.adapter ? adapter_find(s->row.adapter) : NULL;

	return !a || a->needs_prompt;
}

/* What it was given, or where that stands: position is its place in the session's queue of prompts, 0: it is the next. */
static void
reply_prompted(const struct request *q, const struct session *s, int64_t position)
{
	struct buf more = BUF_INIT;

	if (position > 0)
		buf_printf(&more, ",\"queued\":true,\"position\":%lld", (long long)position);
	admission_put_place(q->m, s->row.n, &more);
	request_reply_session(q, s, more.data);
	buf_free(&more);
}

/* Whether its answer to p is for its parent: where that asks, as before, unless it is said. */
static int
set_callback(const struct request *q, struct session *s, struct prompt *p, struct err *e)
{
	int said = request_callback(q);

	if (said > 0 && !s->row.parent_id)
		return err_set_status(e, 422, -EINVAL, "Session '%s' works for no other: there is none to call back", s->row.name);
	if (said)
		s->row.callback = s->row.callback_due = said > 0;
	p->callback = s->row.callback && (said || request_by_parent(q, s));
	return 0;
}

int
action_resume(struct request *q, struct err *e)
{
	char uuid[ID_SIZE];
	struct session s = { 0 };
	struct run *r = NULL, *begun = NULL;
	struct prompt p = { .source = "request", .author = q->author };
	int64_t rc = own_session(q, &s, &r, "resume", e);
	struct session *is = r ? &r->s : &s;
	bool callback = is->row.callback, due = is->row.callback_due;

	p.text = xstrdup(request_text(q, "prompt"));
	p.uuid = xstrdup(id_new(uuid));
	if (rc == 0)
		rc = request_check_mode(q, e);
	if (rc == 0)
		rc = may_queue(q, &s, e);
	if (rc == 0)
		rc = set_callback(q, is, &p, e);
	if (rc == 0 && !p.text && needs_prompt(&s)) {
		request_missing(q, "prompt");
	} else if (rc == 0) {
		rc = session_prompt(q->m, &s, r, &p, SEV_RESUME, &begun, e);
		if (rc >= 0)
			reply_prompted(q, begun ? &begun->s : r ? &r->s : &s, rc);
	}
	if (rc < 0) {
		is->row.callback = callback;
		is->row.callback_due = due;
	}
	prompt_free(&p);
	session_free(&s);
	return rc < 0 ? (int)rc : 0;
}

static int
interrupt(const struct request *q, struct run *r, struct err *e)
{
	int rc = turn_interrupt(r, e);

	if (rc == 0 && request_number(q, "clear", 0) && (rc = prompts_cancel(q->m, &r->s, 0, e)) > 0)
		rc = session_save(q->m, &r->s, e);
	return rc;
}

/* Of all that have a turn open. A turn that is interrupted together with the parent's is not answered to that any more. */
static int
interrupt_tree(const struct request *q, const struct session *top, struct err *e)
{
	struct tree_list l = { 0 };
	int rc = request_family(q, top, &l, e);

	for (int i = 0; i < l.count && rc == 0; i++) {
		struct run *r = manager_find_run(q->m, l.v[i].row.n);

		if (!r || r->exited || !r->turn.open || session_move(r->s.row.state, SEV_INTERRUPT)->action != ACT_INTERRUPT)
			continue;
		if (r->s.row.n != top->row.n)
			rc = tree_forget(q->m, &r->s, e);
		if (rc == 0)
			rc = interrupt(q, r, e);
	}
	if (rc == 0)
		rc = tree_settle(q->m, top->row.id, e);
	if (rc == 0)
		request_reply_family(q, top, &l, NULL);
	tree_list_free(&l);
	return rc;
}

int
action_interrupt(struct request *q, struct err *e)
{
	struct session s = { 0 };
	struct run *r = NULL;
	int rc = own_session(q, &s, &r, "interrupt", e);

	if (rc == 0 && request_tree(q)) {
		rc = interrupt_tree(q, &s, e);
		session_free(&s);
		return rc;
	}
	if (rc == 0 && !r)
		rc = err_set_status(e, 409, -EBUSY, "Session '%s': %s", s.row.name, session_move(s.row.state, SEV_INTERRUPT)->why);
	if (rc == 0)
		rc = interrupt(q, r, e);
	if (rc == 0)
		request_reply_session(q, &r->s, NULL);
	session_free(&s);
	return rc;
}

/*
 * Whether nothing but its prompts has it started. A command is started again without one where Restart= says so, and for the first time where the
 * request had none.
 */
static int
only_for_prompts(struct request *q, const struct session *s, struct err *e)
{
	if (session_move(s->row.state, SEV_STOP)->action != ACT_CANCEL)
		return 0;
	if (needs_prompt(s))
		return 1;
	if (s->row.state != SESSION_QUEUED || s->row.restarts > 0)
		return 0;
	return s->row.runs > 0 ? 1 : store_prompt_known(q->m->store, s->row.n, PROMPT_FIRST, e);
}

/* What it was only to be started for is not wanted any more: then it is not. */
static int
cancel_start(struct request *q, struct session *s, struct err *e)
{
	struct prompt p;
	int rc = only_for_prompts(q, s, e);

	if (rc <= 0)
		return rc;
	rc = prompt_next(q->m, s->row.n, &p, e);
	prompt_free(&p);
	return rc == -ENOENT ? next_cancel(q->m, s, SEV_STOP, OUTCOME_CANCELLED, NULL, e) : rc;
}

/* n: the one that is named, or NULL: all. */
static int
cancel_prompts(struct request *q, const char *n, struct err *e)
{
	struct session s = { 0 }, *is = &s;
	struct run *r = NULL;
	int64_t id = 0;
	int rc = own_session(q, &s, &r, "change", e);

	if (r)
		is = &r->s;
	if (rc == 0 && n && !parse_i64(n, 1, INT64_MAX, &id))
		rc = err_set_status(e, 404, -ENOENT, "Session '%s': a prompt is named by its id", s.row.name);
	if (rc == 0 && (rc = prompts_cancel(q->m, is, id, e)) == 0 && n)
		rc = err_set_status(e, 404, -ENOENT, "Session '%s': no prompt %s is queued", s.row.name, n);
	if (rc > 0)
		rc = session_save(q->m, is, e);
	if (rc == 0)
		rc = cancel_start(q, is, e);
	if (rc == 0)
		request_reply_session(q, is, NULL);
	session_free(&s);
	return rc;
}

int
action_prompt_cancel(struct request *q, struct err *e)
{
	const char *n = request_text(q, "n");

	return cancel_prompts(q, n ? n : "", e);
}

int
action_prompt_cancel_all(struct request *q, struct err *e)
{
	return cancel_prompts(q, NULL, e);
}

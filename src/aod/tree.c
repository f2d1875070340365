/* SPDX-License-Identifier: MIT */
/* Answers that children owe their parents, and children that end with them. See tree.h. */
#include "config.h"

#include "aod/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "aod/next.h"
#include "aod/run.h"
#include "aod/turn.h"
#include "base/log.h"
#include "base/util.h"

int
tree_list_add(const struct session_row *row, void *list)
{
	struct tree_list *l = list;

	/* Room for twice as many whenever there is a power of two of them. */
	if ((l->count & (l->count - 1)) == 0)
		l->v = xrealloc(l->v, sizeof(*l->v) * (size_t)(l->count ? 2 * l->count : 1));
	l->v[l->count] = (struct session){ 0 };
	session_copy(&l->v[l->count++], row);
	return 0;
}

void
tree_list_free(struct tree_list *l)
{
	while (l->count > 0)
		session_free(&l->v[--l->count]);
	free(l->v);
}

struct session *
tree_session(struct manager *m, struct session *copy)
{
	struct run *r = manager_find_run(m, copy->row.n);

	return r ? &r->s : copy;
}

static int
take_session(const struct session_row *row, void *arg)
{
	session_copy(arg, row);
	return 0;
}

/* By id alone: a name may be another session's. 1: *s is a copy for session_free(); 0: it is not there. */
static int
find_by_id(struct manager *m, const char *id, struct session *s, struct err *e)
{
	int rc = id ? store_session_find(m->store, id, strlen(id), take_session, s, e) : -ENOENT;

	if (rc == 0 && strcmp(s->row.id, id)) {
		session_free(s);
		rc = -ENOENT;
	}
	return rc == -ENOENT ? 0 : rc < 0 ? rc : 1;
}

void
tree_begin(struct session_row *s, const struct run_args *args, const struct plan *p)
{
	if (s->n != 0 || !s->parent_id)
		return;
	s->callback = s->callback_due = args->callback ? args->callback > 0 : p->callback;
	s->stop_with_parent = args->stop_with_parent ? args->stop_with_parent > 0 : p->stop_with_parent;
}

/* ---- who owes what --------------------------------------------------------------------------------------- */

bool
tree_asked(const struct prompt_row *p)
{
	return p->callback || !strcmp(p->source, "callback") || !strcmp(p->source, "blueprint");
}

void
tree_owe(struct session *s, const struct prompt_row *p)
{
	s->row.callback_due |= p->callback;
}

static int
look_at_prompt(const struct prompt_row *p, void *arg)
{
	*(bool *)arg |= p->callback;
	return 0;
}

/* What was due is delivered: whether the parent has asked more. */
static int
still_owes(struct manager *m, struct session *s, struct err *e)
{
	bool owed = false;
	int rc = session_state_live(s->row.state) ? store_prompt_heads(m->store, s->row.n, PROMPTS_OPEN_MAX, look_at_prompt, &owed, e) : 0;

	s->row.callback_due = owed;
	return rc;
}

/* ---- the answer ------------------------------------------------------------------------------------------ */

/* No more than CALLBACK_ANSWER_MAX bytes of it, cut between two characters. */
static void
put_answer(struct buf *b, const struct session_row *s, const struct buf *answer)
{
	size_t n = answer->len;

	if (n > CALLBACK_ANSWER_MAX) {
		n = CALLBACK_ANSWER_MAX;
		while (n > 0 && ((unsigned char)answer->data[n] & 0xc0) == 0x80)
			n--;
		buf_printf(b, "Answer (the first %zu of %zu bytes; `aoctl result %s` prints all of it):\n\n", n, answer->len, s->name);
	} else {
		buf_puts(b, n ? "Answer:\n\n" : "There is no answer.\n");
	}
	buf_put(b, answer->data ? answer->data : "", n);
}

/* The prompt that the parent gets; aod.blueprint(5) says how it looks. */
static int
callback_text(struct manager *m, const struct session_row *s, struct buf *b, struct err *e)
{
	struct buf answer = BUF_INIT;
	int rc = store_session_result(m->store, s->n, &answer, e);

	if (rc == 0 || rc == -ENODATA) {
		rc = 0;
		buf_printf(b, "Callback: session %s (%s), which you started, %s.\n", s->name, s->id,
			   session_state_live(s->state) ? "has answered" : "has ended");
		buf_printf(b, "State: %s\nResult: %s\n", session_state_name(s->state), s->outcome == OUTCOME_NONE ? "none" : outcome_name(s->outcome));
		if (s->error)
			buf_printf(b, "Error: %s\n", s->error);
		put_answer(b, s, &answer);
	}
	buf_free(&answer);
	return rc;
}

static int
add_callback_event(struct manager *m, struct session *parent, const struct session_row *child, struct err *e)
{
	struct event *ev = &m->event;
	const char *state = session_state_name(child->state), *result = outcome_name(child->outcome);

	event_begin(ev, "callback", now_us());
	event_extra_text(ev, "child_session_id", child->id, strlen(child->id));
	event_extra_text(ev, "child_session_name", child->name, strlen(child->name));
	event_extra_text(ev, "state", state, strlen(state));
	if (result)
		event_extra_text(ev, "result", result, strlen(result));
	return session_add_event(m, parent, parent->row.runs, ev, e);
}

/*
 * A parent that has ended by itself is started again: as after a restart, so that it is known to be wanted whatever comes in between, and its former run,
 * which may be in memory still, is out of the way.
 */
static int
wake(struct manager *m, struct session *parent, struct err *e)
{
	int rc;

	if (parent->row.state != SESSION_FINISHED && parent->row.state != SESSION_FAILED)
		return session_save(m, parent, e);
	parent->row.due_us = now_us();
	rc = session_set_state(m, parent, SEV_RESTART, e);
	return rc < 0 ? rc : 0;
}

static int
ask(struct manager *m, struct session *parent, struct prompt *p, struct err *e)
{
	struct run *r = manager_find_run(m, parent->row.n), *begun;
	int64_t rc;

	if (session_state_live(parent->row.state) && parent->row.state != SESSION_STOPPING)
		rc = session_prompt(m, parent, r, p, SEV_PROMPT, &begun, e);
	else if ((rc = prompt_queue(m, parent, p, e)) > 0)
		rc = wake(m, parent, e);
	return rc < 0 ? (int)rc : 0;
}

static int
give_to_parent(struct manager *m, struct session *parent, const struct session_row *child, struct err *e)
{
	char uuid[ID_SIZE];
	struct buf text = BUF_INIT;
	CLEANUP_FREE char *origin = xasprintf("%s/%" PRId64 "/%" PRId64, child->id, child->runs, child->last_seq);
	CLEANUP_FREE char *author = xasprintf("session:%.90s", child->id);
	struct prompt p = { .uuid = id_new(uuid), .source = "callback", .origin = origin, .author = author };
	int rc = callback_text(m, child, &text, e);

	p.text = text.data;
	if (rc == 0)
		rc = ask(m, parent, &p, e);
	buf_free(&text);
	return rc;
}

static int
deliver(struct manager *m, struct session *s, struct err *e)
{
	struct session copy = { 0 }, *parent;
	int rc = find_by_id(m, s->row.parent_id, &copy, e), found = rc;

	parent = tree_session(m, &copy);
	if (found == 1)
		rc = add_callback_event(m, parent, &s->row, e);
	/* Who runs the agent itself sees the event. */
	if (rc == 0 && found == 1 && !parent->row.passive)
		rc = give_to_parent(m, parent, &s->row, e);
	/* So many wait there that nobody will miss one. */
	if (rc == -EBUSY) {
		log_warn("session %s: its answer is not given to its parent: %s", s->row.name, e->text);
		rc = 0;
	} else if (found == 1) {
		log_info("session %s: its answer is given to its parent %s", s->row.name, parent->row.name);
	}
	session_free(&copy);
	if (rc == 0)
		rc = still_owes(m, s, e);
	return rc < 0 ? rc : session_save(m, s, e);
}

/* ---- ends ------------------------------------------------------------------------------------------------ */

static int
add_stop_notice(struct manager *m, struct session *child, const struct session_row *parent, struct err *e)
{
	CLEANUP_FREE char *text = xasprintf("session %s, which started it, has ended (%s), and StopWithParent= is set: it is stopped", parent->name,
					    session_state_name(parent->state));
	struct event *ev = &m->event;

	event_begin(ev, "notice", now_us());
	event_extra_text(ev, "subtype", "stop-with-parent", 16);
	event_extra_text(ev, "text", text, strlen(text));
	return session_add_event(m, child, child->row.runs, ev, e);
}

static int
stop_child(struct manager *m, struct session *copy, const struct session_row *parent, struct err *e)
{
	struct session *s = tree_session(m, copy);
	int rc;

	if (!s->row.stop_with_parent || s->row.passive || !session_state_live(s->row.state) || s->row.state == SESSION_STOPPING)
		return 0;
	s->row.callback_due = false;
	rc = add_stop_notice(m, s, parent, e);
	if (rc == 0)
		rc = session_stop(m, s, -1, e);
	return rc < 0 ? rc : 0;
}

static int
stop_children(struct manager *m, const struct session_row *s, struct err *e)
{
	struct tree_list children = { 0 };
	int rc = store_session_children(m->store, s->id, tree_list_add, &children, e);

	/* The oldest first. */
	for (int i = children.count - 1; i >= 0 && rc == 0; i--)
		rc = stop_child(m, &children.v[i], s, e);
	tree_list_free(&children);
	return rc;
}

int
tree_after(struct manager *m, struct session *s, struct err *e)
{
	bool ended = !session_state_live(s->row.state), answered = s->answered || ended;
	int rc = 0;

	s->answered = false;
	if (!ended && !(s->row.callback_due && answered))
		return 0;
	if (s->row.state != SESSION_STOPPED)
		rc = store_session_awaits(m->store, s->row.id, e);
	/* Its children will wake it. */
	if (rc > 0)
		return 0;
	if (rc == 0 && s->row.callback_due)
		rc = manager_check(m, deliver(m, s, e), e);
	if (rc == 0 && ended)
		rc = manager_check(m, stop_children(m, &s->row, e), e);
	return rc;
}

int
tree_forget(struct manager *m, struct session *s, struct err *e)
{
	if (!s->row.callback_due)
		return 0;
	s->row.callback_due = false;
	return session_save(m, s, e);
}

int
tree_settle(struct manager *m, const char *id, struct err *e)
{
	struct session copy = { 0 }, *s;
	int rc = find_by_id(m, id, &copy, e);

	if (rc == 1) {
		s = tree_session(m, &copy);
		s->answered = s->row.state == SESSION_IDLE;
		rc = tree_after(m, s, e);
	}
	session_free(&copy);
	return rc;
}

int
tree_gone(struct manager *m, struct session *s, struct err *e)
{
	int rc = s->row.callback_due ? deliver(m, s, e) : 0;

	return rc < 0 ? rc : stop_children(m, &s->row, e);
}

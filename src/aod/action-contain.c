/* SPDX-License-Identifier: MIT */
/* Actions on what contains sessions: freezing, figures, limits that change, slices. */
#include "config.h"

#include <errno.h>

#include "aod/request.h"
#include "aod/slice.h"
#include "aod/tree.h"
#include "base/util.h"

/* The live run that is asked for; what is not live, or not aod's, is refused. */
static int
live_run(struct request *q, struct session *s, struct run **r, const char *what, struct err *e)
{
	int rc = request_session(q, s, r, e);

	if (rc < 0)
		return rc;
	if (s->row.passive)
		return err_set_status(e, 409, -EBUSY, "Session '%s' was registered by a client that runs the agent itself: %s it there",
				      s->row.name, what);
	if (!*r || (*r)->exited)
		return err_set_status(e, 409, -EBUSY, "Session '%s' is not running", s->row.name);
	return 0;
}

/* What a budget has frozen waits for a person, not for an agent. */
static int
check_thaw(const struct request *q, const struct run *r, struct err *e)
{
	if (q->role != ROLE_SESSION || !r || r->b.may.action != BUDGET_FREEZE || !budget_used_up(r))
		return 0;
	return err_set_status(e, 403, -EPERM, "Session '%s' is frozen because its budget is used up: a person decides whether it goes on", r->s.row.name);
}

static int
freeze(struct request *q, bool frozen, struct err *e)
{
	struct session s = { 0 };
	struct run *r = NULL;
	int rc = live_run(q, &s, &r, frozen ? "freeze" : "thaw", e);

	if (rc == 0 && !frozen)
		rc = check_thaw(q, r, e);
	if (rc == 0)
		rc = run_freeze(r, frozen, e);
	if (rc == 0)
		request_reply_session(q, &r->s, NULL);
	session_free(&s);
	return rc;
}

/* Whether s changes: what has no process, has ended or is ending does not, and is no failure of a tree. */
static bool
can_change(struct manager *m, const struct session *s, bool frozen)
{
	enum session_action action = session_move(s->row.state, frozen ? SEV_FREEZE : SEV_THAW)->action;
	const struct run *r = manager_find_run(m, s->row.n);

	return r && !r->exited && (action == ACT_FREEZE || action == ACT_THAW);
}

/* All of them or none, the first one first, so that nothing is started meanwhile by one whose turn is yet to come. */
static int
freeze_all(struct manager *m, struct tree_list *l, bool frozen, struct err *e)
{
	bool *changed = xcalloc((size_t)l->count, sizeof(*changed));
	struct err undo = { 0 };
	int i, rc = 0;

	for (i = 0; i < l->count && rc == 0; i++)
		if (frozen && tree_session(m, &l->v[i])->row.state == SESSION_PENDING)
			rc = err_set_status(e, 409, -EBUSY, "Session '%s' is just being started: try again", l->v[i].row.name);
	for (i = l->count - 1; i >= 0 && rc == 0; i--) {
		changed[i] = can_change(m, tree_session(m, &l->v[i]), frozen);
		if (changed[i])
			rc = run_freeze(manager_find_run(m, l->v[i].row.n), frozen, e);
	}
	/* The one that failed is as it was. */
	for (i += 2; rc < 0 && i < l->count; i++)
		if (changed[i])
			run_freeze(manager_find_run(m, l->v[i].row.n), !frozen, &undo);
	free(changed);
	return rc;
}

static int
freeze_tree(struct request *q, bool frozen, struct err *e)
{
	struct session s = { 0 };
	struct run *r = NULL;
	struct tree_list l = { 0 };
	int rc = request_session(q, &s, &r, e);

	if (rc == 0)
		rc = request_family(q, &s, &l, e);
	for (int i = 0; i < l.count && rc == 0 && !frozen; i++)
		rc = check_thaw(q, manager_find_run(q->m, l.v[i].row.n), e);
	if (rc == 0)
		rc = freeze_all(q->m, &l, frozen, e);
	if (rc == 0)
		request_reply_family(q, &s, &l, NULL);
	tree_list_free(&l);
	session_free(&s);
	return rc;
}

int
action_freeze(struct request *q, struct err *e)
{
	return request_tree(q) ? freeze_tree(q, true, e) : freeze(q, true, e);
}

int
action_thaw(struct request *q, struct err *e)
{
	return request_tree(q) ? freeze_tree(q, false, e) : freeze(q, false, e);
}

int
action_usage(struct request *q, struct err *e)
{
	struct session s = { 0 };
	struct run *r = NULL;
	struct buf b = BUF_INIT;
	int rc = live_run(q, &s, &r, "look at", e);

	buf_puts(&b, "{\"session_id\":");
	buf_put_json_str(&b, s.row.id);
	buf_puts(&b, ",\"session_name\":");
	buf_put_json_str(&b, s.row.name);
	buf_puts(&b, ",\"slice\":");
	buf_put_json_str(&b, rc == 0 ? r->in.slice : NULL);
	buf_puts(&b, ",\"usage\":");
	if (rc == 0)
		rc = contain_usage(r, &b, e);
	buf_putc(&b, '}');
	if (rc == 0)
		manager_reply(q->m, q->id, 200, b.data, b.len);
	buf_free(&b);
	session_free(&s);
	return rc;
}

static int
add_property_event(struct run *r, char *const *properties, struct err *e)
{
	struct event *ev = &r->m->event;
	struct buf text = BUF_INIT;
	int rc;

	for (size_t i = 0; properties[i]; i++)
		buf_printf(&text, "%s%s", i ? " " : "", properties[i]);
	event_begin(ev, "notice", now_us());
	event_extra_text(ev, "subtype", "set-property", 12);
	event_extra_text(ev, "text", text.data, text.len);
	buf_free(&text);
	rc = session_add_event(r->m, &r->s, r->n, ev, e);
	return rc;
}

int
action_set_property(struct request *q, struct err *e)
{
	char **properties = request_words(q, "properties");
	struct session s = { 0 };
	struct run *r = NULL;
	int rc = live_run(q, &s, &r, "change", e);

	if (rc == 0)
		rc = contain_set(r, properties, e);
	if (rc == 0)
		rc = add_property_event(r, properties, e);
	if (rc == 0)
		request_reply_session(q, &r->s, ",\"message\":\"In effect until this run ends; the blueprint says what further runs get\"");
	strv_free(properties);
	session_free(&s);
	return rc;
}

int
action_slices(struct request *q, struct err *e)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "{\"slices\":");
	slices_json(q->m->slices, &b);
	buf_putc(&b, '}');
	manager_reply(q->m, q->id, 200, b.data, b.len);
	buf_free(&b);
	return 0;
}

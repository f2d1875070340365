/* SPDX-License-Identifier: MIT */
/* Actions on restarts: start a session again now, and forget that it failed. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "aod/next.h"
#include "aod/request.h"

#define RESET_PAGE 100 /* rows in memory at a time while all are reset */

/* ---- restart --------------------------------------------------------------------------------------------- */

static int
refuse(const struct session *s, const char *why, struct err *e)
{
	return err_set_status(e, 409, -EBUSY, "Session '%s': %s", s->row.name, why);
}

/* Its run is ended for that, which is kept with it; what follows then is next_after()'s. */
static int
restart_live(struct run *r, struct err *e)
{
	if (r->s.row.state == SESSION_STOPPING || r->delete_after)
		return refuse(&r->s, "it is being stopped", e);
	if (r->turn.idle)
		return refuse(&r->s, "it waits for a prompt: there is nothing to start again", e);
	if (r->exited || (r->in.why != OUTCOME_NONE && r->in.why != OUTCOME_CANCELLED))
		return refuse(&r->s, "its run is just ending: try again", e);
	run_end_for(r, OUTCOME_CANCELLED, "it was started again by request");
	return run_save(r, e);
}

/* It waits for its time, which is now. */
static int
restart_parked(struct manager *m, struct session *s, struct err *e)
{
	s->row.due_us = now_us();
	m->due_changed = true;
	return session_save(m, s, e);
}

/* What the latest run had, for one that is to have it once more. */
struct last_run {
	char *prompt;
	struct restart_policy policy;
};

static int
take_last(const struct run_row *row, void *arg)
{
	struct json_object *args = json_tokener_parse(row->args ? row->args : "{}"), *v = NULL;
	struct last_run *last = arg;

	if (json_object_object_get_ex(args, "prompt", &v))
		last->prompt = xstrdup(json_object_get_string(v));
	v = NULL;
	json_object_object_get_ex(args, "restart", &v);
	restart_policy_parse(&last->policy, v);
	json_object_put(args);
	return 0;
}

/* As a resume; a conversation that there is goes on, with a word about why it was cut off. */
static int
restart_ended(struct request *q, struct session *s, struct run **r, struct err *e)
{
	char uuid[ID_SIZE];
	struct prompt p = { .source = "restart", .author = q->author, .uuid = id_new(uuid) };
	struct last_run last = { 0 };
	int rc = store_run_latest(q->m->store, s->row.n, take_last, &last, e);

	p.text = s->row.agent_session_id && last.policy.prompt ? last.policy.prompt : last.prompt;
	if (rc == 0)
		rc = session_go(q->m, s, SEV_RESUME, p.text ? &p : NULL, NULL, r, e);
	free(last.prompt);
	restart_policy_done(&last.policy);
	return rc;
}

int
action_restart(struct request *q, struct err *e)
{
	struct session s = { 0 };
	struct run *r = NULL;
	int rc = request_session(q, &s, &r, e);

	if (rc < 0)
		return rc;
	if (s.row.passive)
		rc = refuse(&s, "it was registered by a client that runs the agent itself: restart it there", e);
	else if (r)
		rc = restart_live(r, e);
	else if (s.row.state == SESSION_RESTARTING)
		rc = restart_parked(q->m, &s, e);
	else if (session_state_live(s.row.state))
		rc = refuse(&s, "it starts as soon as there is room", e);
	else
		rc = restart_ended(q, &s, &r, e);
	if (rc >= 0)
		request_reply_session(q, r ? &r->s : &s, NULL);
	session_free(&s);
	return rc < 0 ? rc : 0;
}

/* ---- reset-failed ---------------------------------------------------------------------------------------- */

static int
reset(struct manager *m, struct session *s, struct err *e)
{
	int rc;

	s->row.restarts = s->row.limit_begin_us = s->row.limit_count = 0;
	rc = session_set_state(m, s, SEV_RESET, e);
	return rc == ACT_IGNORE ? session_save(m, s, e) : rc < 0 ? rc : 0;
}

int
action_reset_failed(struct request *q, struct err *e)
{
	struct session s = { 0 };
	struct run *r = NULL;
	int rc = request_session(q, &s, &r, e);

	if (rc == 0)
		rc = reset(q->m, r ? &r->s : &s, e);
	if (rc == 0)
		request_reply_session(q, r ? &r->s : &s, NULL);
	session_free(&s);
	return rc;
}

struct page {
	struct session rows[RESET_PAGE];
	int count;
};

static int
take_row(const struct session_row *row, void *arg)
{
	struct page *p = arg;

	session_copy(&p->rows[p->count++], row);
	return 0;
}

int
action_reset_failed_all(struct request *q, struct err *e)
{
	int64_t after = 0, total = 0;
	struct buf b = BUF_INIT;
	struct page p;
	int rc;

	do {
		p.count = 0;
		rc = store_session_failed(q->m->store, after, RESET_PAGE, take_row, &p, e);
		for (int i = 0; i < p.count; i++) {
			after = p.rows[i].row.n;
			/* One that failed just now is about to leave memory, with its end committed after this. */
			if (rc == 0 && !manager_find_run(q->m, after)) {
				rc = reset(q->m, &p.rows[i], e);
				total += rc == 0;
			}
			session_free(&p.rows[i]);
		}
	} while (rc == 0 && p.count == RESET_PAGE);
	if (rc < 0)
		return rc;
	buf_printf(&b, "{\"ok\":true,\"reset\":%lld}", (long long)total);
	manager_reply(q->m, q->id, 200, b.data, b.len);
	buf_free(&b);
	return 0;
}

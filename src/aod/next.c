/* SPDX-License-Identifier: MIT */
/* What follows the end of a run, and the next run of a session. See next.h. */
#include "config.h"

#include "aod/next.h"

#include <errno.h>
#include <string.h>

#include "aod/admission.h"
#include "aod/quit.h"
#include "aod/tree.h"
#include "base/log.h"
#include "base/util.h"

#define DUE_BATCH 8	   /* sessions started again in one turn of the loop */
#define SOON_S 0.002	   /* further ones wait for the next turn */
#define NEVER_S 1e9	   /* from now */
#define RETRY_US 5000000   /* what passes by itself was in the way */

/* ---- start ----------------------------------------------------------------------------------------------- */

void
next_begins(struct session_row *s, enum session_event why)
{
	s->outcome = OUTCOME_NONE;
	s->exit_code = -1;
	s->signal = 0;
	s->ended_us = s->due_us = 0;
	session_set_text(&s->error, NULL);
	/* What a person asks for begins a new count of aod's own starts. */
	if (why == SEV_RESUME || why == SEV_PROMPT) {
		s->last_resumed_us = now_us();
		s->restarts = s->limit_begin_us = s->limit_count = 0;
	}
}

/* How long it was in the queue. */
static int
note_admitted(struct run *r, struct err *e)
{
	struct event *ev = &r->m->event;
	int64_t waited_us = r->started_us - r->s.row.queued_us;
	CLEANUP_FREE char *text = xasprintf("it was started after %.1f s in the queue", (double)waited_us / 1e6);

	event_begin(ev, "notice", r->started_us);
	event_extra_text(ev, "subtype", "admitted", 8);
	event_extra_text(ev, "text", text, strlen(text));
	event_extra_int(ev, "waited_ms", waited_us / 1000);
	return session_add_event(r->m, &r->s, r->n, ev, e);
}

static int
go(struct run *r, const struct run_args *args, enum session_event why, struct prompt *p, struct err *e)
{
	struct manager *m = r->m;
	int rc;

	next_begins(&r->s.row, why);
	rc = run_begin(r, args, e);
	if (rc == 0 && why == SEV_ADMIT)
		rc = note_admitted(r, e);
	session_set_text(&r->s.row.started_by, NULL);
	if (rc == 0 && p->text)
		rc = prompt_given(r, p, 0, e);
	if (rc == 0 && !args->again)
		rc = manager_check(m, store_session_set_result(m->store, r->s.row.n, NULL, 0, e), e);
	if (rc == 0)
		rc = session_set_state(m, &r->s, why, e);
	return rc < 0 ? rc : 0;
}

int
session_go(struct manager *m, struct session *s, enum session_event why, struct prompt *p, const char *started_by, struct run **out,
	   struct err *e)
{
	char agent_id[ID_SIZE], uuid[ID_SIZE];
	char **command = run_command_words(s->row.command);
	struct prompt own = { 0 };
	struct run_args args = { .command = command, .started_by = started_by, .admitted = why == SEV_ADMIT };
	int rc = 0;

	if (!p) {
		p = &own;
		rc = prompt_next(m, s->row.n, p, e);
		if (rc == -ENOENT) {
			own.source = "blueprint";
			rc = 0;
		}
	}
	args.prompt = p->text;
	args.prompt_uuid = p->uuid ? p->uuid : id_new(uuid);
	args.again = p->given;
	/* A session whose agent never came to have a conversation begins one now. */
	args.resume = s->row.agent_session_id != NULL;
	args.agent_session_id = args.resume ? s->row.agent_session_id : id_new(agent_id);
	if (rc == 0)
		rc = run_prepare(m, s, s->row.runs + 1, &args, out, e);
	if (rc == 1) {
		rc = admission_queue(*out, why, &args, p, s, e);
		*out = NULL;
	} else if (rc == 0) {
		if (!p->text && (*out)->plan->prompt) {
			p->text = xstrdup((*out)->plan->prompt);
			p->uuid = xstrdup(args.prompt_uuid);
		}
		rc = go(*out, &args, why, p, e);
	}
	prompt_free(&own);
	strv_free(command);
	return rc;
}

/* ---- end ------------------------------------------------------------------------------------------------- */

static bool
by_request(const struct run *r)
{
	return r->s.row.state == SESSION_STOPPING || r->delete_after;
}

/* The turn of what it was given has come to its end: its agent would not work on that again. A command begins anew each time. */
static bool
answered(const struct run *r)
{
	return r->adapter->needs_prompt && r->closed;
}

static enum restart_step
decide(struct run *r, const struct run_result *res, bool unheard)
{
	struct session_row *s = &r->s.row;
	struct restart_count count = { s->restarts, s->limit_begin_us, s->limit_count };
	const struct restart_end end = {
		.outcome = res->outcome,
		.exit_code = res->exit_code,
		.signal = res->signal,
		.started_us = r->started_us,
		.ended_us = now_us(),
		.retry_us = res->retry_us,
		.stopped = by_request(r),
		.idle = r->turn.idle || unheard,
		.queued = s->prompts_queued + unheard,
		.random = random_u64(),
	};
	enum restart_step step;

	/* A person has it started again, which begins a new count. */
	if (r->in.why == OUTCOME_CANCELLED && !end.stopped) {
		s->restarts = s->limit_begin_us = s->limit_count = 0;
		s->due_us = end.ended_us;
		return RESTART_AGAIN;
	}
	step = restart_next(&r->restart, &end, &count, &s->due_us);
	s->restarts = count.restarts;
	s->limit_begin_us = count.limit_begin_us;
	s->limit_count = count.limit_count;
	return step;
}

int
next_instead(struct run *r, enum outcome o, const char *text, struct err *e)
{
	char uuid[ID_SIZE];
	struct prompt p = { .source = "restart", .uuid = id_new(uuid), .text = r->restart.prompt };
	int rc = prompt_ended(r, o, e);

	/* Whoever waits for the answer goes on to wait for it. */
	p.callback = r->s.answered;
	r->s.answered = false;
	if (text && (r->restart.fresh || !p.text))
		p.text = (char *)text;
	if (rc == 0 && p.text)
		rc = prompt_queue(r->m, &r->s, &p, e);
	return rc < 0 ? rc : 0;
}

/* given: what it worked on, or NULL. The next run has the same once more, or is told that it is one. */
static int
go_on(struct run *r, const struct run_result *res, const struct prompt *given, struct err *e)
{
	if (!r->adapter->needs_prompt || (given && !answered(r) && !r->restart.fresh))
		return 0;
	if (r->restart.fresh)
		session_set_text(&r->s.row.agent_session_id, NULL);
	return next_instead(r, res->outcome, given ? given->text : NULL, e);
}

/* The next run begins a conversation, with the same prompt: its agent has not worked on that. */
static int
begin_anew(struct run *r, struct next *next, struct err *e)
{
	static const char text[] = "the agent does not know the conversation any more, as when it ended before it had written it down: a new one is begun";
	struct event *ev = &r->m->event;

	session_set_text(&r->s.row.agent_session_id, NULL);
	r->s.row.due_us = now_us();
	next->step = RESTART_QUEUE;
	next->event = SEV_RESTART;
	event_begin(ev, "notice", now_us());
	event_extra_text(ev, "subtype", "new-conversation", 16);
	event_extra_text(ev, "text", text, sizeof(text) - 1);
	return session_add_event(r->m, &r->s, r->n, ev, e);
}

int
next_after(struct run *r, const struct run_result *res, struct next *next, struct err *e)
{
	struct prompt p;
	int rc = prompt_next(r->m, r->s.row.n, &p, e);
	bool working = rc == 0 && p.given, unheard = working && turn_unheard(r);

	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (res->no_conversation && r->s.row.agent_session_id && !by_request(r)) {
		prompt_free(&p);
		return begin_anew(r, next, e);
	}
	next->step = decide(r, res, unheard);
	/* To be started again and again is a failure, however each of the runs ended. */
	next->event = res->outcome == OUTCOME_SUCCESS && next->step != RESTART_LIMIT ? SEV_EXIT_OK : SEV_EXIT_BAD;
	if (next->step == RESTART_AGAIN || next->step == RESTART_QUEUE)
		next->event = SEV_RESTART;
	if (next->step == RESTART_AGAIN)
		rc = go_on(r, res, working ? &p : NULL, e);
	else if (!unheard || next->step != RESTART_QUEUE)
		rc = prompt_ended(r, res->outcome, e);
	if (rc == 0 && by_request(r))
		rc = prompts_over(r->m, &r->s, true, PROMPT_CANCELLED, e);
	prompt_free(&p);
	return rc;
}

static int
say_restart(struct run *r, struct err *e)
{
	const struct session_row *s = &r->s.row;
	const char *reason = outcome_name(s->outcome);
	struct event *ev = &r->m->event;
	char at[TIME_ISO_SIZE];

	time_iso(s->due_us, at);
	event_begin(ev, "restart", now_us());
	event_put_text(ev, KEY_REASON, reason, strlen(reason));
	event_extra_text(ev, "at", at, strlen(at));
	event_extra_int(ev, "attempt", s->restarts);
	return session_add_event(r->m, &r->s, r->n, ev, e);
}

static int
say_limit(struct run *r, struct err *e)
{
	struct session_row *s = &r->s.row;
	struct event *ev = &r->m->event;
	int rc;
	CLEANUP_FREE char *text =
		xasprintf("started again %lld times within StartLimitIntervalSec=, and it ended with %s%s%s: `aoctl reset-failed %s` forgets that, "
			  "`aoctl resume` goes on",
			  (long long)s->limit_count, outcome_name(s->outcome), s->error ? ": " : "", s->error ? s->error : "", s->name);

	s->outcome = OUTCOME_START_LIMIT_HIT;
	s->due_us = 0;
	session_set_text(&s->error, text);
	event_begin(ev, "notice", now_us());
	event_extra_text(ev, "subtype", outcome_name(s->outcome), strlen(outcome_name(s->outcome)));
	event_extra_text(ev, "text", text, strlen(text));
	rc = session_add_event(r->m, &r->s, r->n, ev, e);
	return rc < 0 ? rc : session_save(r->m, &r->s, e);
}

int
next_say(struct run *r, const struct next *next, struct err *e)
{
	switch (next->step) {
	case RESTART_AGAIN:
		return say_restart(r, e);
	case RESTART_LIMIT:
		return say_limit(r, e);
	default:
		return 0;
	}
}

enum outcome
next_refused(const struct err *why)
{
	return why->code == -EDQUOT && why->status == 409 ? OUTCOME_BUDGET : OUTCOME_RESOURCES;
}

int
next_cancel(struct manager *m, struct session *s, enum session_event why, enum outcome outcome, const char *error, struct err *e)
{
	const char *reason = outcome_name(outcome);
	struct event *ev = &m->event;
	bool stop = outcome == OUTCOME_CANCELLED;
	int rc = prompts_over(m, s, stop, stop ? PROMPT_CANCELLED : PROMPT_FAILED, e);

	s->row.outcome = outcome;
	s->row.exit_code = -1;
	s->row.signal = 0;
	s->row.due_us = 0;
	s->row.ended_us = now_us();
	session_set_text(&s->row.error, error);
	if (rc == 0)
		rc = session_set_state(m, s, why, e);
	if (rc < 0)
		return rc;
	event_begin(ev, "session_stop", s->row.ended_us);
	event_put_text(ev, KEY_REASON, reason, strlen(reason));
	if (error)
		event_put_text(ev, KEY_ERROR, error, strlen(error));
	rc = session_add_event(m, s, s->row.runs, ev, e);
	return rc < 0 ? rc : tree_after(m, s, e);
}

/* ---- the time between ------------------------------------------------------------------------------------ */

struct due {
	struct session sessions[DUE_BATCH];
	int count;
};

static int
take_due(const struct session_row *row, void *arg)
{
	struct due *d = arg;

	session_copy(&d->sessions[d->count++], row);
	return 0;
}

/* What cannot be planned any more ends so. What is in the way of every start at present may pass. */
static void
not_started(struct manager *m, struct session *s, const struct err *why)
{
	struct err e = { 0 };

	log_warn("session %s: it cannot be started again: %s", s->row.name, why->text);
	if (err_http_status(why) == 503 || err_http_status(why) == 507) {
		s->row.due_us = now_us() + RETRY_US;
		m->due_changed = true;
		manager_check(m, session_save(m, s, &e), &e);
	} else {
		manager_check(m, next_cancel(m, s, SEV_EXIT_BAD, next_refused(why), why->text, &e), &e);
	}
}

static void
start_due(struct manager *m)
{
	struct due d = { .count = 0 };
	struct err e = { 0 };
	int rc = store_session_due(m->store, now_us(), DUE_BATCH, take_due, &d, &e);

	manager_check(m, rc, &e);
	for (int i = 0; i < d.count; i++) {
		struct session *s = &d.sessions[i];
		struct run *r;

		memset(&e, 0, sizeof(e));
		if (!m->broken.code && !manager_find_run(m, s->row.n) && session_go(m, s, SEV_DUE, NULL, "restart", &r, &e) < 0 && !m->broken.code)
			not_started(m, s, &e);
		session_free(s);
	}
}

/* libev asks when the next time is: when it was told to, before each call of the watcher, and when the wall clock was set. */
static ev_tstamp
on_reschedule(ev_periodic *w, ev_tstamp now)
{
	const struct manager *m = CONTAINER_OF(w, struct manager, due_w);

	if (m->due_us == INT64_MAX)
		return now + NEVER_S;
	return (double)m->due_us / 1e6 <= now ? now + SOON_S : (double)m->due_us / 1e6;
}

static void
on_due(struct ev_loop *loop, ev_periodic *w, int revents)
{
	struct manager *m = CONTAINER_OF(w, struct manager, due_w);

	if (m->quitting || m->draining)
		ev_periodic_stop(loop, w);
	if (!quit_starts(m) || m->broken.code)
		return;
	start_due(m);
	m->due_changed = true;
}

void
next_committed(struct manager *m)
{
	struct err e = { 0 };

	if (!m->due_changed || !quit_starts(m))
		return;
	m->due_changed = false;
	if (store_session_next_due(m->store, &m->due_us, &e) < 0) {
		log_warn("%s", e.text);
		m->due_us = now_us() + RETRY_US;
	}
	ev_periodic_again(m->loop, &m->due_w);
}

void
next_load(struct manager *m)
{
	m->due_changed = true;
	m->due_us = INT64_MAX;
	ev_periodic_init(&m->due_w, on_due, 0., 0., on_reschedule);
	ev_periodic_start(m->loop, &m->due_w);
}

void
next_forget(struct manager *m)
{
	ev_periodic_stop(m->loop, &m->due_w);
}

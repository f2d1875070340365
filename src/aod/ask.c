/* SPDX-License-Identifier: MIT */
/* Questions of agents, from the line that asks to the answer that is told. See ask.h. */
#include "config.h"

#include "aod/ask.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "aod/run.h"
#include "base/log.h"
#include "base/util.h"

#define NOBODY_TEXT "Nobody answered in time: this agent runs unattended under aod. Go on without this, or decide by yourself where you may."
#define RULE_TEXT "A rule of the blueprint does not allow this (%s). Go on without it."
#define LATE_S 86400.	/* the clock of the timers and that of the times are two: look again after so long */
#define ROWS_MAX 200	/* more than an agent can have open, with those whose answers it may not have heard */
#define ID_SHORT_MIN 4	/* bytes of the beginning of an id that are enough to mean it */

/* ---- the list --------------------------------------------------------------------------------------------- */

static void
drop(struct run *r, int i)
{
	struct question *q = &r->asked.list[i];

	free(q->id);
	free(q->kind);
	free(q->tool_name);
	free(q->json);
	free(q->text);
	free(q->answers);
	r->asked.count--;
	memmove(q, q + 1, (size_t)(r->asked.count - i) * sizeof(*q));
}

static struct question *
add(struct run *r, const struct question *q)
{
	struct asked *a = &r->asked;

	a->list = xrealloc(a->list, (size_t)(a->count + 1) * sizeof(*a->list));
	a->list[a->count] = *q;
	return &a->list[a->count++];
}

bool
ask_waiting(const struct run *r)
{
	for (int i = 0; i < r->asked.count; i++)
		if (!r->asked.list[i].answered)
			return true;
	return false;
}

void
ask_arm(struct run *r)
{
	struct asked *a = &r->asked;
	int64_t at = INT64_MAX;
	double s;

	ev_timer_stop(r->m->loop, &a->due_w);
	for (int i = 0; i < a->count; i++)
		if (!a->list[i].answered && a->list[i].due_us < at)
			at = a->list[i].due_us;
	if (at == INT64_MAX || r->w.frozen_us || r->exited)
		return;
	s = (double)(at - now_us()) / 1e6;
	ev_timer_set(&a->due_w, s < 0 ? 0. : s > LATE_S ? LATE_S : s, 0.);
	ev_timer_start(r->m->loop, &a->due_w);
}

/* The state follows from whether anything is open. */
static int
set_state(struct run *r, struct err *e)
{
	bool waiting = ask_waiting(r);
	int rc = session_set_state(r->m, &r->s, waiting ? SEV_ASK : SEV_ANSWERED, e);

	watch_waiting(r, waiting);
	/* What asked may have been no turn, but a task of one that is idle. */
	if (rc == ACT_NONE && !waiting)
		rc = turn_thawed(r, e);
	return rc < 0 ? rc : 0;
}

/* ---- what is said of it ----------------------------------------------------------------------------------- */

/* The members of what is asked, under the names that events have for them. */
static void
put_about(struct event *ev, const char *json)
{
	struct json_object *o = json_tokener_parse(json);

	if (!json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		return;
	}
	json_object_object_foreach(o, name, v)
	{
		size_t n;
		const char *text = json_object_to_json_string_length(v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);

		if (strcmp(name, "tool_name") == 0)
			event_put_text(ev, KEY_TOOL_NAME, json_object_get_string(v), (size_t)json_object_get_string_len(v));
		else if (strcmp(name, "input") == 0 && json_object_is_type(v, json_type_object))
			event_put_json(ev, KEY_TOOL_INPUT, text, n);
		else
			event_extra_json(ev, name, text, n);
	}
	json_object_put(o);
}

static int
say_question(struct run *r, const struct question *q, const char *tool_use_id, int64_t now, struct err *e)
{
	struct event *ev = &r->m->event;
	char until[TIME_ISO_SIZE];

	event_begin(ev, "question", now);
	put_about(ev, q->json);
	event_extra_text(ev, "question_id", q->id, strlen(q->id));
	event_extra_text(ev, "kind", q->kind, strlen(q->kind));
	event_extra_text(ev, "tool_use_id", tool_use_id, strlen(tool_use_id));
	if (q->due_us != INT64_MAX) {
		time_iso(q->due_us, until);
		event_extra_text(ev, "until", until, strlen(until));
	}
	return session_add_event(r->m, &r->s, r->n, ev, e);
}

/* how: allow, deny or gone. */
static int
say_answer(struct run *r, const char *id, const char *tool_name, const char *how, const struct ask_answer *a, const char *by, struct err *e)
{
	struct event *ev = &r->m->event;

	event_begin(ev, "answer", now_us());
	event_put_text(ev, KEY_TOOL_NAME, tool_name, strlen(tool_name));
	event_extra_text(ev, "question_id", id, strlen(id));
	event_extra_text(ev, "answer", how, strlen(how));
	event_extra_text(ev, "by", by, strlen(by));
	if (a && a->text)
		event_extra_text(ev, "text", a->text, strlen(a->text));
	if (a && a->answers)
		event_extra_json(ev, "answers", a->answers, strlen(a->answers));
	return session_add_event(r->m, &r->s, r->n, ev, e);
}

static int
close_row(struct run *r, const struct question *q, const char *closed, const char *answer, const char *author, struct err *e)
{
	const struct question_row row = { .session = r->s.row.n, .run = r->n, .id = q->id, .closed = closed, .closed_us = now_us(),
					  .answer = answer, .author = author };
	int rc = manager_begin(r->m, e);

	return rc < 0 ? rc : manager_check(r->m, store_question_close(r->m->store, &row, e), e);
}

/* ---- answers ---------------------------------------------------------------------------------------------- */

static char *
answer_json(const struct ask_answer *a)
{
	struct buf b = BUF_INIT;

	buf_printf(&b, "{\"answer\":\"%s\",\"text\":", a->allow ? "allow" : "deny");
	buf_put_json_str(&b, a->text);
	buf_printf(&b, ",\"answers\":%s}", a->answers ? a->answers : "null");
	return buf_steal(&b);
}

int
ask_answer(struct run *r, struct question *q, const struct ask_answer *a, const char *author, struct err *e)
{
	CLEANUP_FREE char *json = answer_json(a);
	int rc;

	q->answered = true;
	q->allow = a->allow;
	q->text = xstrdup(a->text);
	q->answers = xstrdup(a->answers);
	r->asked.telling = r->m->telling = true;
	rc = close_row(r, q, "answer", json, author, e);
	if (rc == 0)
		rc = say_answer(r, q->id, q->tool_name, a->allow ? "allow" : "deny", a, author, e);
	if (rc == 0)
		rc = set_state(r, e);
	ask_arm(r);
	return rc < 0 ? rc : run_save(r, e);
}

/* What AskDefault= says. A choice is nobody's but a person's. */
static struct ask_answer
by_default(const struct run *r, const char *kind)
{
	bool allow = r->asked.policy.allow && strcmp(kind, "choice") != 0;

	return (struct ask_answer){ .allow = allow, .text = allow ? NULL : NOBODY_TEXT };
}

static void
on_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct run *r = CONTAINER_OF(w, struct run, asked.due_w);
	int64_t now = now_us();
	struct err e = { 0 };
	int rc = 0;

	if (!r->m->loaded || r->m->broken.code || r->exited)
		return;
	for (int i = 0; i < r->asked.count && rc == 0; i++) {
		struct question *q = &r->asked.list[i];
		struct ask_answer a = by_default(r, q->kind);

		if (!q->answered && q->due_us <= now)
			rc = ask_answer(r, q, &a, "timeout", &e);
	}
	ask_arm(r);
}

static int
tell(struct run *r, struct err *e)
{
	struct buf reply = BUF_INIT;
	int rc = 0;

	for (int i = r->asked.count - 1; i >= 0 && rc == 0; i--) {
		struct question *q = &r->asked.list[i];
		const struct ask_answer a = { .allow = q->allow, .text = q->text, .answers = q->answers };

		if (!q->answered)
			continue;
		buf_reset(&reply);
		if (r->adapter->answer(r->adapter_state, q->id, &a, &reply) == 0)
			rc = run_input(r, FRAME_INPUT, reply.data, reply.len, e);
		drop(r, i);
	}
	buf_free(&reply);
	return rc < 0 ? rc : run_save(r, e);
}

void
ask_committed(struct manager *m)
{
	if (!m->telling)
		return;
	m->telling = false;
	for (size_t i = 0; i < RUN_BUCKETS; i++)
		for (struct run *r = m->runs[i]; r; r = r->next) {
			struct err e = { 0 };

			if (!r->asked.telling || r->exited)
				continue;
			r->asked.telling = false;
			if (tell(r, &e) == 0 || m->broken.code)
				continue;
			/* A full disk is everybody's matter, and passes: all is read again then, and this told again. */
			if (e.code == -ENOSPC || e.code == -EDQUOT) {
				manager_check(m, e.code, &e);
				return;
			}
			/* Nobody else will tell it: it would wait for ever. */
			log_error("session %s: %s: stopping the agent, which waits for an answer", r->s.row.name, e.text);
			run_stop(r, -1);
		}
}

int
ask_lookup(const struct run *r, const char *id, struct question **out, struct err *e)
{
	size_t n = id ? strlen(id) : 0;
	int open = 0, meant = 0;

	for (int i = 0; i < r->asked.count; i++) {
		struct question *q = &r->asked.list[i];

		if (q->answered)
			continue;
		open++;
		if (id && strcmp(q->id, id) == 0) {
			*out = q;
			return 0;
		}
		if (id && (n < ID_SHORT_MIN || strncmp(q->id, id, n) != 0))
			continue;
		meant++;
		*out = q;
	}
	if (meant == 1)
		return 0;
	if (!open && !id)
		return err_set_status(e, 409, -ENOENT, "Session '%s' asks nothing now", r->s.row.name);
	if (meant > 1)
		return err_set_status(e, 409, -EBUSY, "Session '%s' asks %d things: say which question is meant", r->s.row.name, meant);
	return err_set_status(e, 409, -ENOENT, "Session '%s' does not ask '%.100s'", r->s.row.name, id);
}

/* ---- questions -------------------------------------------------------------------------------------------- */

static enum ask_verdict
judge(const struct run *r, const struct adapter_ask *ask, const char **rule)
{
	struct json_object *o = json_tokener_parse(ask->question.data), *input = NULL;
	enum ask_verdict v;

	json_object_object_get_ex(o, "input", &input);
	v = ask_judge(&r->asked.policy, ask->tool_name, input, rule);
	json_object_put(o);
	/* Which of several it is to be, no rule says. */
	return v == ASK_ALLOW && strcmp(ask->kind, "choice") == 0 ? ASK_PERSON : v;
}

/* Nobody is asked. Decided anew the same way where this turn of the loop is not committed, so the agent may hear of it before. */
static int
answer_now(struct run *r, const struct adapter_ask *ask, const struct ask_answer *a, const char *by, struct err *e)
{
	r->adapter->answer(r->adapter_state, ask->id, a, &r->out.reply);
	return say_answer(r, ask->id, ask->tool_name, a->allow ? "allow" : "deny", a, by, e);
}

static int
ask_person(struct run *r, const struct adapter_ask *ask, int64_t now, struct err *e)
{
	int64_t due;
	struct question_row row = { .session = r->s.row.n, .run = r->n, .id = ask->id, .kind = ask->kind, .json = ask->question.data, .asked_us = now };
	struct question *q;
	int rc;

	if (r->asked.policy.timeout_us == INT64_MAX || __builtin_add_overflow(now, r->asked.policy.timeout_us, &due))
		due = INT64_MAX;
	row.due_us = due;
	q = add(r, &(struct question){ .id = xstrdup(ask->id), .kind = xstrdup(ask->kind), .tool_name = xstrdup(ask->tool_name),
				       .json = xstrdup(ask->question.data), .due_us = due });
	rc = manager_begin(r->m, e);
	if (rc == 0)
		rc = manager_check(r->m, store_question_add(r->m->store, &row, e), e);
	if (rc == 0)
		rc = say_question(r, q, ask->tool_use_id, now, e);
	if (rc == 0)
		rc = set_state(r, e);
	ask_arm(r);
	return rc;
}

static int
take_one(struct run *r, const struct adapter_ask *ask, int64_t now, struct err *e)
{
	struct ask_answer a = { 0 };
	const char *rule;
	CLEANUP_FREE char *by = NULL, *text = NULL;

	a.allow = judge(r, ask, &rule) == ASK_ALLOW;
	if (a.allow || (rule && str_starts(rule, "deny"))) {
		text = a.allow ? NULL : xasprintf(RULE_TEXT, rule);
		by = xasprintf("rule:%s", rule);
		a.text = text;
		return answer_now(r, ask, &a, by, e);
	}
	a = by_default(r, ask->kind);
	if (r->s.row.state == SESSION_STOPPING)
		a.allow = false;
	if (r->asked.policy.timeout_us <= 0 || r->s.row.state == SESSION_STOPPING)
		return answer_now(r, ask, &a, "timeout", e);
	return ask_person(r, ask, now, e);
}

static int
gone(struct run *r, int i, struct err *e)
{
	const struct question *q = &r->asked.list[i];
	int rc = q->answered ? 0 : close_row(r, q, "gone", NULL, NULL, e);

	if (rc == 0 && !q->answered)
		rc = say_answer(r, q->id, q->tool_name, "gone", NULL, "agent", e);
	drop(r, i);
	return rc;
}

int
ask_take(struct run *r, struct err *e)
{
	int64_t now = r->out.event_count ? r->out.events[0].time_us : now_us();
	int rc = 0;

	for (int i = 0; i < r->out.ask_count && rc == 0; i++)
		rc = take_one(r, &r->out.asks[i], now, e);
	for (char **id = r->out.asks_gone; id && *id && rc == 0; id++)
		for (int i = r->asked.count - 1; i >= 0 && rc == 0; i--)
			if (strcmp(r->asked.list[i].id, *id) == 0) {
				rc = gone(r, i, e);
				if (rc == 0)
					rc = set_state(r, e);
				ask_arm(r);
			}
	return rc;
}

int
ask_frozen(struct run *r, bool frozen, struct err *e)
{
	int64_t now = now_us(), still = r->w.frozen_us && now > r->w.frozen_us ? now - r->w.frozen_us : 0;
	int rc = 0;

	if (frozen) {
		ev_timer_stop(r->m->loop, &r->asked.due_w);
		return 0;
	}
	for (int i = 0; i < r->asked.count && rc == 0; i++) {
		struct question *q = &r->asked.list[i];

		if (q->answered || q->due_us == INT64_MAX)
			continue;
		q->due_us += still;
		rc = manager_begin(r->m, e);
		if (rc == 0)
			rc = manager_check(r->m, store_question_due(r->m->store, r->s.row.n, r->n, q->id, q->due_us, e), e);
	}
	return rc == 0 && ask_waiting(r) ? session_set_state(r->m, &r->s, SEV_ASK, e) : rc;
}

int
ask_end(struct run *r, struct err *e)
{
	int rc = 0;

	ev_timer_stop(r->m->loop, &r->asked.due_w);
	for (int i = r->asked.count - 1; i >= 0 && rc == 0; i--)
		rc = gone(r, i, e);
	return rc;
}

/* ---- birth, death, and what is kept ------------------------------------------------------------------------ */

void
ask_init(struct run *r)
{
	ev_init(&r->asked.due_w, on_due);
}

void
ask_done(struct run *r)
{
	ev_timer_stop(r->m->loop, &r->asked.due_w);
	while (r->asked.count > 0)
		drop(r, r->asked.count - 1);
	free(r->asked.list);
	ask_policy_done(&r->asked.policy);
}

void
ask_args(struct buf *out, const struct run *r)
{
	buf_puts(out, ",\"ask\":");
	ask_policy_json(out, &r->asked.policy);
}

static char *
text_of(struct json_object *o, const char *name)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, name, &v) && json_object_is_type(v, json_type_string) ? xstrdup(json_object_get_string(v)) : NULL;
}

/* Open, or answered: then its agent may not have heard of it, which tell() finds out. */
static int
take_row(const struct question_row *row, void *arg)
{
	struct run *r = arg;
	struct json_object *about, *answer, *answers = NULL;
	struct question q = { .due_us = row->due_us };
	CLEANUP_FREE char *how = NULL;

	about = json_tokener_parse(row->json);
	answer = json_tokener_parse(row->answer ? row->answer : "{}");
	how = text_of(answer, "answer");
	q.id = xstrdup(row->id);
	q.kind = xstrdup(row->kind);
	q.tool_name = text_of(about, "tool_name");
	if (!q.tool_name)
		q.tool_name = xstrdup("");
	q.json = xstrdup(row->json);
	q.answered = row->closed != NULL;
	q.allow = how && strcmp(how, "allow") == 0;
	q.text = text_of(answer, "text");
	if (json_object_object_get_ex(answer, "answers", &answers) && answers)
		q.answers = xstrdup(json_object_to_json_string_ext(answers, JSON_C_TO_STRING_PLAIN));
	r->asked.telling |= q.answered;
	add(r, &q);
	json_object_put(about);
	json_object_put(answer);
	return 0;
}

int
ask_restore(struct run *r, struct json_object *args, struct err *e)
{
	struct json_object *o = NULL;
	int rc;

	json_object_object_get_ex(args, "ask", &o);
	ask_policy_parse(&r->asked.policy, o);
	if (!r->adapter->answer)
		return 0;
	rc = store_question_run(r->m->store, r->s.row.n, r->n, ROWS_MAX, take_row, r, e);
	r->m->telling |= r->asked.telling;
	ask_arm(r);
	return rc < 0 ? rc : 0;
}

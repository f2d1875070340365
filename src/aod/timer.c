/* SPDX-License-Identifier: MIT */
/* Starting sessions of blueprints when their timers are due. See timer.h. */
#include "config.h"

#include "aod/timer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "aod/blueprints.h"
#include "aod/quit.h"
#include "aod/request.h"
#include "base/log.h"
#include "base/util.h"
#include "model/timer.h"

#define SOON_S 0.002	  /* further ones that are due wait for the next turn of the loop */
#define TURN_STARTS 8	  /* sessions started in one turn */
#define RETRY_US 5000000  /* after the database could not be written or was read again */
#define NEVER_S 1e9	  /* from now */

struct timer {
	struct timer *next;
	struct timer_rule *rule;
	struct timer_row row; /* texts are owned; name, rule, boot, session, error */
	bool dirty;	      /* row is not stored as it is */
	bool seen;
};

struct timers {
	struct manager *m;
	struct timer *list;
	ev_periodic watch;
	int64_t changes;   /* of blueprints, as of the last look */
	int64_t hold_us;   /* nothing is done before */
	bool waits;	   /* rows are to be stored as soon as that can be */
};

/* ---- one timer ------------------------------------------------------------------------------------------- */

static void
set_text(const char **field, const char *value)
{
	char *copy = xstrdup(value);

	free((char *)*field);
	*field = copy;
}

static void
timer_free(struct timer *t)
{
	timer_rule_free(t->rule);
	free((char *)t->row.name);
	free((char *)t->row.rule);
	free((char *)t->row.boot);
	free((char *)t->row.session);
	free((char *)t->row.error);
	free(t);
}

static int
take_row(const struct timer_row *row, void *arg)
{
	struct timer *t = arg;
	const struct timer_row was = t->row;

	t->row = *row;
	t->row.name = was.name;
	t->row.rule = xstrdup(row->rule);
	t->row.boot = xstrdup(row->boot);
	t->row.session = xstrdup(row->session);
	t->row.error = xstrdup(row->error);
	return 1;
}

/* When the host was booted, as the wall clock counts now. */
static int64_t
boot_us(int64_t now)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return now - (int64_t)ts.tv_sec * 1000000 - ts.tv_nsec / 1000;
}

/* Decide about the next time; a time that is the same keeps its delay. One that was missed is now. */
static void
plan_next(const struct timers *ts, struct timer *t, int64_t now)
{
	struct timer_past past = {
		.since_us = t->row.since_us,
		.turn_us = t->row.turn_us,
		.boot_us = boot_us(now),
		.boot_done = t->row.boot && !strcmp(t->row.boot, ts->m->boot_id),
	};
	int64_t due = timer_due(t->rule, &past), delay;

	if (due == t->row.due_us && t->row.next_us > now)
		return;
	delay = timer_delay(t->rule, random_u64());
	t->row.due_us = due < now ? now : due;
	t->row.next_us = t->row.due_us > TIMER_NEVER - delay ? TIMER_NEVER : t->row.due_us + delay;
	t->dirty = true;
}

/* The time that it was due for is dealt with. */
static void
take_turn(const struct timers *ts, struct timer *t, int64_t now)
{
	t->row.since_us = t->row.turn_us = now;
	if (timer_boot_passed(t->rule, boot_us(now), now))
		set_text(&t->row.boot, ts->m->boot_id);
	t->dirty = true;
	plan_next(ts, t, now);
}

/* A timer that is there for the first time, or that is another one now, or that was away. */
static int
open_timer(struct timers *ts, struct timer *t, const char *rule, struct err *e)
{
	int64_t now = now_us();
	bool known = t->row.rule != NULL;
	int rc = known ? 1 : store_timer_get(ts->m->store, t->row.name, take_row, t, e);

	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (rc == -ENOENT) {
		t->row.since_us = now;
		t->row.next_us = t->row.due_us = TIMER_NEVER;
	} else if (strcmp(t->row.rule, rule)) {
		/* Times of the old rule are nobody's any more, and OnBootSec= is not begun again by an editor. */
		t->row.since_us = now;
		t->row.due_us = 0;
		if (timer_boot_passed(t->rule, boot_us(now), now))
			set_text(&t->row.boot, ts->m->boot_id);
	} else if (t->row.since_us > now || (t->row.next_us <= now && !timer_rule_persistent(t->rule))) {
		t->row.since_us = now;
	}
	t->dirty = t->dirty || !t->row.rule || strcmp(t->row.rule, rule);
	set_text(&t->row.rule, rule);
	plan_next(ts, t, now);
	return 0;
}

/* ---- all of them ----------------------------------------------------------------------------------------- */

static int64_t
nearest(const struct timers *ts)
{
	int64_t next = TIMER_NEVER;

	for (const struct timer *t = ts->list; t; t = t->next)
		if (t->row.next_us < next)
			next = t->row.next_us;
	if (ts->waits)
		next = 0;
	return next < ts->hold_us ? ts->hold_us : next;
}

/*
 * libev asks when the next time is: after it was told to, before each call of the watcher, and when the wall clock was set. Where it was set
 * back, what was counted from a time that is still to come is counted anew.
 */
static ev_tstamp
on_reschedule(ev_periodic *w, ev_tstamp now)
{
	struct timers *ts = CONTAINER_OF(w, struct timers, watch);
	int64_t wall = now_us(), next;

	if (ts->hold_us > wall + RETRY_US)
		ts->hold_us = wall + RETRY_US;
	for (struct timer *t = ts->list; t; t = t->next)
		if (t->row.since_us > wall) {
			t->row.since_us = wall;
			if (t->row.turn_us > wall)
				t->row.turn_us = wall;
			plan_next(ts, t, wall);
		}
	next = nearest(ts);
	if (next == TIMER_NEVER)
		return now + NEVER_S;
	return (double)next / 1e6 <= now ? now + SOON_S : (double)next / 1e6;
}

static void
wake(struct timers *ts)
{
	ev_periodic_again(ts->m->loop, &ts->watch);
}

/* In a transaction of its own: a disk that is full must not take the sessions with it. */
static void
save(struct timers *ts)
{
	struct store *store = ts->m->store;
	struct err e = { 0 };
	int rc;

	ts->waits = store_in_transaction(store);
	if (ts->waits)
		return;
	rc = store_begin(store, &e);
	if (rc == 0)
		rc = store_timer_prune(store, &e);
	for (struct timer *t = ts->list; t && rc >= 0; t = t->next)
		if (t->dirty)
			rc = store_timer_put(store, &t->row, &e);
	if (rc >= 0)
		rc = store_commit(store, &e);
	if (rc < 0) {
		log_warn("timers: %s", e.text);
		store_rollback(store);
		ts->waits = true;
		ts->hold_us = now_us() + RETRY_US;
		return;
	}
	for (struct timer *t = ts->list; t; t = t->next)
		t->dirty = false;
}

static struct timer *
get(struct timers *ts, const char *name)
{
	struct timer **p = &ts->list;

	while (*p && strcmp((*p)->row.name, name))
		p = &(*p)->next;
	if (!*p) {
		*p = xcalloc(1, sizeof(**p));
		(*p)->row.name = xstrdup(name);
	}
	return *p;
}

static int
add_name(const char *name, void *arg)
{
	*(char ***)arg = strv_add(*(char ***)arg, name);
	return 0;
}

/* Read the blueprint's rule. A blueprint that cannot be used, or has no timer any more, is as if it were not there. */
static int
look_at(struct timers *ts, const char *name, struct err *e)
{
	struct blueprint *b = NULL;
	struct timer_rule *rule;
	struct buf text = BUF_INIT;
	struct timer *t;
	int rc = 0;

	if (blueprint_load(ts->m, name, &b, e) < 0)
		return 0;
	rule = timer_rule_new(b);
	blueprint_free(b);
	if (!rule)
		return 0;
	t = get(ts, name);
	t->seen = true;
	timer_rule_format(&text, rule);
	timer_rule_free(t->rule);
	t->rule = rule;
	if (!t->row.rule || strcmp(t->row.rule, text.data))
		rc = open_timer(ts, t, text.data, e);
	buf_free(&text);
	return rc;
}

static void
drop_unseen(struct timers *ts)
{
	for (struct timer **p = &ts->list, *t; (t = *p);) {
		if (t->seen) {
			p = &t->next;
			continue;
		}
		*p = t->next;
		timer_free(t);
	}
}

static int
look(struct timers *ts, struct err *e)
{
	char **names = NULL;
	int rc = store_timer_blueprints(ts->m->store, add_name, &names, e);

	for (struct timer *t = ts->list; t; t = t->next)
		t->seen = false;
	for (size_t i = 0; rc == 0 && names && names[i]; i++)
		rc = look_at(ts, names[i], e);
	strv_free(names);
	return rc;
}

void
timers_refresh(struct manager *m)
{
	struct timers *ts = m->timers;
	struct err e = { 0 };
	int64_t changes;

	if (!ts || !m->loaded)
		return;
	changes = store_blueprint_changes(m->store);
	if (changes == ts->changes && changes >= 0)
		return;
	if (look(ts, &e) < 0) {
		/* What was not read has not gone. */
		log_warn("timers: %s", e.text);
		ts->changes = -1;
		return;
	}
	ts->changes = changes;
	drop_unseen(ts);
	save(ts);
	wake(ts);
}

/* ---- what is due ----------------------------------------------------------------------------------------- */

static void
start(struct timers *ts, struct timer *t, int64_t now)
{
	char prompt_uuid[ID_SIZE], agent_id[ID_SIZE];
	struct request q = { .m = ts->m, .role = ROLE_OPERATOR };
	struct run_args args = { .prompt_uuid = id_new(prompt_uuid), .agent_session_id = id_new(agent_id), .started_by = "timer" };
	struct session s = { 0 };
	struct err e = { 0 };
	struct run *r = NULL;
	int rc;

	s.row.exit_code = -1;
	s.row.created_us = now;
	session_set_text(&s.row.agent_name, t->row.name);
	rc = request_start(&q, &s, &args, &r, &e);
	t->row.last_us = now;
	t->row.skipped = 0;
	set_text(&t->row.session, rc < 0 ? NULL : s.row.id);
	set_text(&t->row.error, rc < 0 ? e.text : NULL);
	if (rc < 0)
		log_warn("timer of blueprint %s: %s", t->row.name, e.text);
	session_free(&s);
}

/* Its session is live. Said once for each session. */
static void
skip(struct timers *ts, struct timer *t, struct session *s, const struct run *r, int64_t now)
{
	static const char text[] = "its blueprint's timer is due again: no second session is started while this one is live";
	struct event *ev = &ts->m->event;
	struct err e = { 0 };

	if (t->row.skipped++)
		return;
	log_note("timer of blueprint %s: session %s is still live: skipped", t->row.name, s->row.name);
	event_begin(ev, "notice", now);
	event_extra_text(ev, "subtype", "timer-skipped", 13);
	event_extra_text(ev, "text", text, sizeof(text) - 1);
	session_add_event(ts->m, s, r ? r->n : s->row.runs, ev, &e);
}

static void
fire(struct timers *ts, struct timer *t, int64_t now)
{
	struct manager *m = ts->m;
	struct session s = { 0 };
	struct run *r = NULL;
	struct err e = { 0 };
	int rc = t->row.session ? session_find(m, t->row.session, &s, &r, &e) : -ENOENT;

	if (rc == 0 && session_state_live(s.row.state))
		skip(ts, t, r ? &r->s : &s, r, now);
	else
		start(ts, t, now);
	session_free(&s);
	take_turn(ts, t, now);
	rc = manager_begin(m, &e);
	if (rc == 0 && manager_check(m, store_timer_put(m->store, &t->row, &e), &e) == 0)
		t->dirty = false;
}

static void
on_due(struct ev_loop *loop, ev_periodic *w, int revents)
{
	struct timers *ts = CONTAINER_OF(w, struct timers, watch);
	struct manager *m = ts->m;
	int64_t now = now_us();
	int started = 0;

	if (quit_starts(m) && now >= ts->hold_us) {
		if (ts->waits)
			save(ts);
		for (struct timer *t = ts->list; t && !ts->waits && !m->broken.code && started < TURN_STARTS; t = t->next)
			if (t->row.next_us <= now) {
				fire(ts, t, now);
				started++;
			}
	}
	if (m->quitting || m->draining)
		ev_periodic_stop(loop, w);
	else
		wake(ts);
}

/* ---- what is shown --------------------------------------------------------------------------------------- */

static int
by_next(const void *a, const void *b)
{
	const struct timer *x = *(struct timer *const *)a, *y = *(struct timer *const *)b;

	if (x->row.next_us != y->row.next_us)
		return x->row.next_us < y->row.next_us ? -1 : 1;
	return strcmp(x->row.name, y->row.name);
}

static void
put_time(struct buf *out, const char *key, int64_t us)
{
	char iso[TIME_ISO_SIZE];

	buf_printf(out, ",\"%s\":", key);
	if (us <= 0 || us == TIMER_NEVER)
		buf_puts(out, "null");
	else
		buf_put_json_str(out, time_iso(us, iso));
}

static void
put_timer(struct manager *m, struct buf *out, const struct timer *t)
{
	struct session s = { 0 };
	struct run *r;
	bool there = t->row.session && session_find(m, t->row.session, &s, &r, NULL) == 0;

	buf_puts(out, "{\"blueprint\":");
	buf_put_json_str(out, t->row.name);
	put_time(out, "next", t->row.next_us);
	put_time(out, "last", t->row.last_us);
	buf_puts(out, ",\"session_id\":");
	buf_put_json_str(out, there ? s.row.id : NULL);
	buf_puts(out, ",\"session_name\":");
	buf_put_json_str(out, there ? s.row.name : NULL);
	buf_puts(out, ",\"error\":");
	buf_put_json_str(out, t->row.error);
	buf_printf(out, ",\"skipped\":%lld,\"rule\":", (long long)t->row.skipped);
	buf_put_json_str(out, t->row.rule);
	buf_putc(out, '}');
	session_free(&s);
}

int
action_timers(struct request *q, struct err *e)
{
	struct timers *ts = q->m->timers;
	struct timer **sorted;
	struct buf b = BUF_INIT;
	size_t n = 0;

	/* Who has just changed a blueprint by a request wants to see it. */
	timers_refresh(q->m);
	for (const struct timer *t = ts->list; t; t = t->next)
		n++;
	sorted = xcalloc(n + 1, sizeof(*sorted));
	n = 0;
	for (struct timer *t = ts->list; t; t = t->next)
		sorted[n++] = t;
	qsort(sorted, n, sizeof(*sorted), by_next);
	buf_puts(&b, "{\"timers\":[");
	for (size_t i = 0; i < n; i++) {
		buf_puts(&b, i ? "," : "");
		put_timer(q->m, &b, sorted[i]);
	}
	buf_puts(&b, "]}");
	manager_reply(q->m, q->id, 200, b.data, b.len);
	buf_free(&b);
	free(sorted);
	return 0;
}

/* ---- begin and end --------------------------------------------------------------------------------------- */

void
timers_load(struct manager *m)
{
	struct timers *ts = m->timers;

	if (!ts) {
		ts = m->timers = xcalloc(1, sizeof(*ts));
		ts->m = m;
		ev_periodic_init(&ts->watch, on_due, 0., 0., on_reschedule);
		/* The first in a turn of the loop, so that rows can be stored in a transaction of their own. */
		ev_set_priority(&ts->watch, EV_MAXPRI);
	}
	ts->changes = -1;
	ev_periodic_start(m->loop, &ts->watch);
	timers_refresh(m);
}

void
timers_forget(struct manager *m)
{
	struct timers *ts = m->timers;

	if (!ts)
		return;
	ev_periodic_stop(m->loop, &ts->watch);
	for (struct timer *t = ts->list, *next; t; t = next) {
		next = t->next;
		timer_free(t);
	}
	ts->list = NULL;
	ts->waits = false;
	ts->hold_us = now_us() + RETRY_US;
}

void
timers_close(struct manager *m)
{
	timers_forget(m);
	free(m->timers);
	m->timers = NULL;
}

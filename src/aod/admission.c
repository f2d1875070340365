/* SPDX-License-Identifier: MIT */
/* Who may be started, and who waits. See admission.h; what is shown of it is admission-show.c's. */
#include "config.h"

#include "aod/admission-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "aod/blueprints.h"
#include "aod/next.h"
#include "aod/quit.h"
#include "base/log.h"
#include "base/util.h"

#define TURN_STARTS 8	 /* sessions started in one turn of the loop */
#define SOON_S 0.002	 /* further ones have the next turn */
#define LOOK_S 1.	 /* what nobody tells of (files of slices, load) is looked at so often while somebody waits */
#define LOOK_US 1000000	 /* a limit in a file counts for so long without looking at it again */
#define CAREFUL_US 10000000 /* after the load was too high: one start for each look at it, whose effect is seen late */

/* ---- groups ---------------------------------------------------------------------------------------------- */

static size_t
group_hash(const char *name)
{
	return crc32c(0, name, strlen(name)) % GROUP_BUCKETS;
}

static struct start_group *
group_get(struct admission *a, const char *name, bool slice)
{
	struct start_group **p = &a->groups[group_hash(name)];

	while (*p && ((*p)->slice != slice || strcmp((*p)->name, name)))
		p = &(*p)->next;
	if (!*p) {
		*p = xcalloc(1, sizeof(**p));
		(*p)->name = xstrdup(name);
		(*p)->slice = slice;
	}
	(*p)->refs++;
	return *p;
}

static void
group_put(struct admission *a, struct start_group *g)
{
	struct start_group **p = &a->groups[group_hash(g->name)];

	if (--g->refs > 0)
		return;
	while (*p != g)
		p = &(*p)->next;
	*p = g->next;
	free(g->name);
	free(g);
}

/* The groups of a blueprint and a slice (with its suffix; or NULL) and of those around it. */
static void
groups_get(struct admission *a, const char *blueprint, const char *slice, struct counted *c)
{
	size_t n = slice ? strlen(slice) - strlen(SLICE_SUFFIX) : 0;

	c->n = 0;
	c->v[c->n++] = group_get(a, blueprint, false);
	for (size_t i = 1; i <= n && c->n <= SLICE_DEPTH_MAX; i++)
		if (i == n || slice[i] == '-') {
			CLEANUP_FREE char *part = xasprintf("%.*s" SLICE_SUFFIX, (int)i, slice);

			c->v[c->n++] = group_get(a, part, true);
		}
}

static void
groups_put(struct admission *a, struct counted *c)
{
	while (c->n > 0)
		group_put(a, c->v[--c->n]);
}

/* What its file says now, as of a second ago at most. */
static void
group_look(struct manager *m, struct start_group *g, int64_t now)
{
	struct blueprint *b = NULL;

	if (g->looked_us && now - g->looked_us < LOOK_US)
		return;
	g->looked_us = now;
	if (g->slice)
		g->max = slice_max_sessions(m->slices, g->name);
	else if (blueprint_load(m, g->name, &b, NULL) == 0)
		g->max = blueprint_int(b, D_MaxSessions);
	blueprint_free(b);
}

/* A group that is full, the narrowest slice first, or NULL. */
static struct start_group *
full_group(struct manager *m, const struct counted *c)
{
	int64_t now = mono_us();

	for (int i = c->n - 1; i >= 0; i--) {
		struct start_group *g = c->v[i];

		/* A blueprint's limit is told by each plan of it, too; it is looked for only where it matters. */
		if (g->slice || g->max)
			group_look(m, g, now);
		if (g->max && g->count >= g->max)
			return g;
	}
	return NULL;
}

void
admission_count(struct run *r)
{
	struct admission *a = r->m->admission;

	groups_get(a, r->blueprint ? r->blueprint : "", r->in.slice, &r->counted);
	for (int i = 0; i < r->counted.n; i++)
		r->counted.v[i]->count++;
}

void
admission_uncount(struct run *r)
{
	struct admission *a = r->m->admission;

	for (int i = 0; i < r->counted.n; i++)
		r->counted.v[i]->count--;
	groups_put(a, &r->counted);
	admission_wake(r->m);
}

/* ---- the queue ------------------------------------------------------------------------------------------- */

struct waiting *
admission_find(struct admission *a, int64_t session)
{
	struct waiting *w = a->buckets[(uint64_t)session % WAITING_BUCKETS];

	while (w && w->n != session)
		w = w->next;
	return w;
}

/* slice may be NULL. Only what has no other name than its own is known to be of no slice: see kind->unknown. */
static struct waiting_kind *
kind_get(struct admission *a, const char *blueprint, const char *slice, bool unknown)
{
	struct waiting_kind **p = &a->kinds;

	while (*p && (strcmp((*p)->groups.v[0]->name, blueprint) || strcmp((*p)->slice, slice ? slice : "") || (*p)->unknown != unknown))
		p = &(*p)->next;
	if (!*p) {
		*p = xcalloc(1, sizeof(**p));
		(*p)->slice = xstrdup(slice ? slice : "");
		(*p)->unknown = unknown;
		groups_get(a, blueprint, slice, &(*p)->groups);
	}
	return *p;
}

static void
kind_drop_if_empty(struct admission *a, struct waiting_kind *k)
{
	struct waiting_kind **p = &a->kinds;

	if (k->line.count)
		return;
	while (*p != k)
		p = &(*p)->next;
	*p = k->next;
	groups_put(a, &k->groups);
	line_free(&k->line);
	free(k->slice);
	free(k);
}

static struct waiting *
add(struct admission *a, const struct session_row *row, struct waiting_kind *kind)
{
	struct waiting *w = xcalloc(1, sizeof(*w)), **bucket = &a->buckets[(uint64_t)row->n % WAITING_BUCKETS];

	w->n = row->n;
	w->priority = row->priority;
	w->queued_us = row->queued_us;
	w->id = xstrdup(row->id);
	w->name = xstrdup(row->name);
	w->kind = kind;
	w->next = *bucket;
	*bucket = w;
	line_add(&a->all, w);
	line_add(&kind->line, w);
	return w;
}

static void
waiting_free(struct waiting *w)
{
	free(w->id);
	free(w->name);
	free(w);
}

void
admission_gone(struct manager *m, int64_t session)
{
	struct admission *a = m->admission;
	struct waiting **p = &a->buckets[(uint64_t)session % WAITING_BUCKETS], *w;

	while (*p && (*p)->n != session)
		p = &(*p)->next;
	w = *p;
	if (!w)
		return;
	*p = w->next;
	line_remove(&a->all, w);
	line_remove(&w->kind->line, w);
	kind_drop_if_empty(a, w->kind);
	waiting_free(w);
}

static void
move(struct admission *a, struct waiting *w, struct waiting_kind *to)
{
	struct waiting_kind *from = w->kind;

	if (from == to)
		return;
	line_remove(&from->line, w);
	line_add(&to->line, w);
	w->kind = to;
	kind_drop_if_empty(a, from);
}

/* ---- whether there is room ------------------------------------------------------------------------------- */

static enum wait_for
load_wait(struct manager *m)
{
	struct admission *a = m->admission;
	const struct config *c = m->cfg;
	enum wait_for why = WAIT_NOTHING;

	load_read(&a->load, mono_us());
	if (c->admit_memory > 0 && c->admit_memory < 100 && a->load.memory > c->admit_memory)
		why = WAIT_MEMORY;
	else if (c->admit_pressure > 0 && c->admit_pressure < 100 && a->load.pressure > c->admit_pressure)
		why = WAIT_PRESSURE;
	if (why != WAIT_NOTHING) {
		a->over_us = a->load.read_us;
		a->over = why;
	} else if (a->over_us && a->load.read_us - a->over_us < CAREFUL_US && a->started_read_us == a->load.read_us) {
		why = a->over;
	}
	return why;
}

static enum wait_for
room_wait(struct manager *m)
{
	if (m->draining)
		return WAIT_DRAIN;
	if (m->cfg->max_sessions > 0 && m->run_count >= m->cfg->max_sessions)
		return WAIT_MAX_SESSIONS;
	return load_wait(m);
}

enum wait_for
admission_why(struct manager *m, const struct counted *c, struct start_group **group)
{
	enum wait_for why;

	*group = full_group(m, c);
	if (*group)
		return (*group)->slice ? WAIT_SLICE : WAIT_BLUEPRINT;
	why = room_wait(m);
	return why == WAIT_NOTHING ? WAIT_ORDER : why;
}

/* Of those that have room in their blueprint and slices, whose turn it is. */
static struct waiting *
first_with_room(struct manager *m)
{
	struct waiting *best = NULL;

	for (struct waiting_kind *k = m->admission->kinds; k; k = k->next) {
		struct waiting *w = line_first(&k->line);

		if ((!best || waiting_before(w, best)) && !full_group(m, &k->groups))
			best = w;
	}
	return best;
}

static int64_t
priority_of(const struct run *r, const struct run_args *args)
{
	if (args->priority)
		return *args->priority;
	return r->n == 1 && !args->admitted ? r->plan->queue_priority : r->s.row.priority;
}

int
admission_check(struct run *r, const struct run_args *args)
{
	struct manager *m = r->m;
	struct admission *a = m->admission;
	CLEANUP_FREE char *slice = r->plan->sandbox && r->plan->sandbox->slice ? slice_full_name(r->plan->sandbox->slice) : NULL;
	struct waiting self = { .n = INT64_MAX, .queued_us = INT64_MAX }, *first;
	struct counted c;
	bool waits;

	r->s.row.priority = self.priority = priority_of(r, args);
	groups_get(a, r->blueprint, slice, &c);
	c.v[0]->max = r->plan->max_sessions;
	c.v[0]->looked_us = mono_us();
	waits = full_group(m, &c) != NULL;
	/* Who is admitted has the room that was seen for it. */
	if (!waits && !args->admitted) {
		waits = room_wait(m) != WAIT_NOTHING;
		first = !waits && a->all.count ? first_with_room(m) : NULL;
		waits = waits || (first && waiting_before(first, &self));
	}
	groups_put(a, &c);
	if (!waits)
		a->started_read_us = a->load.read_us;
	return waits;
}

/* ---- into the queue -------------------------------------------------------------------------------------- */

static int
note_queued(struct run *r, const struct run_args *args, const struct waiting *w, struct err *e)
{
	struct event *ev = &r->m->event;
	struct admission *a = r->m->admission;
	struct buf text = BUF_INIT, why = BUF_INIT;
	int64_t position = (int64_t)line_rank(&a->all, w) + 1;
	int rc;

	admission_put_reason(r->m, w, &why);
	buf_printf(&text, "it waits at position %lld of the queue: %s", (long long)position, why.data);
	event_begin(ev, "notice", w->queued_us);
	event_extra_text(ev, "subtype", "queued", 6);
	event_extra_text(ev, "text", text.data, text.len);
	event_extra_int(ev, "position", position);
	event_put_text(ev, KEY_REASON, why.data, why.len);
	if (args->started_by)
		event_extra_text(ev, "started_by", args->started_by, strlen(args->started_by));
	rc = session_add_event(r->m, &r->s, r->s.row.runs, ev, e);
	buf_free(&text);
	buf_free(&why);
	return rc;
}

static int
store_queued(struct run *r, enum session_event why, const char *started_by, struct err *e)
{
	struct session_row *s = &r->s.row;
	int rc;

	s->queued_us = now_us();
	session_set_text(&s->started_by, started_by);
	if (why == SESSION_EVENT_COUNT) {
		s->state = SESSION_QUEUED;
		rc = manager_begin(r->m, e);
		if (rc == 0)
			rc = store_session_add(r->m->store, s, e);
		/* The id may have been taken in this very transaction. */
		return rc == -EEXIST ? rc : manager_check(r->m, rc, e);
	}
	next_begins(s, why);
	rc = session_set_state(r->m, &r->s, SEV_QUEUE, e);
	return rc < 0 ? rc : 0;
}

static int
queue(struct run *r, enum session_event why, const struct run_args *args, struct prompt *p, struct waiting_kind *kind, struct err *e)
{
	struct manager *m = r->m;
	struct admission *a = m->admission;
	bool asked = why == SESSION_EVENT_COUNT || why == SEV_RESUME; /* by somebody who hears the answer */
	struct waiting *w;
	int rc;

	if (m->draining && asked)
		return err_set_status(e, 503, -EAGAIN, "aod is about to end, as soon as what runs has ended, and starts nothing more: ask again when it is back");
	if (asked && (int64_t)a->all.count >= m->cfg->max_queue)
		return err_set_status(e, 503, -EAGAIN, "there is no room for a further session, and %zu wait already, which is all that may (--max-queue): "
						       "try again later", a->all.count);
	r->s.row.runs--;
	rc = store_queued(r, why, args->started_by, e);
	if (rc < 0)
		return rc;
	w = add(a, &r->s.row, kind);
	if (p && p->text && !p->id)
		rc = prompt_queue(r->m, &r->s, p, e);
	if (rc >= 0)
		rc = note_queued(r, args, w, e);
	if (rc >= 0)
		rc = session_save(r->m, &r->s, e);
	admission_wake(r->m);
	return rc < 0 ? rc : 1;
}

int
admission_queue(struct run *r, enum session_event why, const struct run_args *args, struct prompt *p, struct session *s, struct err *e)
{
	struct admission *a = r->m->admission;
	CLEANUP_FREE char *slice = r->plan->sandbox && r->plan->sandbox->slice ? slice_full_name(r->plan->sandbox->slice) : NULL;
	struct waiting_kind *kind = kind_get(a, r->blueprint, slice, false);
	struct waiting *w = admission_find(a, r->s.row.n);
	int rc = 1;

	if (why == SEV_ADMIT && w)
		move(a, w, kind);
	else
		rc = queue(r, why, args, p, kind, e);
	if (rc == 1) {
		session_free(s);
		session_copy(s, &r->s.row);
	}
	kind_drop_if_empty(a, kind);
	run_free(r);
	return rc;
}

void
admission_restore(struct manager *m, const struct session_row *row)
{
	struct admission *a = m->admission;
	const char *agent = row->agent_name ? row->agent_name : "";

	/* Its slice may depend on the session, and is found out when its turn comes. */
	add(a, row, kind_get(a, agent, NULL, true));
}

/* ---- out of it ------------------------------------------------------------------------------------------- */

/* 1: it is dealt with, in one way or another; 0: not now. */
static int
admit(struct manager *m, const struct waiting *w)
{
	int64_t n = w->n;
	struct session s = { 0 };
	struct run *r = NULL;
	struct err e = { 0 }, why;
	int rc = session_find(m, w->id, &s, &r, &e);

	if (rc == 0 && s.row.state == SESSION_QUEUED) {
		rc = session_go(m, &s, SEV_ADMIT, NULL, s.row.started_by, &r, &e);
	} else if (rc >= 0 || rc == -ENOENT) {
		admission_gone(m, n);
		rc = 1;
	}
	/* Descriptors, or a disk without room: that passes. */
	if (rc < 0 && !m->broken.code && err_http_status(&e) != 503 && err_http_status(&e) != 507) {
		log_warn("session %s: it waited, and cannot be started: %s", s.row.name, e.text);
		why = e;
		rc = prompts_over(m, &s, true, PROMPT_FAILED, &e);
		if (rc >= 0)
			rc = next_cancel(m, &s, SEV_EXIT_BAD, next_refused(&why), why.text, &e);
	}
	session_free(&s);
	return rc >= 0;
}

static void
arm(struct admission *a, double s)
{
	ev_timer_stop(a->m->loop, &a->wake_w);
	ev_timer_set(&a->wake_w, s, 0.);
	ev_timer_start(a->m->loop, &a->wake_w);
}

static void
on_wake(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct admission *a = CONTAINER_OF(w, struct admission, wake_w);
	struct manager *m = a->m;
	struct waiting *first = NULL;
	bool held = false, careful;
	int i;

	a->awake = false;
	for (i = 0; i < TURN_STARTS && a->all.count && quit_starts(m) && !m->broken.code && !held; i++) {
		held = room_wait(m) != WAIT_NOTHING;
		first = held ? NULL : first_with_room(m);
		held = !first || !admit(m, first);
	}
	careful = a->over_us && mono_us() - a->over_us < CAREFUL_US;
	if (a->all.count && quit_starts(m) && !a->awake)
		arm(a, !held ? SOON_S : careful ? LOAD_EVERY_US / 1e6 : LOOK_S);
}

void
admission_wake(struct manager *m)
{
	struct admission *a = m->admission;

	if (!a->all.count || a->awake || !quit_starts(m))
		return;
	a->awake = true;
	arm(a, 0.);
}

/* ---- begin and end --------------------------------------------------------------------------------------- */

void
admission_open(struct manager *m)
{
	struct admission *a = xcalloc(1, sizeof(*a));

	a->m = m;
	m->admission = a;
	load_open(&a->load, "/proc");
	ev_timer_init(&a->wake_w, on_wake, 0., 0.);
}

void
admission_loaded(struct manager *m)
{
	if (m->admission->all.count)
		log_note("%zu sessions wait in the queue", m->admission->all.count);
	admission_wake(m);
}

void
admission_forget(struct manager *m)
{
	struct admission *a = m->admission;

	ev_timer_stop(m->loop, &a->wake_w);
	a->awake = false;
	while (a->all.count)
		admission_gone(m, a->all.v[a->all.count - 1]->n);
}

void
admission_close(struct manager *m)
{
	struct admission *a = m->admission;

	if (!a)
		return;
	admission_forget(m);
	line_free(&a->all);
	load_close(&a->load);
	free(a);
	m->admission = NULL;
}

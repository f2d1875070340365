/* SPDX-License-Identifier: MIT */
/* The limits of a run's times, one row each, and the steps of a stop. See watch.h. */
#include "config.h"

#include "aod/watch.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "aod/cgroup.h"
#include "aod/run.h"
#include "base/log.h"
#include "base/util.h"

#define LOOKS 4		    /* at the control group, in the time of a watchdog */
#define BUSY_CPU 20	    /* one part in so many of a processor: an agent that waits takes less */
#define BUSY_IO (16 << 10)  /* bytes a second */
#define STEP_US 500000	    /* between the steps of a stop, */
#define STEP_PART 4	    /* but no more than such a part of its time */
#define SOON_S 0.01
#define LATE_S 86400. /* the clock of the timers and that of the times are two: look again after so long */

/* ---- limits ----------------------------------------------------------------------------------------------- */

/* A command is at work until it ends; an agent until its answer is there. */
static bool
at_work(const struct run *r)
{
	return r->turn.open;
}

static int64_t
since_start(const struct run *r)
{
	return r->w.first_us ? 0 : r->w.base_us;
}

/* One that waits for its next prompt may do so for ever. */
static int64_t
since_base(const struct run *r)
{
	return r->turn.idle ? 0 : r->w.base_us;
}

static int64_t
since_quiet(const struct run *r)
{
	return at_work(r) && !r->w.waiting_us ? r->w.quiet_us : 0;
}

static int64_t
since_tool(const struct run *r)
{
	return at_work(r) && !r->w.waiting_us && r->adapter->tool_since ? r->adapter->tool_since(r->adapter_state) : 0;
}

static const struct limit {
	size_t may; /* in struct run_limits */
	int64_t (*since)(const struct run *r); /* 0: does not apply now */
	enum outcome outcome;
	const char *text;
} limits[] = {
	{ offsetof(struct run_limits, start_us), since_start, OUTCOME_TIMEOUT, "nothing was heard of it within TimeoutStartSec=" },
	{ offsetof(struct run_limits, runtime_us), since_base, OUTCOME_TIMEOUT, "it ran for longer than RuntimeMaxSec=" },
	{ offsetof(struct run_limits, tool_us), since_tool, OUTCOME_STALLED, "a tool did not come back within ToolTimeoutSec=" },
	{ offsetof(struct run_limits, watchdog_us), since_quiet, OUTCOME_WATCHDOG,
	  "nothing was heard of it, nor seen to happen, within WatchdogSec=" },
};

/* When the limit is reached; INT64_MAX: not at all. */
static int64_t
due(const struct run *r, const struct limit *l)
{
	int64_t may = *(const int64_t *)((const char *)&r->w.may + l->may), since = may == INT64_MAX ? 0 : l->since(r), at;

	return since == 0 || __builtin_add_overflow(since, may, &at) ? INT64_MAX : at;
}

static bool
watchdog_on(const struct run *r)
{
	return r->w.may.watchdog_us != INT64_MAX && since_quiet(r) != 0;
}

static void
set_timer(struct run *r, ev_timer *w, double s)
{
	ev_timer_stop(r->m->loop, w);
	ev_timer_set(w, s < 0 ? 0. : s > LATE_S ? LATE_S : s, 0.);
	ev_timer_start(r->m->loop, w);
}

void
watch_arm(struct run *r)
{
	int64_t at = INT64_MAX;

	ev_timer_stop(r->m->loop, &r->w.limit_w);
	if (r->exited || r->w.frozen_us || r->in.why != OUTCOME_NONE || r->s.row.state == SESSION_STOPPING)
		return;
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		if (due(r, &limits[i]) < at)
			at = due(r, &limits[i]);
	if (watchdog_on(r) && r->in.group && r->w.look_us + r->w.may.watchdog_us / LOOKS < at)
		at = r->w.look_us + r->w.may.watchdog_us / LOOKS;
	if (at != INT64_MAX)
		set_timer(r, &r->w.limit_w, (double)(at - now_us()) / 1e6);
}

/* What its processes did since the last look: a long build says nothing for a while, and is no hang. */
static void
look_at_work(struct run *r, int64_t now)
{
	struct watched *w = &r->w;
	int64_t passed = now - w->look_us, io;
	struct cgroup_usage u;

	if (!r->in.group || passed < w->may.watchdog_us / LOOKS / 2 ||
	    cgroup_read_usage(r->m->cgroups, r->in.slice, r->s.row.id, &u, NULL) < 0)
		return;
	io = (u.io_read_bytes > 0 ? u.io_read_bytes : 0) + (u.io_write_bytes > 0 ? u.io_write_bytes : 0);
	if (w->look_us && (u.cpu_us - w->cpu_us > passed / BUSY_CPU || io - w->io_bytes > passed / 1000000 * BUSY_IO + BUSY_IO))
		w->quiet_us = now;
	w->look_us = now;
	w->cpu_us = u.cpu_us;
	w->io_bytes = io;
}

static void
on_limit(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct run *r = CONTAINER_OF(t, struct run, w.limit_w);
	struct err e = { 0 };
	int64_t now = now_us();

	if (!r->m->loaded || r->m->broken.code || r->exited)
		return;
	/* What it said before, and was not read yet, counts. */
	if (r->is_dirty) {
		set_timer(r, t, SOON_S);
		return;
	}
	if (watchdog_on(r))
		look_at_work(r, now);
	for (size_t i = 0; i < ARRAY_LEN(limits) && r->in.why == OUTCOME_NONE; i++)
		if (due(r, &limits[i]) <= now)
			run_end_for(r, limits[i].outcome, limits[i].text);
	if (r->in.why != OUTCOME_NONE)
		manager_check(r->m, run_save(r, &e), &e);
	watch_arm(r);
}

void
watch_started(struct run *r, int64_t time_us)
{
	r->w.base_us = r->w.quiet_us = r->w.look_us = time_us;
	watch_arm(r);
}

void
watch_heard(struct run *r, int stream, int64_t time_us)
{
	if (stream == ADAPTER_STDOUT && !r->w.first_us)
		r->w.first_us = time_us;
	if (time_us > r->w.quiet_us)
		r->w.quiet_us = time_us;
}

void
watch_frozen(struct run *r, bool frozen)
{
	struct watched *w = &r->w;
	int64_t now = now_us(), still = w->frozen_us && now > w->frozen_us ? now - w->frozen_us : 0;

	w->frozen_us = frozen ? now : 0;
	if (!frozen) {
		w->base_us += w->base_us ? still : 0;
		w->quiet_us += w->quiet_us ? still : 0;
		w->look_us += w->look_us ? still : 0;
		w->waiting_us += w->waiting_us ? still : 0;
		if (r->adapter->shift)
			r->adapter->shift(r->adapter_state, still);
	}
	watch_arm(r);
}

void
watch_waiting(struct run *r, bool waiting)
{
	struct watched *w = &r->w;
	int64_t now = now_us();

	if (waiting == (w->waiting_us != 0))
		return;
	if (!waiting) {
		if (r->adapter->shift && now > w->waiting_us)
			r->adapter->shift(r->adapter_state, now - w->waiting_us);
		w->quiet_us = w->look_us = now;
	}
	w->waiting_us = waiting ? now : 0;
	watch_arm(r);
}

/* ---- the end ---------------------------------------------------------------------------------------------- */

static void
tell_stop(struct run *r, int64_t us)
{
	int64_t ms = us / 1000 > INT32_MAX ? INT32_MAX : us / 1000;
	uint8_t arg[4] = { (uint8_t)ms, (uint8_t)(ms >> 8), (uint8_t)(ms >> 16), (uint8_t)(ms >> 24) };
	struct err e = { 0 };

	r->w.stop_told = true;
	ev_timer_stop(r->m->loop, &r->w.stop_w);
	if (run_input(r, FRAME_STOP, arg, sizeof(arg), &e) < 0) {
		log_warn("session %s: %s: signalling the shim instead", r->s.row.name, e.text);
		run_signal_shim(r, SIGTERM);
	}
}

/* The turn was to end by itself; then SIGINT, then SIGTERM and what follows it. */
static void
on_step(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct run *r = CONTAINER_OF(t, struct run, w.stop_w);
	uint8_t arg[4] = { SIGINT };
	struct err e = { 0 };
	int64_t left = r->w.kill_at_us - mono_us();

	if (r->exited)
		return;
	if (r->w.interrupted && run_input(r, FRAME_SIGNAL, arg, sizeof(arg), &e) == 0) {
		r->w.interrupted = false;
		set_timer(r, t, (double)r->w.step_us / 1e6);
		return;
	}
	tell_stop(r, left > 0 ? left : 0);
}

/* An agent that is in the middle of a turn can end it in good order. */
static bool
interrupt(struct run *r, int64_t us)
{
	const char *words = r->adapter->interrupt;
	struct err e = { 0 };

	if (!words || us <= 0 || r->closed || !r->turn.open || !r->w.first_us || r->w.stop_told || r->w.kill_at_us)
		return false;
	if (run_input(r, FRAME_INPUT, words, strlen(words), &e) < 0)
		return false;
	r->w.interrupted = true;
	r->w.step_us = us / STEP_PART < STEP_US ? us / STEP_PART : STEP_US;
	r->w.kill_at_us = us == INT64_MAX ? INT64_MAX : mono_us() + us;
	set_timer(r, &r->w.stop_w, (double)r->w.step_us / 1e6);
	return true;
}

void
run_stop(struct run *r, int64_t timeout_us)
{
	int64_t us = timeout_us >= 0 ? timeout_us : r->timeout_stop_us;
	struct err e = { 0 };

	r->w.stop_us = timeout_us;
	ev_timer_stop(r->m->loop, &r->w.limit_w);
	if (!interrupt(r, us))
		tell_stop(r, us);
	/* What is frozen does not even end. */
	if (r->in.frozen && contain_freeze(r, false, &e) < 0)
		log_warn("session %s: %s", r->s.row.name, e.text);
}

void
run_end_for(struct run *r, enum outcome why, const char *text)
{
	if (r->in.why != OUTCOME_NONE || r->s.row.state == SESSION_STOPPING)
		return;
	r->in.why = why;
	r->in.why_text = xstrdup(text);
	log_note("session %s: %s: stopping it", r->s.row.name, text);
	run_stop(r, -1);
}

/* ---- what is kept ----------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	size_t offset; /* in struct run */
} kept_args[] = {
	{ "timeout_start_us", offsetof(struct run, w.may.start_us) },
	{ "runtime_max_us", offsetof(struct run, w.may.runtime_us) },
	{ "watchdog_us", offsetof(struct run, w.may.watchdog_us) },
	{ "tool_timeout_us", offsetof(struct run, w.may.tool_us) },
}, kept_times[] = {
	{ "base_us", offsetof(struct run, w.base_us) },
	{ "first_us", offsetof(struct run, w.first_us) },
	{ "quiet_us", offsetof(struct run, w.quiet_us) },
	{ "frozen_us", offsetof(struct run, w.frozen_us) },
	{ "heard_us", offsetof(struct run, turn.heard_us) },
	{ "interrupt_seq", offsetof(struct run, turn.interrupt_seq) },
	{ "waiting_us", offsetof(struct run, w.waiting_us) },
	{ "stop_us", offsetof(struct run, w.stop_us) },
	{ "oom_kills", offsetof(struct run, in.oom_kills) },
	{ "task_hits", offsetof(struct run, in.task_hits) },
};

void
watch_init(struct run *r)
{
	r->w.may = (struct run_limits){ INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX };
	r->w.stop_us = -1;
	ev_init(&r->w.limit_w, on_limit);
	ev_init(&r->w.stop_w, on_step);
}

void
watch_done(struct run *r)
{
	ev_timer_stop(r->m->loop, &r->w.limit_w);
	ev_timer_stop(r->m->loop, &r->w.stop_w);
}

void
watch_args(struct buf *out, const struct run *r)
{
	for (size_t i = 0; i < ARRAY_LEN(kept_args); i++)
		buf_printf(out, ",\"%s\":%" PRId64, kept_args[i].name, *(const int64_t *)((const char *)r + kept_args[i].offset));
}

void
watch_save(struct buf *out, const struct run *r)
{
	buf_puts(out, "{\"why\":");
	buf_put_json_str(out, outcome_name(r->in.why));
	buf_puts(out, ",\"why_text\":");
	buf_put_json_str(out, r->in.why_text);
	for (size_t i = 0; i < ARRAY_LEN(kept_times); i++)
		buf_printf(out, ",\"%s\":%" PRId64, kept_times[i].name, *(const int64_t *)((const char *)r + kept_times[i].offset));
	budget_save(out, r);
	buf_putc(out, '}');
}

static void
take_number(struct run *r, struct json_object *o, const char *name, size_t offset)
{
	struct json_object *v = NULL;

	if (json_object_object_get_ex(o, name, &v))
		*(int64_t *)((char *)r + offset) = json_object_get_int64(v);
}

void
watch_restore(struct run *r, struct json_object *args, const char *saved)
{
	struct json_object *o = json_tokener_parse(saved ? saved : "{}"), *why = NULL, *text = NULL;
	int outcome;

	for (size_t i = 0; i < ARRAY_LEN(kept_args); i++)
		take_number(r, args, kept_args[i].name, kept_args[i].offset);
	for (size_t i = 0; i < ARRAY_LEN(kept_times); i++)
		take_number(r, o, kept_times[i].name, kept_times[i].offset);
	if (!json_object_object_get_ex(o, "oom_kills", NULL))
		contain_recall(r);
	budget_restore(r, args, o);
	if (json_object_object_get_ex(o, "why", &why) && why && (outcome = outcome_parse(json_object_get_string(why))) > 0 &&
	    json_object_object_get_ex(o, "why_text", &text)) {
		r->in.why = (enum outcome)outcome;
		r->in.why_text = xstrdup(json_object_get_string(text));
	}
	json_object_put(o);
	/* Nobody looked at its processes meanwhile: the watchdog begins anew. */
	if (r->w.quiet_us && r->in.group && !r->w.frozen_us)
		r->w.quiet_us = r->w.look_us = now_us();
}

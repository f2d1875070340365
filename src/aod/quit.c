/* SPDX-License-Identifier: MIT */
/* A clean end. See quit.h. */
#include "config.h"

#include "aod/quit.h"

#include "aod/run.h"
#include "aod/service.h"
#include "base/log.h"
#include "base/util.h"

#define EXTRA_S 2.0	   /* over the longest TimeoutStopSec= */
#define EXTRA_US 5000000   /* until aod itself is gone, as the service manager is told */
#define LONGEST_US (INT64_C(86400) * 1000000)

bool
quit_starts(const struct manager *m)
{
	return m->loaded && !m->draining && !m->quitting;
}

static void
stop_one(struct manager *m, struct run *r, int64_t timeout_us, int64_t *longest_us)
{
	struct err e = { 0 };
	int64_t us = timeout_us >= 0 ? timeout_us : r->timeout_stop_us;

	if (session_set_state(m, &r->s, SEV_STOP, &e) < 0)
		log_error("%s", e.text);
	run_stop(r, us);
	if (run_save(r, &e) < 0)
		log_error("%s", e.text);
	if (us > *longest_us)
		*longest_us = us;
}

static void
arm(struct manager *m, double s)
{
	ev_timer_stop(m->loop, &m->quit_w);
	ev_timer_set(&m->quit_w, s, 0.);
	ev_timer_start(m->loop, &m->quit_w);
}

static void
end_runs(struct manager *m)
{
	int64_t timeout_us = m->quitting ? 0 : -1, longest_us = 0;

	if (m->cfg->leave || m->run_count == 0 || !m->loaded) {
		service_stopping(m, EXTRA_US);
		ev_break(m->loop, EVBREAK_ALL);
		return;
	}
	log_note("stopping %d sessions%s", m->run_count, m->quitting ? " at once" : "");
	m->quitting = true;
	for (size_t i = 0; i < RUN_BUCKETS; i++)
		for (struct run *r = m->runs[i]; r; r = r->next)
			if (!r->exited)
				stop_one(m, r, timeout_us, &longest_us);
	service_stopping(m, longest_us > LONGEST_US ? LONGEST_US : longest_us + EXTRA_US * 2);
	arm(m, (double)longest_us / 1e6 + EXTRA_S);
}

/* Runs that come to an end by themselves: what stands still does not. */
static int
awaited(const struct manager *m)
{
	int n = 0;

	for (size_t i = 0; i < RUN_BUCKETS; i++)
		for (const struct run *r = m->runs[i]; r; r = r->next)
			n += r->s.row.state != SESSION_FROZEN;
	return n;
}

static void
on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct manager *m = CONTAINER_OF(w, struct manager, quit_w);

	if (m->quitting) {
		log_warn("leaving although sessions have not ended");
		ev_break(loop, EVBREAK_ALL);
	} else {
		log_note("--drain-timeout is over: %d sessions are %s", m->run_count, m->cfg->leave ? "left" : "stopped");
		end_runs(m);
	}
}

void
quit_begin(struct manager *m)
{
	if (!m->cfg->drain || m->draining || m->quitting || !m->loaded) {
		end_runs(m);
		return;
	}
	m->draining = true;
	log_note("draining: %d sessions may come to their ends, nothing more is started", m->run_count);
	service_draining(m, m->cfg->drain_us > LONGEST_US ? LONGEST_US : m->cfg->drain_us + EXTRA_US);
	for (size_t i = 0; i < RUN_BUCKETS; i++)
		for (struct run *r = m->runs[i]; r; r = r->next)
			turn_drain(r);
	if (m->cfg->drain_us < INT64_MAX)
		arm(m, (double)m->cfg->drain_us / 1e6);
	quit_look(m);
}

void
quit_look(struct manager *m)
{
	if (m->quitting && m->run_count == 0)
		ev_break(m->loop, EVBREAK_ALL);
	else if (!m->quitting && m->draining && awaited(m) == 0)
		end_runs(m);
}

void
quit_init(struct manager *m)
{
	ev_timer_init(&m->quit_w, on_timeout, 0., 0.);
}

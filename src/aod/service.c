/* SPDX-License-Identifier: MIT */
/* What aod tells the service manager. See service.h. */
#include "config.h"

#include "aod/service.h"

#include "aod/registry.h"
#include "aod/slice.h"
#include "aod/timer.h"
#include "base/log.h"
#include "base/systemd.h"
#include "base/util.h"

#define STATUS_S 1. /* between two texts for `systemctl status` */

struct service {
	struct manager *m;
	ev_timer watchdog_w, status_w;
	ev_prepare prepare_w;
	int told; /* live sessions, in the text; -1: not ready yet */
};

static void
tell_status(struct service *s, const char *before)
{
	s->told = s->m->run_count;
	systemd_notify("%sSTATUS=%s%d live session%s", before, s->m->draining ? "draining, " : "", s->told, s->told == 1 ? "" : "s");
}

static void
on_watchdog(struct ev_loop *loop, ev_timer *w, int revents)
{
	systemd_notify("WATCHDOG=1");
}

static void
on_status(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct service *s = CONTAINER_OF(w, struct service, status_w);

	if (s->told >= 0 && s->told != s->m->run_count)
		tell_status(s, "");
}

/* Before the loop waits: the count of sessions may be another one. Said a little later, with what else comes until then. */
static void
on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct service *s = CONTAINER_OF(w, struct service, prepare_w);

	if (s->told < 0 || s->told == s->m->run_count || ev_is_active(&s->status_w))
		return;
	ev_timer_set(&s->status_w, STATUS_S, 0.);
	ev_timer_start(loop, &s->status_w);
}

void
service_open(struct manager *m)
{
	struct service *s = xcalloc(1, sizeof(*s));
	/* Half of it, as sd_watchdog_enabled(3) says. */
	double half_s = (double)systemd_watchdog_us() / 2e6;

	m->service = s;
	s->m = m;
	s->told = -1;
	ev_timer_init(&s->watchdog_w, on_watchdog, half_s, half_s);
	if (half_s > 0)
		ev_timer_start(m->loop, &s->watchdog_w);
	ev_timer_init(&s->status_w, on_status, 0., 0.);
	ev_prepare_init(&s->prepare_w, on_prepare);
	ev_prepare_start(m->loop, &s->prepare_w);
}

void
service_close(struct manager *m)
{
	struct service *s = m->service;

	if (!s)
		return;
	ev_timer_stop(m->loop, &s->watchdog_w);
	ev_timer_stop(m->loop, &s->status_w);
	ev_prepare_stop(m->loop, &s->prepare_w);
	free(s);
	m->service = NULL;
}

void
service_ready(struct manager *m)
{
	tell_status(m->service, "READY=1\n");
}

void
service_reload(struct manager *m)
{
	log_note("SIGHUP: reading blueprints again");
	systemd_notify("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)mono_us());
	/* While the state is being read again they are, too. */
	if (m->loaded) {
		registry_scan(m);
		slices_refresh(m->slices);
		timers_refresh(m);
	}
	if (m->service->told >= 0)
		tell_status(m->service, "READY=1\n");
}

void
service_draining(struct manager *m, int64_t us)
{
	CLEANUP_FREE char *before = xasprintf("STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld\n", (long long)us);

	tell_status(m->service, before);
}

void
service_stopping(struct manager *m, int64_t us)
{
	m->service->told = -1;
	/* An agent's TimeoutStopSec= may be longer than the service's. */
	systemd_notify("STOPPING=1\nSTATUS=ending, %d live session%s\nEXTEND_TIMEOUT_USEC=%lld", m->run_count, m->run_count == 1 ? "" : "s",
		       (long long)us);
}

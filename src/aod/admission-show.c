/* SPDX-License-Identifier: MIT */
/* What is shown of the queue: places, reasons, limits. */
#include "config.h"

#include <math.h>
#include <stdio.h>

#include "aod/admission-internal.h"
#include "base/util.h"

void
admission_put_reason(struct manager *m, const struct waiting *w, struct buf *out)
{
	const struct load *l = &m->admission->load;
	struct start_group *g;

	switch (admission_why(m, &w->kind->groups, &g)) {
	case WAIT_BLUEPRINT:
		buf_printf(out, "MaxSessions=%lld of blueprint %s", (long long)g->max, g->name);
		break;
	case WAIT_SLICE:
		buf_printf(out, "MaxSessions=%lld of slice %s", (long long)g->max, g->name);
		break;
	case WAIT_MAX_SESSIONS:
		buf_printf(out, "max-sessions: %d are live, which is all that may be", m->run_count);
		break;
	case WAIT_MEMORY:
		buf_printf(out, "memory: %.0f%% of the host's is used, nothing is started above %d%%", l->memory, m->cfg->admit_memory);
		break;
	case WAIT_PRESSURE:
		buf_printf(out, "pressure: for %.0f%% of the last ten seconds something waited for memory, nothing is started above %d%%", l->pressure,
			   m->cfg->admit_pressure);
		break;
	case WAIT_DRAIN:
		buf_puts(out, "aod is about to end: the next one starts it");
		break;
	default:
		buf_puts(out, "its turn is about to come");
	}
}

void
admission_put_place(struct manager *m, int64_t session, struct buf *out)
{
	struct admission *a = m->admission;
	const struct waiting *w = admission_find(a, session);
	struct buf why = BUF_INIT;

	if (!w)
		return;
	admission_put_reason(m, w, &why);
	buf_printf(out, ",\"queue_position\":%zu,\"queue_reason\":", line_rank(&a->all, w) + 1);
	buf_put_json(out, why.data, why.len);
	buf_free(&why);
}

static void
put_waiting(struct manager *m, const struct waiting *w, size_t position, struct buf *out)
{
	char iso[TIME_ISO_SIZE];
	struct buf why = BUF_INIT;

	admission_put_reason(m, w, &why);
	buf_printf(out, "{\"position\":%zu,\"session_id\":", position);
	buf_put_json_str(out, w->id);
	buf_puts(out, ",\"session_name\":");
	buf_put_json_str(out, w->name);
	buf_puts(out, ",\"blueprint\":");
	buf_put_json_str(out, w->kind->groups.v[0]->name);
	buf_puts(out, ",\"slice\":");
	buf_put_json_str(out, *w->kind->slice ? w->kind->slice : NULL);
	buf_printf(out, ",\"priority\":%lld,\"queued_at\":\"%s\",\"reason\":", (long long)w->priority, time_iso(w->queued_us, iso));
	buf_put_json(out, why.data, why.len);
	buf_putc(out, '}');
	buf_free(&why);
}

/* {"name","used","limit"}; null: not known, or no limit. */
static void
put_limit(struct buf *out, const char *before, const char *name, double used, int64_t limit)
{
	buf_printf(out, "%s{\"name\":", before);
	buf_put_json_str(out, name);
	if (used < 0)
		buf_puts(out, ",\"used\":null");
	else
		buf_printf(out, ",\"used\":%.0f", used);
	if (limit > 0)
		buf_printf(out, ",\"limit\":%lld}", (long long)limit);
	else
		buf_puts(out, ",\"limit\":null}");
}

static int
percent(int limit)
{
	return limit < 100 ? limit : 0;
}

static void
put_limits(struct manager *m, struct buf *out)
{
	struct admission *a = m->admission;

	load_read(&a->load, mono_us());
	put_limit(out, "", "max-sessions", m->run_count, m->cfg->max_sessions);
	put_limit(out, ",", "max-queue", (double)a->all.count, m->cfg->max_queue);
	put_limit(out, ",", "memory %", a->load.memory, percent(m->cfg->admit_memory));
	put_limit(out, ",", "pressure %", a->load.pressure, percent(m->cfg->admit_pressure));
	for (size_t i = 0; i < GROUP_BUCKETS; i++)
		for (const struct start_group *g = a->groups[i]; g; g = g->next) {
			CLEANUP_FREE char *name = xasprintf("%s %s", g->slice ? "slice" : "blueprint", g->name);

			if (g->max > 0)
				put_limit(out, ",", name, (double)g->count, g->max);
		}
}

void
admission_json(struct manager *m, int64_t limit, struct buf *out)
{
	struct admission *a = m->admission;

	buf_puts(out, "{\"queue\":[");
	for (size_t i = 0; i < a->all.count && (int64_t)i < limit; i++) {
		if (i)
			buf_putc(out, ',');
		put_waiting(m, a->all.v[i], i + 1, out);
	}
	buf_printf(out, "],\"waiting\":%zu,\"limits\":[", a->all.count);
	put_limits(m, out);
	buf_puts(out, "]}");
}

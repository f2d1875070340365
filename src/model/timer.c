/* SPDX-License-Identifier: MIT */
/* When a blueprint's timer is due. See timer.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/timer.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "model/calendar.h"

#define ACTIVE_MIN_US 1000000 /* OnUnitActiveSec=0 is not meant to be a loop */

struct timer_rule {
	struct calendar **calendars; /* [count] */
	int count;
	int64_t boot_us, active_us; /* -1: unset */
	int64_t random_us;
	bool persistent;
};

struct timer_rule *
timer_rule_new(const struct blueprint *b)
{
	char *const *words = blueprint_words(b, D_OnCalendar);
	struct timer_rule *r = xcalloc(1, sizeof(*r));

	r->calendars = xcalloc(strv_len(words) + 1, sizeof(struct calendar *));
	for (; words && *words; words++)
		if (calendar_parse(*words, &r->calendars[r->count], NULL) == 0)
			r->count++;
	r->boot_us = blueprint_us(b, D_OnBootSec);
	r->active_us = blueprint_us(b, D_OnUnitActiveSec);
	if (r->active_us >= 0 && r->active_us < ACTIVE_MIN_US)
		r->active_us = ACTIVE_MIN_US;
	r->random_us = blueprint_us(b, D_RandomizedDelaySec);
	r->persistent = blueprint_tri(b, D_Persistent) == TRI_YES;
	if (r->count == 0 && r->boot_us < 0 && r->active_us < 0) {
		timer_rule_free(r);
		return NULL;
	}
	return r;
}

void
timer_rule_free(struct timer_rule *r)
{
	if (!r)
		return;
	for (int i = 0; i < r->count; i++)
		calendar_free(r->calendars[i]);
	free(r->calendars);
	free(r);
}

static void
put_span(struct buf *out, const char *key, int64_t us)
{
	if (us == INT64_MAX)
		buf_printf(out, "%s%s=infinity", out->len ? " " : "", key);
	else if (us % 1000000)
		buf_printf(out, "%s%s=%lldus", out->len ? " " : "", key, (long long)us);
	else
		buf_printf(out, "%s%s=%llds", out->len ? " " : "", key, (long long)(us / 1000000));
}

void
timer_rule_format(struct buf *out, const struct timer_rule *r)
{
	for (int i = 0; i < r->count; i++) {
		buf_printf(out, "%sOnCalendar=", out->len ? " " : "");
		calendar_format(out, r->calendars[i]);
	}
	if (r->boot_us >= 0)
		put_span(out, "OnBootSec", r->boot_us);
	if (r->active_us >= 0)
		put_span(out, "OnUnitActiveSec", r->active_us);
	if (r->random_us > 0)
		put_span(out, "RandomizedDelaySec", r->random_us);
	if (r->persistent)
		buf_puts(out, " Persistent=yes");
}

bool
timer_rule_persistent(const struct timer_rule *r)
{
	return r->persistent;
}

static int64_t
later(int64_t us, int64_t span_us)
{
	return us > TIMER_NEVER - span_us ? TIMER_NEVER : us + span_us;
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t
timer_due(const struct timer_rule *r, const struct timer_past *p)
{
	int64_t due = TIMER_NEVER;

	for (int i = 0; i < r->count; i++) {
		int64_t us = calendar_next(r->calendars[i], p->since_us);

		due = us < 0 ? due : earlier(due, us);
	}
	if (r->boot_us >= 0 && !p->boot_done)
		due = earlier(due, later(p->boot_us, r->boot_us));
	/* Without a first time there is none to count from, as in systemd. */
	if (r->active_us >= 0 && p->turn_us > 0)
		due = earlier(due, later(p->turn_us, r->active_us));
	return due;
}

bool
timer_boot_passed(const struct timer_rule *r, int64_t boot_us, int64_t now_us)
{
	return r->boot_us >= 0 && later(boot_us, r->boot_us) <= now_us;
}

int64_t
timer_delay(const struct timer_rule *r, uint64_t random)
{
	if (r->random_us <= 0 || r->random_us == INT64_MAX)
		return 0;
	/* 2^64 is so much more than any span in microseconds that what the remainder prefers is not seen. */
	return (int64_t)(random % ((uint64_t)r->random_us + 1));
}

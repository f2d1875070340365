/* SPDX-License-Identifier: MIT */
/*
 * The [Timer] section of a blueprint, systemd.timer(5): when sessions are started without anybody asking. Pure, but for the time zones that
 * model/calendar.h reads; who keeps the state and starts the sessions is aod/timer.h.
 */
#ifndef AOD_MODEL_TIMER_H
#define AOD_MODEL_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/blueprint.h"

#define TIMER_NEVER INT64_MAX

/* What the section says. */
struct timer_rule;

/* NULL: it has no key that names a time. Caller frees. */
struct timer_rule *timer_rule_new(const struct blueprint *b);
void timer_rule_free(struct timer_rule *r);
/* "OnCalendar=*-*-* 08:00:00 Persistent=yes": equal for rules that mean the same. */
void timer_rule_format(struct buf *out, const struct timer_rule *r);
bool timer_rule_persistent(const struct timer_rule *r);

/* What a rule is counted from; microseconds since the epoch. */
struct timer_past {
	int64_t since_us;  /* OnCalendar=: times after this */
	int64_t turn_us;   /* OnUnitActiveSec=: when it last came due; 0: never */
	int64_t boot_us;   /* OnBootSec=: when the host was booted */
	bool boot_done;	   /* OnBootSec= had its turn since then */
};

/* When it is due, without its delay at random; also a time that has passed. TIMER_NEVER: nothing follows. */
int64_t timer_due(const struct timer_rule *r, const struct timer_past *p);
/* Whether OnBootSec= is over at that time. */
bool timer_boot_passed(const struct timer_rule *r, int64_t boot_us, int64_t now_us);
/* A delay of 0 to RandomizedDelaySec=, evenly, from a random number. */
int64_t timer_delay(const struct timer_rule *r, uint64_t random);

#endif

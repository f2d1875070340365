/* SPDX-License-Identifier: MIT */
/* Restart policy: the table of classes, and delays. See restart.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/restart.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/util.h"

#define JITTER 10 /* one part in so many */

static const char *const names[RESTART_COUNT] = {
	[RESTART_NO] = "no",
	[RESTART_ALWAYS] = "always",
	[RESTART_ON_SUCCESS] = "on-success",
	[RESTART_ON_FAILURE] = "on-failure",
	[RESTART_ON_ABNORMAL] = "on-abnormal",
	[RESTART_ON_ABORT] = "on-abort",
	[RESTART_ON_WATCHDOG] = "on-watchdog",
	[RESTART_ON_TRANSIENT] = "on-transient",
};

#define B(r) (1u << RESTART_##r)
/* The rows of table 1 in systemd.service(5). Each class of ends is followed by a restart under these. */
#define CLEAN (B(ALWAYS) | B(ON_SUCCESS))
#define UNCLEAN_CODE (B(ALWAYS) | B(ON_FAILURE))
#define UNCLEAN_SIGNAL (B(ALWAYS) | B(ON_FAILURE) | B(ON_ABNORMAL) | B(ON_ABORT))
#define LATE (B(ALWAYS) | B(ON_FAILURE) | B(ON_ABNORMAL))
#define HANG (B(ALWAYS) | B(ON_FAILURE) | B(ON_ABNORMAL) | B(ON_WATCHDOG))
/* Ends that agents have: something outside was in the way, and may not be next time. */
#define TRANSIENT (B(ALWAYS) | B(ON_FAILURE) | B(ON_TRANSIENT))
#define NEVER 0u

static const unsigned after[OUTCOME_COUNT] = {
	[OUTCOME_NONE] = NEVER,
	[OUTCOME_SUCCESS] = CLEAN,
	[OUTCOME_EXIT_CODE] = UNCLEAN_CODE,
	[OUTCOME_SIGNAL] = UNCLEAN_SIGNAL,
	[OUTCOME_CORE_DUMP] = UNCLEAN_SIGNAL,
	[OUTCOME_OOM_KILL] = LATE,
	[OUTCOME_TIMEOUT] = LATE,
	[OUTCOME_WATCHDOG] = HANG,
	[OUTCOME_STALLED] = HANG,
	[OUTCOME_MAX_TURNS] = UNCLEAN_CODE,
	[OUTCOME_BUDGET] = UNCLEAN_CODE,
	[OUTCOME_RATE_LIMITED] = TRANSIENT,
	[OUTCOME_OVERLOADED] = TRANSIENT,
	[OUTCOME_AUTH] = NEVER,
	[OUTCOME_BILLING] = NEVER,
	[OUTCOME_REFUSED] = UNCLEAN_CODE,
	[OUTCOME_AGENT_ERROR] = UNCLEAN_CODE,
	[OUTCOME_CANCELLED] = NEVER,
	[OUTCOME_START_LIMIT_HIT] = NEVER,
	[OUTCOME_RESOURCES] = LATE,
	/* The host's doing, not the agent's. */
	[OUTCOME_SHIM_LOST] = LATE | B(ON_TRANSIENT),
	[OUTCOME_HOST_REBOOT] = LATE | B(ON_TRANSIENT),
	[OUTCOME_UNKNOWN] = LATE,
};

const char *
restart_name(enum restart r)
{
	assert(r < RESTART_COUNT);
	return names[r];
}

int
restart_parse(const char *name)
{
	for (int i = 0; i < RESTART_COUNT; i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	return -1;
}

bool
restart_after(enum restart r, enum outcome o)
{
	assert(r < RESTART_COUNT && o < OUTCOME_COUNT);
	return after[o] >> r & 1;
}

bool
restart_never(enum outcome o)
{
	assert(o < OUTCOME_COUNT);
	return after[o] == NEVER;
}

bool
restart_wanted(const struct restart_policy *p, enum outcome o, int exit_code, int signal)
{
	if (restart_never(o) || outcome_listed(p->prevent, o, exit_code, signal))
		return false;
	return outcome_listed(p->force, o, exit_code, signal) || restart_after(p->when, o);
}

static int64_t
step(const struct restart_policy *p, int64_t n)
{
	double us;

	if (p->steps <= 0 || p->delay_us <= 0 || p->max_delay_us == INT64_MAX || p->max_delay_us <= p->delay_us)
		return p->delay_us;
	if (n >= p->steps)
		return p->max_delay_us;
	us = (double)p->delay_us * pow((double)p->max_delay_us / (double)p->delay_us, (double)n / (double)p->steps);
	return us >= (double)p->max_delay_us ? p->max_delay_us : (int64_t)us;
}

int64_t
restart_delay(const struct restart_policy *p, int64_t n, uint64_t random)
{
	int64_t us = step(p, n < 0 ? 0 : n), sum;

	return __builtin_add_overflow(us, (int64_t)(random % ((uint64_t)us / JITTER + 1)), &sum) ? us : sum;
}

void
restart_print(struct buf *out)
{
	buf_printf(out, "%-16s", "result");
	for (int r = 0; r < RESTART_COUNT; r++)
		buf_printf(out, " %s", names[r]);
	buf_putc(out, '\n');
	for (int o = OUTCOME_NONE + 1; o < OUTCOME_COUNT; o++) {
		buf_printf(out, "%-16s", outcome_name((enum outcome)o));
		for (int r = 0; r < RESTART_COUNT; r++)
			buf_printf(out, " %*s", -(int)strlen(names[r]), restart_after((enum restart)r, (enum outcome)o) ? "x" : "-");
		while (out->data[out->len - 1] == ' ')
			out->data[--out->len] = '\0';
		buf_putc(out, '\n');
	}
}

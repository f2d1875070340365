/* SPDX-License-Identifier: MIT */
/* Restart policy: the table of classes, and delays. See restart.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/restart.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define JITTER 10 /* one part in so many */
#define LIMITED_US INT64_C(60000000) /* at least, where a service refused further requests and did not say for how long */

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
#define NAMED (1u << RESTART_COUNT) /* no class has it, but RestartForceExitStatus= may */
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
	[OUTCOME_MAX_TURNS] = NAMED,
	[OUTCOME_BUDGET] = NAMED,
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

/* systemd's ratelimit_below(), as of the time at which the start would be. */
static bool
below_limit(const struct restart_policy *p, struct restart_count *c, int64_t at)
{
	if (p->limit_us <= 0 || p->limit_burst <= 0)
		return true;
	/* A clock that was set back begins a new count, too. */
	if (c->limit_begin_us == 0 || at < c->limit_begin_us || at - c->limit_begin_us >= p->limit_us) {
		c->limit_begin_us = at;
		c->limit_count = 0;
	}
	if (c->limit_count >= p->limit_burst)
		return false;
	c->limit_count++;
	return true;
}

static int64_t
later(int64_t at, int64_t us)
{
	int64_t sum;

	return __builtin_add_overflow(at, us, &sum) ? INT64_MAX : sum;
}

/* Not before the service has said; and where it did not say, what refuses further requests gets some time. */
static int64_t
not_before(const struct restart_end *end, int64_t due_us)
{
	int64_t least = end->retry_us;

	if (end->outcome == OUTCOME_RATE_LIMITED && least == 0)
		least = later(end->ended_us, LIMITED_US);
	return due_us < least ? least : due_us;
}

enum restart_step
restart_next(const struct restart_policy *p, const struct restart_end *end, struct restart_count *c, int64_t *due_us)
{
	bool again = !end->idle && restart_wanted(p, end->outcome, end->exit_code, end->signal);
	int64_t delay;

	/* What went well, or for long, begins a new row. */
	if (end->outcome == OUTCOME_SUCCESS || (p->limit_us > 0 && end->ended_us - end->started_us >= p->limit_us))
		c->restarts = 0;
	/* Where only a turn was to end, the next prompt has its turn. */
	if (end->stopped || (restart_never(end->outcome) && end->outcome != OUTCOME_CANCELLED))
		return RESTART_END;
	if (!again && end->queued == 0)
		return RESTART_END;
	if (!again) {
		*due_us = not_before(end, end->ended_us);
		return RESTART_QUEUE;
	}
	delay = restart_delay(p, c->restarts, end->random);
	*due_us = not_before(end, later(end->ended_us, delay));
	if (!below_limit(p, c, *due_us))
		return RESTART_LIMIT;
	c->restarts++;
	return RESTART_AGAIN;
}

/* ---- as JSON ---------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	size_t offset;
} numbers[] = {
	{ "delay_us", offsetof(struct restart_policy, delay_us) },
	{ "max_delay_us", offsetof(struct restart_policy, max_delay_us) },
	{ "steps", offsetof(struct restart_policy, steps) },
	{ "limit_us", offsetof(struct restart_policy, limit_us) },
	{ "limit_burst", offsetof(struct restart_policy, limit_burst) },
};

static void
put_words(struct buf *out, const char *name, char *const *words)
{
	buf_printf(out, ",\"%s\":[", name);
	for (size_t i = 0; words && words[i]; i++) {
		if (i)
			buf_putc(out, ',');
		buf_put_json_str(out, words[i]);
	}
	buf_putc(out, ']');
}

void
restart_policy_json(struct buf *out, const struct restart_policy *p)
{
	buf_printf(out, "{\"when\":\"%s\",\"mode\":\"%s\"", names[p->when], p->fresh ? "fresh" : "continue");
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		int64_t v = *(const int64_t *)((const char *)p + numbers[i].offset);

		buf_printf(out, v == INT64_MAX ? ",\"%s\":null" : ",\"%s\":%" PRId64, numbers[i].name, v);
	}
	put_words(out, "prevent", p->prevent);
	put_words(out, "force", p->force);
	buf_puts(out, ",\"prompt\":");
	buf_put_json_str(out, p->prompt);
	buf_putc(out, '}');
}

static char **
get_words(struct json_object *o, const char *name)
{
	struct json_object *v = NULL;
	char **words = NULL;

	if (json_object_object_get_ex(o, name, &v) && json_object_is_type(v, json_type_array))
		for (size_t i = 0; i < json_object_array_length(v); i++)
			words = strv_add(words, json_object_get_string(json_object_array_get_idx(v, i)));
	return words;
}

static const char *
get_text(struct json_object *o, const char *name)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, name, &v) && json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

void
restart_policy_parse(struct restart_policy *p, struct json_object *o)
{
	const char *when = get_text(o, "when"), *mode = get_text(o, "mode");
	struct json_object *v = NULL;

	memset(p, 0, sizeof(*p));
	if (!when || restart_parse(when) < 0)
		return;
	p->when = (enum restart)restart_parse(when);
	p->fresh = mode && strcmp(mode, "fresh") == 0;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (json_object_object_get_ex(o, numbers[i].name, &v))
			*(int64_t *)((char *)p + numbers[i].offset) = v ? json_object_get_int64(v) : INT64_MAX;
	p->prevent = get_words(o, "prevent");
	p->force = get_words(o, "force");
	p->prompt = xstrdup(get_text(o, "prompt"));
}

void
restart_policy_copy(struct restart_policy *dst, const struct restart_policy *src)
{
	*dst = *src;
	dst->prevent = strv_dup(src->prevent);
	dst->force = strv_dup(src->force);
	dst->prompt = xstrdup(src->prompt);
}

void
restart_policy_done(struct restart_policy *p)
{
	strv_free(p->prevent);
	strv_free(p->force);
	free(p->prompt);
	memset(p, 0, sizeof(*p));
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

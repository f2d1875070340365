/* SPDX-License-Identifier: MIT */
/* Limits of control groups from [Resources]: percentages and periods become numbers. See sandbox.h, systemd.resource-control(5). */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/ini.h"
#include "base/util.h"
#include "model/blueprint-internal.h"
#include "model/sandbox.h"

#define PERIOD_US 100000	/* of the kernel, when none is said */
#define PERIOD_MIN_US 1000	/* the kernel's bounds */
#define PERIOD_MAX_US 1000000
#define QUOTA_MIN_US 1000

/* Numbers: which key gives which member. */
static const struct row {
	enum directive_id id;
	size_t offset;
	bool of_memory; /* what a percentage is of; else of tasks */
} rows[] = {
	{ D_MemoryMax, offsetof(struct limits, memory_max), true },
	{ D_MemoryHigh, offsetof(struct limits, memory_high), true },
	{ D_MemorySwapMax, offsetof(struct limits, memory_swap_max), true },
	{ D_TasksMax, offsetof(struct limits, tasks_max), false },
};

/* Further numbers, which are taken as they are. */
static const size_t plain[] = { offsetof(struct limits, cpu_weight), offsetof(struct limits, io_weight), offsetof(struct limits, cpu_quota_us),
				offsetof(struct limits, cpu_period_us) };

static const struct io_row {
	enum directive_id id;
	size_t offset;
} io_rows[] = {
	{ D_IOReadBandwidthMax, offsetof(struct io_limit, rbps) },
	{ D_IOWriteBandwidthMax, offsetof(struct io_limit, wbps) },
	{ D_IOReadIOPSMax, offsetof(struct io_limit, riops) },
	{ D_IOWriteIOPSMax, offsetof(struct io_limit, wiops) },
};

static int64_t *
number(void *base, size_t offset)
{
	return (int64_t *)(void *)((char *)base + offset);
}

void
limits_init(struct limits *l)
{
	memset(l, 0, sizeof(*l));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		*number(l, rows[i].offset) = LIMIT_UNSET;
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		*number(l, plain[i]) = LIMIT_UNSET;
}

void
limits_free(struct limits *l)
{
	free(l->cpus);
	free(l->mems);
	for (int i = 0; i < l->io_count; i++)
		free(l->io[i].path);
	limits_init(l);
}

/* The entry of a path, a new one where there is none; NULL: there are too many. */
static struct io_limit *
io_slot(struct limits *l, const char *path)
{
	struct io_limit *one;

	for (int i = 0; i < l->io_count; i++)
		if (strcmp(l->io[i].path, path) == 0)
			return &l->io[i];
	if (l->io_count == LIMIT_DEVICES_MAX)
		return NULL;
	one = &l->io[l->io_count++];
	*one = (struct io_limit){ xstrdup(path), LIMIT_UNSET, LIMIT_UNSET, LIMIT_UNSET, LIMIT_UNSET };
	return one;
}

static int
from_row(struct limits *l, const struct row *row, const struct blueprint *b, const struct limit_totals *t, struct err *e)
{
	const char *text = blueprint_text(b, row->id), *key = blueprint_directives[row->id].key;
	int64_t total = row->of_memory ? t->memory_bytes : t->tasks, v = blueprint_bytes(b, row->id, total);

	if (!text)
		return 0;
	if (strchr(text, '%') && total <= 0)
		return err_set_status(e, 422, -EINVAL, "%s=%s: how much there is of it cannot be told on this host; give a number", key, text);
	if (v == 0 && row->id != D_MemorySwapMax)
		return err_set_status(e, 422, -EINVAL, "%s=%s leaves nothing to run with", key, text);
	/* A profile's value is for hosts of all sizes. */
	if (!blueprint_is_set(b, row->id) && total > 0 && v > total && v != LIMIT_INFINITY)
		v = total;
	*number(l, row->offset) = v;
	return 0;
}

static int
from_quota(struct limits *l, const struct blueprint *b, struct err *e)
{
	double share = blueprint_float(b, D_CPUQuota);
	int64_t period = blueprint_us(b, D_CPUQuotaPeriodSec);

	if (period != -1 && (period < PERIOD_MIN_US || period > PERIOD_MAX_US))
		return err_set_status(e, 422, -EINVAL, "CPUQuotaPeriodSec=%s: the kernel takes 1ms to 1s", blueprint_text(b, D_CPUQuotaPeriodSec));
	if (share <= 0)
		return 0;
	if (period == -1)
		period = PERIOD_US;
	/* A quota under a millisecond is none to the kernel: the same share of a longer time. */
	if ((double)period * share < QUOTA_MIN_US)
		period = (int64_t)(QUOTA_MIN_US / share + 0.5);
	if (period > PERIOD_MAX_US)
		return err_set_status(e, 422, -EINVAL, "CPUQuota=%s: 0.1%% is the least that the kernel can give", blueprint_text(b, D_CPUQuota));
	l->cpu_period_us = period;
	l->cpu_quota_us = (int64_t)((double)period * share + 0.5);
	return 0;
}

static void
from_weight(int64_t *out, const struct blueprint *b, enum directive_id id)
{
	const char *v = blueprint_text(b, id);

	if (v)
		*out = strcmp(v, "idle") == 0 ? 0 : value_int(v);
}

/* "0-3" and "5" become "0-3,5". */
static char *
joined(char *const *words)
{
	struct buf out = BUF_INIT;

	if (!words)
		return NULL;
	for (; *words; words++)
		buf_printf(&out, "%s%s", out.len > 0 ? "," : "", *words);
	return buf_steal(&out);
}

static int
from_io(struct limits *l, const struct io_row *row, const struct blueprint *b, struct err *e)
{
	char *const *lines = blueprint_words(b, row->id);
	const char *why;

	for (; lines && *lines; lines++) {
		char **words = ini_split_words(*lines, &why);
		struct io_limit *one = words ? io_slot(l, words[0]) : NULL;

		if (one)
			*number(one, row->offset) = value_size(words[1], 1000);
		strv_free(words);
		if (!one)
			return err_set_status(e, 422, -E2BIG, "%s=: limits for more than %d paths", blueprint_directives[row->id].key,
					      LIMIT_DEVICES_MAX);
	}
	return 0;
}

int
limits_from(struct limits *l, const struct blueprint *b, const struct limit_totals *t, struct err *e)
{
	const char *policy = blueprint_text(b, D_OOMPolicy);
	int r = from_quota(l, b, e);

	for (size_t i = 0; i < ARRAY_LEN(rows) && r == 0; i++)
		r = from_row(l, &rows[i], b, t, e);
	for (size_t i = 0; i < ARRAY_LEN(io_rows) && r == 0; i++)
		r = from_io(l, &io_rows[i], b, e);
	if (r < 0)
		return r;
	from_weight(&l->cpu_weight, b, D_CPUWeight);
	from_weight(&l->io_weight, b, D_IOWeight);
	l->cpus = joined(blueprint_words(b, D_AllowedCPUs));
	l->mems = joined(blueprint_words(b, D_AllowedMemoryNodes));
	l->oom_group = policy && strcmp(policy, "kill") == 0;
	return 0;
}

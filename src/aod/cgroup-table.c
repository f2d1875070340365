/* SPDX-License-Identifier: MIT */
/* Which file of which controller holds a limit or a figure, in either version of cgroups. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "aod/cgroup-internal.h"
#include "base/fd.h"
#include "base/util.h"

/* ---- limits ---- */

struct limit_row {
	bool v2;
	enum cgroup_controller controller;
	const char *key; /* the directive */
	const char *file;
	size_t offset;	 /* of an int64_t in struct limits, or of text, or in struct io_limit */
	enum { IS_NUMBER, IS_TEXT, IS_BOOL, IS_IO } type;
	int (*apply)(const struct limit_row *row, int dir, const struct limits *l);
	const char *word; /* of infinity, or of a key within the file */
};

static int64_t
number_of(const struct limit_row *row, const struct limits *l)
{
	return *(const int64_t *)((const char *)l + row->offset);
}

static const char *
text_of(const struct limit_row *row, const struct limits *l)
{
	return *(char *const *)((const char *)l + row->offset);
}

static int64_t
io_of(const struct limit_row *row, const struct io_limit *io)
{
	return *(const int64_t *)((const char *)io + row->offset);
}

static bool
row_is_set(const struct limit_row *row, const struct limits *l)
{
	switch (row->type) {
	case IS_NUMBER:
		return number_of(row, l) != LIMIT_UNSET;
	case IS_TEXT:
		return text_of(row, l) != NULL;
	case IS_BOOL:
		return *(const bool *)((const char *)l + row->offset);
	case IS_IO:
		break;
	}
	for (int i = 0; i < l->io_count; i++)
		if (io_of(row, &l->io[i]) != LIMIT_UNSET)
			return true;
	return false;
}

static int
put_number(int dir, const char *file, int64_t v, const char *infinity)
{
	char text[CG_TEXT_MAX];

	if (v == LIMIT_INFINITY)
		return cgroup_put(dir, file, infinity);
	snprintf(text, sizeof(text), "%" PRId64, v);
	return cgroup_put(dir, file, text);
}

static int64_t
get_number(int dir, const char *file)
{
	char text[CG_TEXT_MAX];

	return cgroup_get(dir, file, text, sizeof(text)) < 0 ? -1 : cgroup_parse_number(text, NULL);
}

static int
apply_number(const struct limit_row *row, int dir, const struct limits *l)
{
	return put_number(dir, row->file, number_of(row, l), row->word);
}

static int
apply_text(const struct limit_row *row, int dir, const struct limits *l)
{
	return cgroup_put(dir, row->file, text_of(row, l));
}

static int
apply_bool(const struct limit_row *row, int dir, const struct limits *l)
{
	(void)l;
	return cgroup_put(dir, row->file, "1");
}

/* The kernel's word for no limit in v1 files is a number: the largest multiple of a page. */
#define V1_INFINITY (INT64_MAX - 4095)

/*
 * memory.memsw bounds memory and swap together and must never be below memory's own limit, so that the order of two writes depends on which way
 * it goes. What was allowed beyond memory stays allowed.
 */
static int
apply_memory_v1(const struct limit_row *row, int dir, const struct limits *l)
{
	int64_t max = l->memory_max, old = get_number(dir, row->file), both = get_number(dir, "memory.memsw.limit_in_bytes");
	bool bounded = both > 0 && both < V1_INFINITY && old >= 0 && old <= both && max != LIMIT_INFINITY;
	int64_t swap = bounded ? both - old : 0;
	int r;

	if (both > 0 && both < V1_INFINITY && (!bounded || max > both)) {
		r = cgroup_put(dir, "memory.memsw.limit_in_bytes", "-1");
		if (r < 0)
			return r;
	}
	r = put_number(dir, row->file, max, "-1");
	if (r == 0 && bounded)
		r = put_number(dir, "memory.memsw.limit_in_bytes", max + swap, "-1");
	return r;
}

static int
apply_swap_v1(const struct limit_row *row, int dir, const struct limits *l)
{
	int64_t max = get_number(dir, "memory.limit_in_bytes"), swap = l->memory_swap_max;

	if (max < 0)
		return -EIO;
	/* Memory without a limit of its own: none for both together either. */
	if (swap == LIMIT_INFINITY || max >= V1_INFINITY || swap > INT64_MAX - max)
		return cgroup_put(dir, row->file, "-1");
	return put_number(dir, row->file, max + swap, "-1");
}

#define PERIOD_US 100000

static int
apply_cpu_max(const struct limit_row *row, int dir, const struct limits *l)
{
	int64_t period = l->cpu_period_us > 0 ? l->cpu_period_us : PERIOD_US;
	char text[CG_TEXT_MAX];

	if (l->cpu_quota_us == LIMIT_INFINITY)
		snprintf(text, sizeof(text), "max %" PRId64, period);
	else
		snprintf(text, sizeof(text), "%" PRId64 " %" PRId64, l->cpu_quota_us, period);
	return cgroup_put(dir, row->file, text);
}

static int
apply_cpu_quota_v1(const struct limit_row *row, int dir, const struct limits *l)
{
	int64_t period = l->cpu_period_us > 0 ? l->cpu_period_us : PERIOD_US;
	int r;

	/* With an old quota, a new period could be more than the parent allows. */
	if (get_number(dir, "cpu.cfs_period_us") != period) {
		r = cgroup_put(dir, row->file, "-1");
		if (r == 0)
			r = put_number(dir, "cpu.cfs_period_us", period, "");
		if (r < 0)
			return r;
	}
	r = put_number(dir, row->file, l->cpu_quota_us, "-1");
	/* A slice above allows less, and it is that which holds. */
	return r == -EINVAL && l->cpu_quota_us > 0 ? cgroup_put(dir, row->file, "-1") : r;
}

#define WEIGHT_DEFAULT 100
#define WEIGHT_MAX 10000

/* Weight 0 is CPUWeight=idle: cpu.idle where the kernel has it, else the least weight. */
static int
put_cpu_weight(int dir, const char *file, int64_t weight, int64_t value)
{
	int r = cgroup_put(dir, "cpu.idle", weight == 0 ? "1" : "0");

	if (weight == 0 && r == 0)
		return 0;
	return put_number(dir, file, value, "");
}

static int
apply_cpu_weight(const struct limit_row *row, int dir, const struct limits *l)
{
	int64_t w = number_of(row, l);

	return put_cpu_weight(dir, row->file, w, w > 0 ? w : 1);
}

static int
apply_cpu_shares(const struct limit_row *row, int dir, const struct limits *l)
{
	int64_t w = number_of(row, l), shares = w * 1024 / WEIGHT_DEFAULT;

	return put_cpu_weight(dir, row->file, w, shares < 2 ? 2 : shares);
}

static int
apply_io_weight(const struct limit_row *row, int dir, const struct limits *l)
{
	char text[CG_TEXT_MAX];
	int64_t w = number_of(row, l);

	snprintf(text, sizeof(text), "default %" PRId64, w > 0 ? w : 1);
	return cgroup_put(dir, row->file, text);
}

/* BFQ's weights end at 1000: what is above the default is compressed, as systemd does. */
static int
apply_bfq_weight(const struct limit_row *row, int dir, const struct limits *l)
{
	int64_t w = number_of(row, l);

	if (w > WEIGHT_DEFAULT)
		w = WEIGHT_DEFAULT + (w - WEIGHT_DEFAULT) * (1000 - WEIGHT_DEFAULT) / (WEIGHT_MAX - WEIGHT_DEFAULT);
	return put_number(dir, row->file, w > 0 ? w : 1, "");
}

/* The whole disk below a path: limits are of disks, not of partitions. */
static int
disk_of(const char *path, unsigned *major_out, unsigned *minor_out)
{
	char link[CG_TEXT_MAX], text[CG_TEXT_MAX], sub[2 * CG_TEXT_MAX];
	struct stat st;
	dev_t dev;

	if (stat(path, &st) < 0)
		return -errno;
	dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	*major_out = major(dev), *minor_out = minor(dev);
	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", *major_out, *minor_out);
	if (*major_out == 0 || access(link, F_OK) < 0)
		return -ENOTBLK;
	snprintf(sub, sizeof(sub), "%s/partition", link);
	if (access(sub, F_OK) == 0) {
		snprintf(sub, sizeof(sub), "%s/../dev", link);
		if (cgroup_get(AT_FDCWD, sub, text, sizeof(text)) < 0 || sscanf(text, "%u:%u", major_out, minor_out) != 2)
			return -ENOTBLK;
	}
	return 0;
}

static int
apply_io(const struct limit_row *row, int dir, const struct limits *l)
{
	for (int i = 0; i < l->io_count; i++) {
		int64_t v = io_of(row, &l->io[i]);
		char value[32], text[2 * CG_TEXT_MAX];
		unsigned maj, min;
		int r;

		if (v == LIMIT_UNSET)
			continue;
		r = disk_of(l->io[i].path, &maj, &min);
		if (r < 0)
			return r;
		snprintf(value, sizeof(value), "%" PRId64, v);
		if (v == LIMIT_INFINITY)
			snprintf(value, sizeof(value), "%s", row->v2 ? "max" : "0");
		snprintf(text, sizeof(text), "%u:%u %s%s%s", maj, min, row->v2 ? row->word : "", row->v2 ? "=" : "", value);
		r = cgroup_put(dir, row->file, text);
		if (r < 0)
			return r;
	}
	return 0;
}

#define LIM(field) offsetof(struct limits, field)
#define IO(field) offsetof(struct io_limit, field)
static const struct limit_row limit_rows[] = {
	{ true, CG_MEMORY, "MemoryMax", "memory.max", LIM(memory_max), IS_NUMBER, apply_number, "max" },
	{ true, CG_MEMORY, "MemoryHigh", "memory.high", LIM(memory_high), IS_NUMBER, apply_number, "max" },
	{ true, CG_MEMORY, "MemorySwapMax", "memory.swap.max", LIM(memory_swap_max), IS_NUMBER, apply_number, "max" },
	{ true, CG_MEMORY, "OOMPolicy", "memory.oom.group", LIM(oom_group), IS_BOOL, apply_bool, NULL },
	{ true, CG_PIDS, "TasksMax", "pids.max", LIM(tasks_max), IS_NUMBER, apply_number, "max" },
	{ true, CG_CPU, "CPUQuota", "cpu.max", LIM(cpu_quota_us), IS_NUMBER, apply_cpu_max, NULL },
	{ true, CG_CPU, "CPUWeight", "cpu.weight", LIM(cpu_weight), IS_NUMBER, apply_cpu_weight, NULL },
	{ true, CG_IO, "IOWeight", "io.weight", LIM(io_weight), IS_NUMBER, apply_io_weight, NULL },
	{ true, CG_IO, "IOWeight", "io.bfq.weight", LIM(io_weight), IS_NUMBER, apply_bfq_weight, NULL },
	{ true, CG_IO, "IOReadBandwidthMax", "io.max", IO(rbps), IS_IO, apply_io, "rbps" },
	{ true, CG_IO, "IOWriteBandwidthMax", "io.max", IO(wbps), IS_IO, apply_io, "wbps" },
	{ true, CG_IO, "IOReadIOPSMax", "io.max", IO(riops), IS_IO, apply_io, "riops" },
	{ true, CG_IO, "IOWriteIOPSMax", "io.max", IO(wiops), IS_IO, apply_io, "wiops" },
	{ true, CG_CPUSET, "AllowedCPUs", "cpuset.cpus", LIM(cpus), IS_TEXT, apply_text, NULL },
	{ true, CG_CPUSET, "AllowedMemoryNodes", "cpuset.mems", LIM(mems), IS_TEXT, apply_text, NULL },

	{ false, CG_MEMORY, "MemoryMax", "memory.limit_in_bytes", LIM(memory_max), IS_NUMBER, apply_memory_v1, NULL },
	{ false, CG_MEMORY, "MemorySwapMax", "memory.memsw.limit_in_bytes", LIM(memory_swap_max), IS_NUMBER, apply_swap_v1, NULL },
	{ false, CG_PIDS, "TasksMax", "pids.max", LIM(tasks_max), IS_NUMBER, apply_number, "max" },
	{ false, CG_CPU, "CPUQuota", "cpu.cfs_quota_us", LIM(cpu_quota_us), IS_NUMBER, apply_cpu_quota_v1, NULL },
	{ false, CG_CPU, "CPUWeight", "cpu.shares", LIM(cpu_weight), IS_NUMBER, apply_cpu_shares, NULL },
	{ false, CG_IO, "IOWeight", "blkio.weight", LIM(io_weight), IS_NUMBER, apply_bfq_weight, NULL },
	{ false, CG_IO, "IOWeight", "blkio.bfq.weight", LIM(io_weight), IS_NUMBER, apply_bfq_weight, NULL },
	{ false, CG_IO, "IOReadBandwidthMax", "blkio.throttle.read_bps_device", IO(rbps), IS_IO, apply_io, NULL },
	{ false, CG_IO, "IOWriteBandwidthMax", "blkio.throttle.write_bps_device", IO(wbps), IS_IO, apply_io, NULL },
	{ false, CG_IO, "IOReadIOPSMax", "blkio.throttle.read_iops_device", IO(riops), IS_IO, apply_io, NULL },
	{ false, CG_IO, "IOWriteIOPSMax", "blkio.throttle.write_iops_device", IO(wiops), IS_IO, apply_io, NULL },
	{ false, CG_CPUSET, "AllowedCPUs", "cpuset.cpus", LIM(cpus), IS_TEXT, apply_text, NULL },
	{ false, CG_CPUSET, "AllowedMemoryNodes", "cpuset.mems", LIM(mems), IS_TEXT, apply_text, NULL },
};
_Static_assert(ARRAY_LEN(limit_rows) <= 64, "limit_rows has a bit for each row");

unsigned
cgroup_wants(const struct limits *l)
{
	unsigned wants = 0;

	for (size_t i = 0; l && i < ARRAY_LEN(limit_rows); i++)
		if (row_is_set(&limit_rows[i], l))
			wants |= BIT(limit_rows[i].controller);
	return wants;
}

void
cgroup_find_rows(struct cgroups *c)
{
	c->limit_rows = 0;
	for (size_t i = 0; i < ARRAY_LEN(limit_rows); i++) {
		int owner = c->owner[limit_rows[i].controller];

		if (owner >= 0 && c->h[owner].v2 == limit_rows[i].v2 &&
		    faccessat(c->h[owner].agents, limit_rows[i].file, W_OK, AT_EACCESS) == 0)
			c->limit_rows |= UINT64_C(1) << i;
	}
}

int
cgroup_write_limits(const struct cgroups *c, const struct hierarchy *h, int dir, const struct limits *l, struct err *e)
{
	for (size_t i = 0; l && i < ARRAY_LEN(limit_rows); i++) {
		const struct limit_row *row = &limit_rows[i];
		int r;

		if (!(c->limit_rows & UINT64_C(1) << i) || &c->h[c->owner[row->controller]] != h || !row_is_set(row, l))
			continue;
		r = row->apply(row, dir, l);
		if (r == -ENOTBLK)
			return err_set_status(e, 422, r, "%s=: the path is not on a disk that can be limited", row->key);
		if (r == -EBUSY)
			return err_set_status(e, 409, r, "%s=: more than that is in use (%s)", row->key, row->file);
		if (r == -ERANGE || r == -EINVAL || r == -ENOSPC)
			return err_set_status(e, 422, r, "%s=: this host has not what it asks for (%s: %s)", row->key, row->file, strerror(-r));
		if (r < 0)
			return err_errno(e, r, "%s=: %s", row->key, row->file);
	}
	return 0;
}

/* OOMPolicy= is not among them: where the kernel does not kill the group as one, aod does. */
char **
cgroup_lacks(const struct cgroups *c, const struct limits *l)
{
	char **out = NULL;

	for (size_t i = 0; i < ARRAY_LEN(limit_rows); i++) {
		const char *key = limit_rows[i].key;
		bool found = limit_rows[i].type == IS_BOOL, told = false;

		if (!row_is_set(&limit_rows[i], l))
			continue;
		for (size_t k = 0; k < ARRAY_LEN(limit_rows); k++)
			found = found || ((c->limit_rows & UINT64_C(1) << k) && !strcmp(limit_rows[k].key, key));
		for (char **s = out; s && *s; s++)
			told = told || !strcmp(*s, key);
		if (!found && !told)
			out = strv_add(out, key);
	}
	return out;
}

/* ---- figures ---- */

int64_t
cgroup_parse_number(const char *text, const char *key)
{
	size_t n = key ? strlen(key) : 0;
	char *end;
	long long v;

	for (const char *p = text; key;) {
		if (!strncmp(p, key, n) && p[n] == ' ') {
			text = p + n + 1;
			break;
		}
		p = strchr(p, '\n');
		if (!p)
			return -1;
		p++;
	}
	if (str_starts(text, "max"))
		return LIMIT_INFINITY;
	errno = 0;
	v = strtoll(text, &end, 10);
	return end == text || errno || v < 0 || !strchr(" \n", *end) ? -1 : v;
}

int64_t
cgroup_parse_io(const char *text, const char *key)
{
	size_t n = strlen(key);
	int64_t sum = 0;

	for (const char *p = text; (p = strstr(p, key)) != NULL; p += n)
		if (p > text && p[-1] == ' ' && (p[n] == '=' || p[n] == ' '))
			sum += strtoll(p + n + 1, NULL, 10);
	return sum;
}

double
cgroup_parse_pressure(const char *text)
{
	static const char some[] = "some avg10=";
	const char *p = strstr(text, some);

	return p ? strtod(p + sizeof(some) - 1, NULL) : -1;
}

struct figure_row {
	bool v2;
	enum cgroup_controller controller;
	const char *file, *key;
	size_t offset; /* in struct cgroup_usage */
	enum { FIG_NUMBER, FIG_NS, FIG_IO, FIG_PRESSURE } type;
};

/* Rows of one file stand together: it is read once. */
#define FIG(field) offsetof(struct cgroup_usage, field)
static const struct figure_row figure_rows[] = {
	{ true, CG_MEMORY, "memory.current", NULL, FIG(memory_bytes), FIG_NUMBER },
	{ true, CG_MEMORY, "memory.peak", NULL, FIG(memory_peak_bytes), FIG_NUMBER },
	{ true, CG_MEMORY, "memory.swap.current", NULL, FIG(swap_bytes), FIG_NUMBER },
	{ true, CG_MEMORY, "memory.events", "oom_kill", FIG(oom_kills), FIG_NUMBER },
	{ true, CG_MEMORY, "memory.events", "high", FIG(memory_high_hits), FIG_NUMBER },
	{ true, CG_CPUACCT, "cpu.stat", "usage_usec", FIG(cpu_us), FIG_NUMBER },
	{ true, CG_CPUACCT, "cpu.stat", "user_usec", FIG(cpu_user_us), FIG_NUMBER },
	{ true, CG_CPUACCT, "cpu.stat", "system_usec", FIG(cpu_system_us), FIG_NUMBER },
	{ true, CG_CPU, "cpu.stat", "throttled_usec", FIG(cpu_throttled_us), FIG_NUMBER },
	{ true, CG_PIDS, "pids.current", NULL, FIG(tasks), FIG_NUMBER },
	{ true, CG_PIDS, "pids.peak", NULL, FIG(tasks_peak), FIG_NUMBER },
	{ true, CG_PIDS, "pids.events", "max", FIG(tasks_max_hits), FIG_NUMBER },
	{ true, CG_IO, "io.stat", "rbytes", FIG(io_read_bytes), FIG_IO },
	{ true, CG_IO, "io.stat", "wbytes", FIG(io_write_bytes), FIG_IO },
	{ true, CG_PSI, "memory.pressure", NULL, FIG(memory_pressure), FIG_PRESSURE },
	{ true, CG_PSI, "cpu.pressure", NULL, FIG(cpu_pressure), FIG_PRESSURE },
	{ true, CG_PSI, "io.pressure", NULL, FIG(io_pressure), FIG_PRESSURE },

	{ false, CG_MEMORY, "memory.usage_in_bytes", NULL, FIG(memory_bytes), FIG_NUMBER },
	{ false, CG_MEMORY, "memory.max_usage_in_bytes", NULL, FIG(memory_peak_bytes), FIG_NUMBER },
	{ false, CG_MEMORY, "memory.stat", "swap", FIG(swap_bytes), FIG_NUMBER },
	{ false, CG_MEMORY, "memory.oom_control", "oom_kill", FIG(oom_kills), FIG_NUMBER },
	{ false, CG_CPUACCT, "cpuacct.usage", NULL, FIG(cpu_us), FIG_NS },
	{ false, CG_CPUACCT, "cpuacct.usage_user", NULL, FIG(cpu_user_us), FIG_NS },
	{ false, CG_CPUACCT, "cpuacct.usage_sys", NULL, FIG(cpu_system_us), FIG_NS },
	{ false, CG_CPU, "cpu.stat", "throttled_time", FIG(cpu_throttled_us), FIG_NS },
	{ false, CG_PIDS, "pids.current", NULL, FIG(tasks), FIG_NUMBER },
	{ false, CG_PIDS, "pids.peak", NULL, FIG(tasks_peak), FIG_NUMBER },
	{ false, CG_PIDS, "pids.events", "max", FIG(tasks_max_hits), FIG_NUMBER },
	{ false, CG_IO, "blkio.throttle.io_service_bytes_recursive", "Read", FIG(io_read_bytes), FIG_IO },
	{ false, CG_IO, "blkio.throttle.io_service_bytes_recursive", "Write", FIG(io_write_bytes), FIG_IO },
};

static void
take_figure(const struct figure_row *row, const char *text, struct cgroup_usage *u)
{
	int64_t *n = (int64_t *)((char *)u + row->offset);

	switch (row->type) {
	case FIG_NUMBER:
		*n = cgroup_parse_number(text, row->key);
		break;
	case FIG_NS:
		*n = cgroup_parse_number(text, row->key);
		*n = *n > 0 ? *n / 1000 : *n;
		break;
	case FIG_IO:
		*n = cgroup_parse_io(text, row->key);
		break;
	case FIG_PRESSURE:
		*(double *)((char *)u + row->offset) = cgroup_parse_pressure(text);
		break;
	}
}

void
cgroup_read_figures(const struct cgroups *c, const int dirs[CG_HIERARCHIES_MAX], struct cgroup_usage *u)
{
	const char *file = NULL;
	char text[CG_FILE_MAX];
	int have = -1, from = -1;

	*u = (struct cgroup_usage){ -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1 };
	for (size_t i = 0; i < ARRAY_LEN(figure_rows); i++) {
		const struct figure_row *row = &figure_rows[i];
		int owner = c->owner[row->controller];

		if (owner < 0 || c->h[owner].v2 != row->v2 || dirs[owner] < 0)
			continue;
		if (!file || from != owner || strcmp(file, row->file) != 0) {
			file = row->file, from = owner;
			have = cgroup_get(dirs[owner], file, text, sizeof(text));
		}
		if (have >= 0)
			take_figure(row, text, u);
	}
}

static const struct {
	const char *name;
	size_t offset;
	bool is_double;
} usage_names[] = {
	{ "memory_bytes", FIG(memory_bytes), false },
	{ "memory_peak_bytes", FIG(memory_peak_bytes), false },
	{ "swap_bytes", FIG(swap_bytes), false },
	{ "cpu_us", FIG(cpu_us), false },
	{ "cpu_user_us", FIG(cpu_user_us), false },
	{ "cpu_system_us", FIG(cpu_system_us), false },
	{ "cpu_throttled_us", FIG(cpu_throttled_us), false },
	{ "tasks", FIG(tasks), false },
	{ "tasks_peak", FIG(tasks_peak), false },
	{ "io_read_bytes", FIG(io_read_bytes), false },
	{ "io_write_bytes", FIG(io_write_bytes), false },
	{ "oom_kills", FIG(oom_kills), false },
	{ "tasks_max_hits", FIG(tasks_max_hits), false },
	{ "memory_high_hits", FIG(memory_high_hits), false },
	{ "memory_pressure", FIG(memory_pressure), true },
	{ "cpu_pressure", FIG(cpu_pressure), true },
	{ "io_pressure", FIG(io_pressure), true },
};

void
cgroup_usage_json(struct buf *out, const struct cgroup_usage *u)
{
	for (size_t i = 0; i < ARRAY_LEN(usage_names); i++) {
		const void *p = (const char *)u + usage_names[i].offset;
		double d = usage_names[i].is_double ? *(const double *)p : (double)*(const int64_t *)p;

		buf_printf(out, "%c\"%s\":", i ? ',' : '{', usage_names[i].name);
		if (d < 0)
			buf_puts(out, "null");
		else if (usage_names[i].is_double)
			buf_printf(out, "%.2f", d);
		else
			buf_put_int(out, *(const int64_t *)p);
	}
	buf_putc(out, '}');
}

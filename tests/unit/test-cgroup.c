/* SPDX-License-Identifier: MIT */
/*
 * Control groups, for real: made below the group that the test runs in, with processes that press against their limits, and removed at the end. Where the
 * host has v1 controllers beside an empty v2, all of it is run a second time without the latter.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "aod/cgroup-internal.h"
#include "base/fd.h"
#include "base/util.h"

#define DEADLINE_US (20 * 1000000LL)
#define MIB (INT64_C(1) << 20)
#define ID "session-1"

static struct cgroups *cg;
static char level[32], why[256];
static const char *where; /* of the group of tests that runs */

static struct limits
unlimited(void)
{
	struct limits l = { .memory_max = LIMIT_UNSET, .memory_high = LIMIT_UNSET, .memory_swap_max = LIMIT_UNSET,
			    .tasks_max = LIMIT_UNSET, .cpu_quota_us = LIMIT_UNSET, .cpu_period_us = LIMIT_UNSET,
			    .cpu_weight = LIMIT_UNSET, .io_weight = LIMIT_UNSET };

	return l;
}

/* ---- pure ---- */

static void
test_numbers(void **state)
{
	static const char events[] = "low 0\nhigh 12\nmax 3\noom 2\noom_kill 1\noom_group_kill 0\n";

	(void)state;
	assert_int_equal(cgroup_parse_number("4096\n", NULL), 4096);
	assert_int_equal(cgroup_parse_number("max\n", NULL), LIMIT_INFINITY);
	assert_int_equal(cgroup_parse_number("", NULL), -1);
	assert_int_equal(cgroup_parse_number("-5\n", NULL), -1);
	assert_int_equal(cgroup_parse_number("12x\n", NULL), -1);
	assert_int_equal(cgroup_parse_number("99999999999999999999\n", NULL), -1);
	assert_int_equal(cgroup_parse_number(events, "high"), 12);
	assert_int_equal(cgroup_parse_number(events, "max"), 3);
	assert_int_equal(cgroup_parse_number(events, "oom"), 2);
	assert_int_equal(cgroup_parse_number(events, "oom_kill"), 1);
	assert_int_equal(cgroup_parse_number(events, "oom_"), -1);
	assert_int_equal(cgroup_parse_number("", "low"), -1);
}

static void
test_io_and_pressure(void **state)
{
	static const char v2[] = "254:0 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n"
				 "8:16 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=7 dios=8\n";
	static const char v1[] = "254:0 Read 4096\n254:0 Write 8192\n254:0 Sync 1\n254:0 Async 2\n254:0 Total 12288\n"
				 "8:0 Read 1\n8:0 Write 2\n8:0 Total 3\nTotal 12291\n";

	(void)state;
	assert_int_equal(cgroup_parse_io(v2, "rbytes"), 1459300);
	assert_int_equal(cgroup_parse_io(v2, "wbytes"), 314773704);
	assert_int_equal(cgroup_parse_io(v1, "Read"), 4097);
	assert_int_equal(cgroup_parse_io(v1, "Write"), 8194);
	assert_int_equal(cgroup_parse_io("", "Read"), 0);
	assert_true(cgroup_parse_pressure("some avg10=1.25 avg60=0.10 avg300=0.00 total=5\nfull avg10=9.00 ") == 1.25);
	assert_true(cgroup_parse_pressure("full avg10=9.00\n") < 0);
	assert_true(cgroup_parse_pressure("") < 0);
}

static void
test_own_group(void **state)
{
	static const char text[] = "9:name=systemd:/\n8:pids:/a b\n4:cpu,cpuacct:/x/y\n3:cpuset:/c:d\n0::/system.slice/aod.service\n";
	char out[PATH_MAX];

	(void)state;
	assert_true(cgroup_parse_own(text, "pids", out));
	assert_string_equal(out, "/a b");
	assert_true(cgroup_parse_own(text, "cpuacct", out));
	assert_string_equal(out, "/x/y");
	assert_true(cgroup_parse_own(text, "cpuset", out));
	assert_string_equal(out, "/c:d");
	assert_true(cgroup_parse_own(text, NULL, out));
	assert_string_equal(out, "/system.slice/aod.service");
	assert_false(cgroup_parse_own(text, "memory", out));
	assert_false(cgroup_parse_own("", NULL, out));
	assert_false(cgroup_parse_own("nonsense\n1:\n", "cpu", out));
}

static void
test_names(void **state)
{
	static const struct {
		const char *slice, *id, *rel;
	} good[] = {
		{ NULL, "a-1", "a-1" },
		{ "-.slice", "a", "a" },
		{ "web.slice", "a", "web.slice/a" },
		{ "web", NULL, "web.slice" },
		{ "a-b-c.slice", "id", "a.slice/a-b.slice/a-b-c.slice/id" },
		{ NULL, NULL, "" },
	};
	static const char *const bad[] = { "a/b.slice", "..", "-a.slice", "a-.slice", "a--b.slice", "", ".slice", ".x.slice", "a b.slice" };
	char out[CG_REL_MAX], longest[CG_REL_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(cgroup_rel(good[i].slice, good[i].id, out), 0);
		assert_string_equal(out, good[i].rel);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(cgroup_rel(bad[i], "id", out), -EINVAL);
	assert_int_equal(cgroup_rel(NULL, "../x", out), -EINVAL);
	assert_int_equal(cgroup_rel(NULL, "", out), -EINVAL);
	/* Nested names add up to more than their own length. */
	for (size_t i = 0; i < 120; i++)
		longest[i] = i % 2 ? '-' : 'a';
	longest[119] = '\0';
	assert_int_equal(cgroup_rel(longest, "id", out), -ENAMETOOLONG);
}

static void
test_victims(void **state)
{
	struct victim v;

	(void)state;
	assert_true(cgroup_parse_victim("4,1234,5678,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"
					"oom_memcg=/x/agents/s,task_memcg=/x/agents/s,task=hog,pid=77,uid=0\n SUBSYSTEM=x\n", &v));
	assert_string_equal(v.path, "/x/agents/s");
	assert_string_equal(v.name, "hog");
	assert_int_equal(v.pid, 77);
	/* A process may call itself what it likes. */
	assert_true(cgroup_parse_victim("oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/s,task=a,pid=1,pid=88,uid=0\n", &v));
	assert_int_equal(v.pid, 88);
	assert_true(cgroup_parse_victim("oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/s,task=a\033[2J,pid=88,uid=0\n", &v));
	assert_string_equal(v.name, "a?[2J");
	assert_false(cgroup_parse_victim("Memory cgroup out of memory: Killed process 5 (hog) total-vm:1kB\n", &v));
	assert_false(cgroup_parse_victim("oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/s,task=a,uid=0\n", &v));
	assert_false(cgroup_parse_victim("", &v));
}

/* A kernel that said much since the last kill, each record as long as what is read at once: the newest one is found. */
static void
test_a_long_log(void **state)
{
	enum { RECORDS = 20000, RECORD = 8191 };
	static const char last[] = "4,1,2,-;oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/x/agents/" ID ",task=hog,pid=77,uid=0\n";
	struct cgroups *c = calloc(1, sizeof(*c));
	char victim[64];

	(void)state;
	assert_non_null(c);
	c->mode = CGROUP_V2;
	/* Its holes are records without a word. */
	c->kmsg = memfd_create("log", MFD_CLOEXEC);
	assert_true(c->kmsg >= 0);
	assert_int_equal(pwrite(c->kmsg, last, sizeof(last) - 1, (off_t)RECORDS * RECORD), sizeof(last) - 1);
	assert_true(cgroup_oom_victim(c, NULL, ID, victim));
	assert_string_equal(victim, "hog[77]");
	close(c->kmsg);
	free(c);
}

static void
test_none(void **state)
{
	struct cgroups *c = NULL;
	struct limits l = unlimited();
	struct cgroup_usage u;
	struct buf b = BUF_INIT;
	struct err e = { 0 };
	char victim[64], **v;

	(void)state;
	assert_int_equal(cgroup_open(&c, "none", NULL, why, &e), 0);
	assert_int_equal(cgroup_mode(c), CGROUP_NONE);
	assert_non_null(strstr(why, "switched off"));
	for (int k = 0; k < CG_CONTROLLERS; k++)
		assert_false(cgroup_has(c, k));
	assert_int_equal(cgroup_make(c, NULL, ID, &l, NULL, &e), -EOPNOTSUPP);
	assert_int_equal(cgroup_kill(c, NULL, ID, &e), -EOPNOTSUPP);
	assert_int_equal(cgroup_freeze(c, NULL, ID, true, &e), -EOPNOTSUPP);
	assert_int_equal(cgroup_read_usage(c, NULL, ID, &u, &e), -EOPNOTSUPP);
	assert_int_equal(cgroup_watch_oom(c, NULL, ID), -1);
	assert_false(cgroup_oom_victim(c, NULL, ID, victim));
	assert_int_equal(cgroup_shim_fd(c), -1);
	cgroup_sweep(c, NULL, NULL);
	assert_null(cgroup_lacks(c, &l));
	l.memory_max = MIB, l.tasks_max = 5, l.cpus = (char *)"0";
	v = cgroup_lacks(c, &l);
	assert_int_equal(strv_len(v), 3);
	assert_string_equal(v[0], "MemoryMax");
	strv_free(v);
	cgroup_close(c);

	u = (struct cgroup_usage){ -1, 5, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0.5, -1 };
	cgroup_usage_json(&b, &u);
	assert_non_null(strstr(b.data, "{\"memory_bytes\":null,\"memory_peak_bytes\":5,\"swap_bytes\":null,"));
	assert_non_null(strstr(b.data, "\"cpu_pressure\":0.50,\"io_pressure\":null}"));
	buf_free(&b);
}

/* ---- the rig of the live tests ---- */

static int
open_groups(void **state)
{
	struct err e = { 0 };

	(void)state;
	snprintf(level, sizeof(level), "aod-test-%d", getpid());
	if (cgroup_open(&cg, where, level, why, &e) < 0) {
		print_message("# %s\n", e.text);
		return -1;
	}
	return 0;
}

static bool
keep_nothing(const char *id, void *arg)
{
	(void)id, (void)arg;
	return false;
}

/* Nothing of a test is left, whether it went well or not. */
static int
end_test(void **state)
{
	static const char *const slices[] = { NULL, "top.slice", "top-sub.slice" };
	int64_t deadline = mono_us() + DEADLINE_US;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(slices); i++)
		while (cgroup_mode(cg) != CGROUP_NONE && cgroup_kill(cg, slices[i], ID, NULL) > 0 && mono_us() < deadline)
			while (waitpid(-1, NULL, WNOHANG) > 0)
				;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	cgroup_sweep(cg, keep_nothing, NULL);
	return 0;
}

static int
close_groups(void **state)
{
	CLEANUP_FREE char *base = cg->count ? xstrdup(cg->h[0].base) : NULL;
	int left;

	(void)state;
	cgroup_close(cg);
	cg = NULL;
	left = base && access(base, F_OK) == 0;
	if (left)
		print_message("# %s is left\n", base);
	return left ? -1 : 0;
}

static bool
cannot(enum cgroup_controller k, const char *name)
{
	/* The reason was told by the first test. */
	if (cgroup_mode(cg) == CGROUP_NONE)
		return true;
	if (!cgroup_has(cg, k)) {
		print_message("# skipped: no %s here\n", name);
		return true;
	}
	return false;
}
#define NEED(k) do { if (cannot(CG_##k, #k)) { skip(); return; } } while (0)

static void
make(const char *slice, const struct limits *l)
{
	struct err e = { 0 };
	int r = cgroup_make(cg, slice, ID, l, NULL, &e);

	if (r < 0)
		fail_msg("%s", e.text);
}

/* Where the group is, in the words of the shim's spec; NULL: nowhere. */
static char **
spec(const char *slice, const char *id)
{
	char rel[CG_REL_MAX], **out = NULL;

	assert_int_equal(cgroup_rel(slice, id, rel), 0);
	for (int i = 0; i < cg->count; i++) {
		CLEANUP_FREE char *word = xasprintf("cgroup%s=%s/agents/%s", cg->h[i].v2 ? "" : "_v1", cg->h[i].base, rel);

		if (faccessat(cg->h[i].agents, rel, F_OK, 0) == 0)
			out = strv_add(out, word);
	}
	return out;
}

static void
join(const char *slice)
{
	char **words = spec(slice, ID);

	for (char **s = words; s && *s; s++) {
		bool v2 = str_starts(*s, "cgroup=");
		CLEANUP_FREE char *path = xasprintf("%s/%s", strchr(*s, '=') + 1, v2 ? "cgroup.procs" : "tasks");

		if (cgroup_put(AT_FDCWD, path, "0") < 0)
			_exit(99);
	}
	if (!words)
		_exit(98);
	strv_free(words);
}

/* A process in the session's groups that runs f. */
static pid_t
start(const char *slice, int (*f)(void *arg), void *arg)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		join(slice);
		_exit(f(arg));
	}
	return pid;
}

/* Between two looks. */
static void
breathe(void)
{
	struct timespec ts = { 0, 1000000 };

	nanosleep(&ts, NULL);
}

/* Kill until nothing is left, with ever longer pauses: a look costs what those that die need. How many rounds it took. */
static int
kill_all(void)
{
	int64_t deadline = mono_us() + DEADLINE_US;
	struct timespec ts = { 0, 1000000 };
	struct err e = { 0 };
	int n, rounds = 0;

	while ((n = cgroup_kill(cg, NULL, ID, &e)) > 0 && mono_us() < deadline) {
		nanosleep(&ts, NULL);
		ts.tv_nsec += ts.tv_nsec / 4;
		rounds++;
	}
	assert_int_equal(n, 0);
	return rounds;
}

/* Status of the process, which is waited for with a deadline. */
static int
finish(pid_t pid)
{
	int64_t deadline = mono_us() + DEADLINE_US;
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (mono_us() > deadline) {
			kill(pid, SIGKILL);
			fail_msg("process %d does not end", pid);
		}
		breathe();
	}
	return status;
}

static struct cgroup_usage
usage(const char *slice)
{
	struct cgroup_usage u;
	struct err e = { 0 };

	if (cgroup_read_usage(cg, slice, ID, &u, &e) < 0)
		fail_msg("%s", e.text);
	return u;
}

/* Until the one that was started is in the session's group. */
static void
await_task(const char *slice)
{
	int64_t deadline = mono_us() + DEADLINE_US;

	while (usage(slice).tasks == 0) {
		if (mono_us() > deadline)
			fail_msg("nobody is in the group");
		sched_yield();
	}
}

static int
touch_memory(void *arg)
{
	size_t n = (size_t)*(int64_t *)arg;
	char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 97;
	for (size_t i = 0; i < n; i += 4096)
		p[i] = (char)(i >> 12 | 1);
	return 0;
}

static int
spin(void *arg)
{
	volatile int64_t *count = arg;

	for (;;)
		if (count)
			(*count)++;
	return 0;
}

static void *
shared(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

/* Until a counter that another process runs up has moved on. */
static bool
moves_on(volatile int64_t *count, int64_t within_us)
{
	int64_t was = *count, deadline = mono_us() + within_us;

	while (*count == was && mono_us() < deadline)
		sched_yield();
	return *count != was;
}

/* ---- live ---- */

static void
test_what_there_is(void **state)
{
	static const char *const names[] = { "memory", "pids", "cpu", "io", "cpuset", "freezer", "kill", "cpuacct", "psi" };
	CLEANUP_FREE char *line = xasprintf("%s", cgroup_mode(cg) == CGROUP_V2 ? "v2:" : cgroup_mode(cg) == CGROUP_V1 ? "v1:" : "none:");

	(void)state;
	if (cgroup_mode(cg) == CGROUP_NONE) {
		assert_int_not_equal(why[0], '\0');
		print_message("# skipped: %s\n", why);
		skip();
	}
	for (int k = 0; k < CG_CONTROLLERS; k++)
		if (cgroup_has(cg, k)) {
			char *more = xasprintf("%s %s", line, names[k]);

			free(line);
			line = more;
		}
	print_message("# %s, %d groups a session at most\n", line, cg->count);
	assert_int_equal(cgroup_shim_fd(cg) >= 0, cgroup_mode(cg) == CGROUP_V2);
}

static void
test_make_and_remove(void **state)
{
	struct limits l = unlimited();
	char **words, **again, **told = NULL;
	struct err e = { 0 };

	(void)state;
	NEED(FREEZER);
	assert_int_equal(cgroup_make(cg, NULL, ID, &l, &told, &e), 0);
	words = spec(NULL, ID);
	assert_non_null(words);
	assert_int_equal(strv_len(told), strv_len(words));
	for (size_t i = 0; told[i]; i++)
		assert_string_equal(told[i], words[i]);
	strv_free(told);
	assert_true(str_starts(words[0], cgroup_has(cg, CG_KILL) ? "cgroup=/" : "cgroup_v1=/"));
	for (char **s = words; *s; s++) {
		assert_int_equal(access(strchr(*s, '=') + 1, F_OK), 0);
		assert_true(s == words || str_starts(*s, "cgroup_v1=/"));
	}
	/* Once more is no error, and the same. */
	make(NULL, &l);
	again = spec(NULL, ID);
	assert_int_equal(strv_len(again), strv_len(words));
	assert_int_equal(usage(NULL).tasks, 0);
	assert_int_equal(cgroup_remove(cg, NULL, ID, &e), 0);
	for (char **s = words; *s; s++)
		assert_int_equal(access(strchr(*s, '=') + 1, F_OK), -1);
	assert_int_equal(cgroup_remove(cg, NULL, ID, &e), 0);
	assert_null(spec(NULL, ID));
	strv_free(words);
	strv_free(again);
}

static int64_t
file_number(enum cgroup_controller k, const char *v2, const char *v1)
{
	const struct hierarchy *h = &cg->h[cg->owner[k]];
	CLEANUP_FREE char *path = xasprintf("%s/%s", ID, h->v2 ? v2 : v1);
	char text[CG_TEXT_MAX];

	assert_true(cgroup_get(h->agents, path, text, sizeof(text)) > 0);
	return cgroup_parse_number(text, NULL);
}

/* Memory's and swap's limits are changed in any order, with each other in the way on v1. */
static void
test_memory_limits_change(void **state)
{
	static const int64_t sizes[] = { 64 * MIB, 256 * MIB, 16 * MIB, LIMIT_INFINITY, 32 * MIB };
	struct limits l = unlimited(), more = unlimited();
	struct err e = { 0 };
	bool swap;
	char **v;

	(void)state;
	NEED(MEMORY);
	l.memory_max = 128 * MIB;
	l.memory_swap_max = 8 * MIB;
	v = cgroup_lacks(cg, &l);
	swap = v == NULL;
	strv_free(v);
	make(NULL, &l);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		more.memory_max = sizes[i];
		if (cgroup_set(cg, NULL, ID, &more, &e) < 0)
			fail_msg("%s", e.text);
		if (sizes[i] != LIMIT_INFINITY)
			assert_int_equal(file_number(CG_MEMORY, "memory.max", "memory.limit_in_bytes"), sizes[i]);
		/* What was allowed beyond memory stays, until there is no bound to be beyond of. */
		if (swap && i < 3)
			assert_int_equal(file_number(CG_MEMORY, "memory.swap.max", "memory.memsw.limit_in_bytes"),
					 (cgroup_mode(cg) == CGROUP_V2 ? 0 : sizes[i]) + 8 * MIB);
	}
	if (!swap)
		print_message("# no swap accounting here\n");
}

static void
test_memory(void **state)
{
	int64_t little = 8 * MIB, much = 200 * MIB;
	struct limits l = unlimited();
	struct cgroup_usage u;
	struct pollfd p = { .events = POLLIN };
	char victim[64], want[64];
	pid_t pid;
	int status;

	(void)state;
	NEED(MEMORY);
	l.memory_max = 64 * MIB;
	l.memory_swap_max = 0;
	make(NULL, &l);
	p.fd = cgroup_watch_oom(cg, NULL, ID);
	assert_true(p.fd >= 0);
	status = finish(start(NULL, touch_memory, &little));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(usage(NULL).oom_kills, 0);
	pid = start(NULL, touch_memory, &much);
	status = finish(pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(poll(&p, 1, (int)(DEADLINE_US / 1000)), 1);
	close(p.fd);
	u = usage(NULL);
	assert_int_equal(u.oom_kills, 1);
	if (u.memory_peak_bytes >= 0)
		assert_in_range(u.memory_peak_bytes, 32 * MIB, 64 * MIB);
	else
		print_message("# no memory.peak here\n");
	/* Under another program's name where valgrind or the like runs us; in another pid namespace, with another number. */
	snprintf(want, sizeof(want), "test-cgroup[%d]", pid);
	if (cgroup_oom_victim(cg, NULL, ID, victim))
		assert_string_equal(victim, want);
	else
		print_message("# the kernel's log cannot be read here, or does not say\n");
	assert_false(cgroup_oom_victim(cg, NULL, "another", victim));
}

static int
fork_many(void *arg)
{
	int *done = arg;

	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			pause();
			_exit(0);
		}
		if (pid > 0)
			(*done)++;
	}
	return 0;
}

static void
test_tasks(void **state)
{
	struct limits l = unlimited();
	int *done = shared(sizeof(*done));
	struct cgroup_usage u;
	struct err e = { 0 };

	(void)state;
	NEED(PIDS);
	l.tasks_max = 5;
	make(NULL, &l);
	finish(start(NULL, fork_many, done));
	assert_int_equal(*done, 4);
	u = usage(NULL);
	assert_int_equal(u.tasks, 4);
	if (u.tasks_peak >= 0)
		assert_int_equal(u.tasks_peak, 5);
	assert_true(u.tasks_max_hits >= 1);
	assert_int_equal(cgroup_remove(cg, NULL, ID, &e), -EBUSY);
	assert_non_null(strstr(e.text, ID));
	/* More are allowed: what runs is not in the way. */
	l.tasks_max = 12;
	assert_int_equal(cgroup_set(cg, NULL, ID, &l, &e), 0);
	*done = 0;
	finish(start(NULL, fork_many, done));
	assert_int_equal(*done, 12 - 5);
	munmap(done, sizeof(*done));
}

/* Share of one processor that the session gets over a while, in per cent, by the group's own figures. */
static double
share_of_cpu(const char *slice, int64_t span_us)
{
	int64_t from = mono_us(), was = usage(slice).cpu_us, used;

	while (mono_us() - from < span_us)
		breathe();
	/* The time that it is divided by is not the shorter one, however long this process waits for a processor here or there. */
	used = usage(slice).cpu_us - was;
	return 100.0 * (double)used / (double)(mono_us() - from);
}

static void
test_cpu(void **state)
{
	struct limits l = unlimited();
	struct err e = { 0 };
	double before, after;
	int64_t deadline;

	(void)state;
	NEED(CPU);
	/* A limit that comes while the session runs, and for which it has no group yet on v1. */
	make(NULL, &l);
	start(NULL, spin, NULL);
	deadline = mono_us() + DEADLINE_US;
	do
		before = share_of_cpu(NULL, 100000);
	while (before < 30 && mono_us() < deadline);
	l.cpu_quota_us = 10000;
	l.cpu_period_us = 100000;
	l.cpu_weight = 50;
	if (cgroup_set(cg, NULL, ID, &l, &e) < 0)
		fail_msg("%s", e.text);
	share_of_cpu(NULL, 100000);
	after = share_of_cpu(NULL, 600000);
	print_message("# CPUQuota=10%%: from %.0f %% to %.1f %% of a processor\n", before, after);
	assert_true(before > 15);
	assert_true(after > 1 && after < 20);
	assert_true(usage(NULL).cpu_throttled_us > 0);
	assert_true(usage(NULL).cpu_user_us >= 0);
	l.cpu_quota_us = LIMIT_INFINITY;
	l.cpu_period_us = 50000;
	l.cpu_weight = 0;
	if (cgroup_set(cg, NULL, ID, &l, &e) < 0)
		fail_msg("%s", e.text);
}

static void
test_cpuset(void **state)
{
	struct limits l = unlimited();
	struct err e = { 0 };
	char path[64], text[4096];
	pid_t pid;

	(void)state;
	NEED(CPUSET);
	l.cpus = (char *)"0";
	make(NULL, &l);
	pid = start(NULL, spin, NULL);
	await_task(NULL);
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	assert_true(cgroup_get(AT_FDCWD, path, text, sizeof(text)) > 0);
	/* The child may be on its way in through the other hierarchies. */
	for (int64_t deadline = mono_us() + DEADLINE_US; !strstr(text, "Cpus_allowed_list:\t0\n") && mono_us() < deadline;)
		assert_true(cgroup_get(AT_FDCWD, path, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "Cpus_allowed_list:\t0\n"));
	l.cpus = (char *)"rubbish";
	assert_true(cgroup_set(cg, NULL, ID, &l, &e) < 0);
	assert_non_null(strstr(e.text, "AllowedCPUs="));
}

static int
write_direct(void *arg)
{
	int fd = open(arg, O_WRONLY | O_CREAT | O_DIRECT | O_TRUNC, 0600);
	void *p = NULL;

	if (fd < 0 || posix_memalign(&p, 4096, 1 << 20) != 0)
		return 96;
	memset(p, 1, 1 << 20);
	for (int i = 0; i < 4; i++)
		if (write(fd, p, 1 << 20) != 1 << 20)
			return 95;
	return 0;
}

static void
test_io(void **state)
{
	char file[] = "/var/tmp/aod-test-cgroup-XXXXXX";
	struct limits l = unlimited();
	int64_t from, free_us, bound_us;
	struct err e = { 0 };
	int fd, status = 0;

	(void)state;
	NEED(IO);
	fd = mkstemp(file);
	assert_true(fd >= 0);
	close(fd);
	make(NULL, &l);
	/* The best of some: others use the disk as well. */
	free_us = INT64_MAX;
	for (int i = 0; i < 5 && status == 0; i++) {
		from = mono_us();
		status = finish(start(NULL, write_direct, file));
		if (mono_us() - from < free_us)
			free_us = mono_us() - from;
	}
	l.io[0] = (struct io_limit){ file, LIMIT_UNSET, 4 * MIB, LIMIT_UNSET, LIMIT_UNSET };
	l.io_count = 1;
	if (status != 0 || cgroup_set(cg, NULL, ID, &l, &e) == -ENOTBLK) {
		print_message("# skipped: /var/tmp is on no disk that can be limited\n");
		unlink(file);
		skip();
	}
	from = mono_us();
	status = finish(start(NULL, write_direct, file));
	bound_us = mono_us() - from;
	unlink(file);
	assert_int_equal(status, 0);
	assert_int_equal(e.code, 0);
	print_message("# 4 MiB: %lld ms, with IOWriteBandwidthMax=4M %lld ms\n", (long long)free_us / 1000, (long long)bound_us / 1000);
	assert_true(bound_us > 600000 && bound_us > free_us);
	assert_true(usage(NULL).io_write_bytes >= 4 * MIB);
	l.io[0].path = (char *)"/proc";
	assert_int_equal(cgroup_set(cg, NULL, ID, &l, &e), -ENOTBLK);
	assert_int_equal(e.status, 422);
	assert_non_null(strstr(e.text, "IOWriteBandwidthMax="));
}

static void
freeze(bool on)
{
	int64_t deadline = mono_us() + DEADLINE_US;
	struct err e = { 0 };
	int r;

	while ((r = cgroup_freeze(cg, NULL, ID, on, &e)) == -EAGAIN && mono_us() < deadline)
		;
	if (r < 0)
		fail_msg("%s", e.text);
}

static void
test_freeze(void **state)
{
	volatile int64_t *count = shared(sizeof(*count));
	struct limits l = unlimited();
	struct err e = { 0 };
	int status;
	pid_t pid;

	(void)state;
	NEED(FREEZER);
	make(NULL, &l);
	pid = start(NULL, spin, (void *)count);
	for (int i = 0; i < 3; i++) {
		assert_true(moves_on(count, DEADLINE_US));
		freeze(true);
		assert_false(moves_on(count, 30000));
		freeze(false);
	}
	assert_true(moves_on(count, DEADLINE_US));
	/* A frozen session can be killed. */
	freeze(true);
	assert_int_equal(cgroup_kill(cg, NULL, ID, &e), 1);
	status = finish(pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(cgroup_kill(cg, NULL, ID, &e), 0);
	assert_int_equal(cgroup_freeze(cg, NULL, "nobody", true, &e), -ENOENT);
	munmap((void *)count, sizeof(*count));
}

static int tree = 500; /* $AOD_TEST_TREE: on a machine that is emulated, each costs its time */

static int
grow_tree(void *arg)
{
	volatile int64_t *count = arg;

	for (int i = 0; i < tree; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			setsid();
			if (fork() == 0) {
				signal(SIGTERM, SIG_IGN);
				__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
				for (;;)
					pause();
			}
			_exit(0);
		}
		if (pid < 0)
			return 94;
		waitpid(pid, NULL, 0);
	}
	return 0;
}

static void
test_kill_of_a_tree(void **state)
{
	volatile int64_t *count = shared(sizeof(*count));
	struct limits l = unlimited();
	struct err e = { 0 };
	int64_t from, deadline = mono_us() + DEADLINE_US;
	int rounds;

	(void)state;
	NEED(FREEZER);
	make(NULL, &l);
	assert_int_equal(finish(start(NULL, grow_tree, (void *)count)), 0);
	while (*count < tree && mono_us() < deadline)
		sched_yield();
	assert_int_equal(*count, tree);
	from = mono_us();
	rounds = kill_all();
	print_message("# %d processes that left their session and ignore SIGTERM: gone %.1f ms after the kill, in %d rounds\n", tree,
		      (double)(mono_us() - from) / 1000, rounds);
	assert_int_equal(cgroup_remove(cg, NULL, ID, &e), 0);
	munmap((void *)count, sizeof(*count));
}

static int
fork_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		if (fork() < 0)
			sched_yield();
	return 0;
}

static void
test_kill_of_a_fork_bomb(void **state)
{
	struct limits l = unlimited();
	int64_t deadline = mono_us() + DEADLINE_US;

	(void)state;
	NEED(PIDS);
	l.tasks_max = 100;
	make(NULL, &l);
	start(NULL, fork_for_ever, NULL);
	while (usage(NULL).tasks < 100 && mono_us() < deadline)
		sched_yield();
	print_message("# a fork bomb of 100: gone in %d rounds\n", kill_all());
}

static void
test_slices(void **state)
{
	struct limits l = unlimited();
	int *done = shared(sizeof(*done));
	struct err e = { 0 };
	double after;

	(void)state;
	NEED(PIDS);
	l.tasks_max = 3;
	assert_int_equal(cgroup_set_slice(cg, "top.slice", &l, &e), 0);
	l = unlimited();
	make("top-sub.slice", &l);
	make("top.slice", &l);
	/* What the slice allows is for both sessions. */
	finish(start("top.slice", fork_many, done));
	assert_int_equal(*done, 2);
	*done = 0;
	finish(start("top-sub.slice", fork_many, done));
	assert_int_equal(*done, 0);
	assert_int_equal(usage("top.slice").tasks, 2);
	assert_int_equal(usage("top-sub.slice").tasks, 0);
	l.tasks_max = LIMIT_INFINITY;
	assert_int_equal(cgroup_set_slice(cg, "top.slice", &l, &e), 0);
	assert_int_equal(cgroup_set_slice(cg, "../x", &l, &e), -EINVAL);
	assert_int_equal(e.status, 422);
	munmap(done, sizeof(*done));
	if (!cgroup_has(cg, CG_CPU))
		return;
	/* A limit of the slice that comes later is one of what runs in it. */
	start("top-sub.slice", spin, NULL);
	l = unlimited();
	l.cpu_quota_us = 10000;
	await_task("top-sub.slice");
	share_of_cpu("top-sub.slice", 50000);
	if (cgroup_set_slice(cg, "top.slice", &l, &e) < 0)
		fail_msg("%s", e.text);
	share_of_cpu("top-sub.slice", 100000);
	after = share_of_cpu("top-sub.slice", 600000);
	print_message("# CPUQuota=10%% of the slice above: %.1f %%\n", after);
	assert_true(after > 1 && after < 20);
}

static bool
keep_second(const char *id, void *arg)
{
	++*(int *)arg;
	return !strcmp(id, "second");
}

static void
test_sweep(void **state)
{
	struct limits l = unlimited();
	struct err e = { 0 };
	int asked = 0;
	char **words;

	(void)state;
	NEED(FREEZER);
	make(NULL, &l);
	make("top-sub.slice", &l);
	assert_int_equal(cgroup_make(cg, "top.slice", "second", &l, NULL, &e), 0);
	assert_int_equal(cgroup_make(cg, NULL, "third", &l, NULL, &e), 0);
	cgroup_sweep(cg, keep_second, &asked);
	assert_int_equal(asked % 4, 0);
	assert_true(asked >= 4);
	assert_null(spec(NULL, ID));
	assert_null(spec("top-sub.slice", ID));
	assert_null(spec(NULL, "third"));
	words = spec("top.slice", "second");
	assert_non_null(words);
	strv_free(words);
	assert_int_equal(faccessat(cg->h[0].agents, "top.slice/top-sub.slice", F_OK, 0), -1);
}

/* What a session made below its own group, as root can without a sandbox, goes with it. */
static void
test_groups_below(void **state)
{
	struct limits l = unlimited();
	struct err e = { 0 };
	CLEANUP_FREE char *procs = NULL;
	char **words, number[16];
	pid_t pid;

	(void)state;
	NEED(FREEZER);
	make(NULL, &l);
	pid = start(NULL, spin, NULL);
	words = spec(NULL, ID);
	await_task(NULL);
	assert_int_equal(mkdirat(cg->h[0].agents, ID "/own", 0755), 0);
	procs = xasprintf("%s/own/cgroup.procs", strchr(words[0], '=') + 1);
	strv_free(words);
	snprintf(number, sizeof(number), "%d", pid);
	assert_int_equal(cgroup_put(AT_FDCWD, procs, number), 0);
	assert_int_equal(cgroup_remove(cg, NULL, ID, &e), -EBUSY);
	assert_int_equal(cgroup_kill(cg, NULL, ID, &e), 1);
	finish(pid);
	assert_int_equal(cgroup_remove(cg, NULL, ID, &e), 0);
}

static void
test_errors(void **state)
{
	struct limits l = unlimited();
	struct cgroup_usage u;
	struct err e = { 0 };

	(void)state;
	NEED(FREEZER);
	assert_int_equal(cgroup_make(cg, NULL, "a/b", &l, NULL, &e), -EINVAL);
	assert_int_equal(e.status, 422);
	assert_int_equal(cgroup_set(cg, NULL, "nobody", &l, &e), -ENOENT);
	assert_int_equal(cgroup_read_usage(cg, NULL, "nobody", &u, &e), -ENOENT);
	assert_int_equal(cgroup_kill(cg, NULL, "nobody", &e), 0);
	assert_int_equal(cgroup_watch_oom(cg, NULL, "nobody"), -1);
	assert_non_null(cg->h[0].base);
	make(NULL, &l);
	if (cgroup_has(cg, CG_MEMORY)) {
		l.memory_high = 5 * MIB;
		if (cgroup_mode(cg) == CGROUP_V1) {
			char **v = cgroup_lacks(cg, &l);

			assert_int_equal(strv_len(v), 1);
			assert_string_equal(v[0], "MemoryHigh");
			strv_free(v);
		} else {
			assert_null(cgroup_lacks(cg, &l));
			assert_int_equal(cgroup_set(cg, NULL, ID, &l, &e), 0);
		}
	}
}

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void
test_speed(void **state)
{
	int64_t made[100], removed[100];
	struct limits l = unlimited();
	struct err e = { 0 };

	(void)state;
	NEED(FREEZER);
	l.memory_max = 1 << 30;
	l.tasks_max = 1000;
	for (size_t i = 0; i < ARRAY_LEN(made); i++) {
		int64_t from = mono_us();
		char **words;

		make(NULL, &l);
		words = spec(NULL, ID);
		made[i] = mono_us() - from;
		strv_free(words);
		from = mono_us();
		assert_int_equal(cgroup_remove(cg, NULL, ID, &e), 0);
		removed[i] = mono_us() - from;
	}
	qsort(made, ARRAY_LEN(made), sizeof(made[0]), by_value);
	qsort(removed, ARRAY_LEN(removed), sizeof(removed[0]), by_value);
	print_message("# a session's groups with MemoryMax= and TasksMax=: made in %lld us (p99 %lld), removed in %lld us\n", (long long)made[50],
		      (long long)made[98], (long long)removed[50]);
	/* The best of them: the others may have waited for a processor. */
	assert_true(made[0] < 20000);
}

/* Without groups the other tests of this kind have failed before they begin. */
static int
start_test(void **state)
{
	(void)state;
	return cg ? 0 : -1;
}

static void
test_open_auto(void **state)
{
	where = "auto";
	assert_int_equal(open_groups(state), 0);
}

static void
test_open_v1(void **state)
{
	where = "v1";
	assert_int_equal(open_groups(state), 0);
}

static void
test_close(void **state)
{
	assert_int_equal(close_groups(state), 0);
}

#define LIVE(f) cmocka_unit_test_setup_teardown(f, start_test, end_test)
#define ALL_LIVE                                                                                                                                  \
	LIVE(test_what_there_is), LIVE(test_make_and_remove), LIVE(test_memory_limits_change), \
	LIVE(test_memory), LIVE(test_tasks), LIVE(test_cpu), \
	LIVE(test_cpuset), LIVE(test_io), LIVE(test_freeze), \
	LIVE(test_kill_of_a_tree), LIVE(test_kill_of_a_fork_bomb), LIVE(test_slices), \
	LIVE(test_sweep), LIVE(test_groups_below), LIVE(test_errors), \
	LIVE(test_speed)

int
main(void)
{
	/* One group, as a harness takes one plan; what the host has no cgroup v1 for stands at the end. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_io_and_pressure), cmocka_unit_test(test_own_group),
		cmocka_unit_test(test_names),	cmocka_unit_test(test_victims),		cmocka_unit_test(test_none),
		cmocka_unit_test(test_a_long_log),
		cmocka_unit_test(test_open_auto), ALL_LIVE, cmocka_unit_test(test_close),
		cmocka_unit_test(test_open_v1), ALL_LIVE, cmocka_unit_test(test_close),
	};
	size_t count = ARRAY_LEN(tests), second = (count - 7) / 2;
	bool v1;

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (getenv("AOD_TEST_TREE"))
		tree = atoi(getenv("AOD_TEST_TREE"));
	where = "v1";
	v1 = open_groups(NULL) == 0 && cgroup_mode(cg) == CGROUP_V1;
	cgroup_close(cg);
	cg = NULL;
	return _cmocka_run_group_tests("cgroup", tests, v1 ? count : count - second, NULL, NULL);
}

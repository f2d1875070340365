/* SPDX-License-Identifier: MIT */
/*
 * What a filter costs a system call: nanoseconds of three calls without one and under the filter of each profile, the best of five, in a process of
 * its own for each. Prints one JSON object. A call that is allowed whatever its arguments are is looked up by the kernel; one with rules about its
 * arguments runs the program each time, and most so one that is far down in it.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "aod/seccomp.h"
#include "base/util.h"
#include "model/blueprint.h"

#define ROUNDS 5
#define CALLS 400000

static const struct call {
	const char *name;
	long nr, a0, a1;
} calls[] = {
	{ "getppid", SYS_getppid, 0, 0 },	/* by number alone */
	{ "ioctl", SYS_ioctl, -1, TCGETS },	/* EBADF; with rules */
	{ "socket", SYS_socket, 2, 0x7fffffff },/* EINVAL; with the most */
};

static double
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double
measure(const struct call *c)
{
	double best = 1e9;

	for (int round = 0; round < ROUNDS; round++) {
		double begun = now_ns();

		for (int i = 0; i < CALLS; i++)
			syscall(c->nr, c->a0, c->a1, 0L);
		begun = (now_ns() - begun) / CALLS;
		if (begun < best)
			best = begun;
	}
	return best;
}

static void
load(int fd)
{
	static struct sock_filter prog[BPF_MAXINSNS];
	ssize_t n = pread(fd, prog, sizeof(prog), 0);
	struct sock_fprog f = { .len = (unsigned short)((size_t)n / sizeof(*prog)), .filter = prog };

	if (n <= 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &f) < 0) {
		perror("seccomp");
		_exit(1);
	}
}

/* In a child, as a filter never goes. */
static int
figures(const char *name, int fd)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (fd >= 0)
			load(fd);
		printf("\"%s\":{", name);
		for (size_t i = 0; i < ARRAY_LEN(calls); i++)
			printf("%s\"%s\":%.1f", i ? "," : "", calls[i].name, measure(&calls[i]));
		printf("}");
		fflush(stdout);
		_exit(0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static struct sandbox *
sandbox_of(const char *profile)
{
	CLEANUP_FREE char *text = xasprintf("[Sandbox]\nSandbox=%s\n", profile);
	struct blueprint *b = blueprint_new("b", NULL), *effective;
	struct blueprint_problems problems = BLUEPRINT_PROBLEMS_INIT;
	struct sandbox_paths paths = {
		.cwd = "/srv/p", .own = "/var/lib/aod/s", .tmp = "/var/lib/aod/s/tmp", .program = "/bin/sh", .state = "/var/lib/aod", .run = "/run/aod",
		.etc = "/etc/aod", .home = "/var/lib/aod/s/home", .root = true,
	};
	struct limit_totals totals = { 0 };
	struct sandbox *s = NULL;
	struct err e = { 0 };

	blueprint_add(b, NULL, text, strlen(text), &problems);
	effective = sandbox_effective(b);
	if (sandbox_make(effective, &paths, &totals, &s, &e) < 0)
		fprintf(stderr, "%s\n", e.text);
	blueprint_free(effective);
	blueprint_free(b);
	return s;
}

int
main(void)
{
	static const char *const profiles[] = { "none", "workspace", "strict" };
	struct seccomp_cache *cache = seccomp_cache_new();
	int rc;

	printf("{");
	rc = figures("bare", -1);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(profiles); i++) {
		struct sandbox *s = sandbox_of(profiles[i]);
		struct err e = { 0 };
		bool none, notify;
		double begun = now_ns();
		int fd = s ? seccomp_get(cache, &s->syscalls, &none, &notify, &e) : -1;

		printf(",\"%s_build_us\":%.0f,\"%s_instructions\":%ld,", profiles[i], (now_ns() - begun) / 1000, profiles[i],
		       fd < 0 ? 0 : (long)lseek(fd, 0, SEEK_END) / (long)sizeof(struct sock_filter));
		rc = fd < 0 ? -1 : figures(profiles[i], fd);
		sandbox_free(s);
	}
	printf("}\n");
	seccomp_cache_free(cache);
	return rc < 0;
}

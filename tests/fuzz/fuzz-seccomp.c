/* SPDX-License-Identifier: MIT */
/*
 * Any words as SystemCallFilter=, SystemCallLog=, RestrictAddressFamilies= and the rest: there is either an error with its text, or a program that answers for
 * every call, kills what is not of this machine, and never lets io_uring through that no word names. The first byte chooses among the
 * other keys; words are separated by blanks, the three lists by newlines.
 */
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "aod/seccomp.h"
#include "base/util.h"

#define WORDS_MAX 40
#define CALLS 480

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool ok)
{
	if (!ok)
		abort();
}

/* The words of one line, NULL when there is none. */
static char **
take_line(const char **p, const char *end)
{
	const char *nl = memchr(*p, '\n', (size_t)(end - *p));
	CLEANUP_FREE char *line = xstrndup(*p, (size_t)((nl ? nl : end) - *p));
	char **words = NULL, *save = NULL;

	for (char *w = strtok_r(line, " ", &save); w && strv_len(words) < WORDS_MAX; w = strtok_r(NULL, " ", &save))
		words = strv_add(words, w);
	*p = nl ? nl + 1 : end;
	return words;
}

static bool
names_uring(char *const *words)
{
	for (; words && *words; words++)
		if (strncmp(*words, "io_uring_", 9) == 0)
			return true;
	return false;
}

static void
check(int fd, const struct sandbox_syscalls *s)
{
	for (uint32_t nr = 0; nr < CALLS; nr++) {
		uint32_t action = seccomp_simulate(fd, seccomp_arch_native(), nr, NULL) & SECCOMP_RET_ACTION_FULL;

		require(action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG || action == SECCOMP_RET_ERRNO || action == SECCOMP_RET_KILL_PROCESS ||
			(action == SECCOMP_RET_USER_NOTIF && s->notify));
		if (nr >= 425 && nr <= 427 && !names_uring(s->filter))
			require(action != SECCOMP_RET_ALLOW && action != SECCOMP_RET_LOG && action != SECCOMP_RET_USER_NOTIF);
		require(seccomp_simulate(fd, AUDIT_ARCH_S390X, nr, NULL) == SECCOMP_RET_KILL_PROCESS);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char *native[] = { "native", NULL };
	const char *p = (const char *)data + 1, *end = (const char *)data + size;
	struct seccomp_cache *c;
	struct sandbox_syscalls s = { .architectures = native };
	struct err e = { 0 };
	bool none, notify;
	int fd;

	if (size == 0)
		return 0;
	s.notify = data[0] & 1;
	s.restrict_namespaces = data[0] & 2;
	s.no_suid_sgid = data[0] & 4;
	s.no_realtime = data[0] & 8;
	s.no_clock = s.no_modules = s.no_raw_io = data[0] & 16;
	s.lock_personality = data[0] & 64;
	s.filter = take_line(&p, end);
	s.log = take_line(&p, end);
	s.families = take_line(&p, end);
	c = seccomp_cache_new();
	fd = seccomp_get(c, &s, &none, &notify, &e);
	require(fd >= 0 || (e.status == 422 && *e.text));
	if (fd >= 0)
		check(fd, &s);
	seccomp_cache_free(c);
	strv_free(s.filter);
	strv_free(s.log);
	strv_free(s.families);
	return 0;
}

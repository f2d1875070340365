/* SPDX-License-Identifier: MIT */
/*
 * Landlock: trees that can be written and trees that can be read, and nothing else. Each version of the kernel's interface can forbid more, and what it
 * does not know must not be asked for.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/shim.h"

/* Rights about files, by the version that brought them: 1 the first 13, 2 REFER, 3 TRUNCATE, 5 IOCTL_DEV. */
#define EXECUTE (1ull << 0)
#define WRITE_FILE (1ull << 1)
#define READ_FILE (1ull << 2)
#define READ_DIR (1ull << 3)
#define REFER (1ull << 13)
#define TRUNCATE (1ull << 14)
#define IOCTL_DEV (1ull << 15)
#define READING (EXECUTE | READ_FILE | READ_DIR)
#define OF_A_FILE (EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV)
/* Since version 6. */
#define SCOPE_ABSTRACT_SOCKETS 1ull
#define SCOPE_SIGNALS 2ull
#define RULE_PATH_BENEATH 1

struct ruleset {
	uint64_t fs, net, scoped;
};

struct path_beneath {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

static uint64_t
rights_of(long abi)
{
	uint64_t rights = REFER - 1;

	if (abi >= 2)
		rights |= REFER;
	if (abi >= 3)
		rights |= TRUNCATE;
	if (abi >= 5)
		rights |= IOCTL_DEV;
	return rights;
}

static int
add_trees(int ruleset, char **paths, uint64_t allowed)
{
	struct stat st;
	int r = 0;

	for (; *paths && r == 0; paths++) {
		struct path_beneath rule = {allowed, open(*paths, O_PATH | O_CLOEXEC)};

		/* What the agent cannot reach it cannot be given. */
		if (rule.fd < 0 && (errno == ENOENT || errno == EACCES || errno == ENOTDIR))
			continue;
		if (rule.fd < 0 || fstat(rule.fd, &st) < 0)
			return -errno;
		if (!S_ISDIR(st.st_mode))
			rule.allowed &= OF_A_FILE;
		if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0)
			r = -errno;
		close(rule.fd);
	}
	return r;
}

int
landlock_apply(const struct spec *spec)
{
	bool files = *spec->landlock_rw || *spec->landlock_ro;
	struct ruleset set = {0};
	int fd, r = 0;
	long abi;

	if (!files && !spec->landlock_scope)
		return 0;
	abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */);
	if (abi < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
	if (files)
		set.fs = rights_of(abi);
	if (spec->landlock_scope && abi >= 6)
		set.scoped = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS;
	if (!set.fs && !set.scoped)
		return 0;
	/* Older kernels want no more than they know. */
	fd = (int)syscall(SYS_landlock_create_ruleset, &set, abi >= 6 ? sizeof(set) : sizeof(set.fs), 0);
	if (fd < 0)
		return -errno;
	if (files && (r = add_trees(fd, spec->landlock_rw, set.fs)) == 0)
		r = add_trees(fd, spec->landlock_ro, set.fs & READING);
	if (r == 0 && ((spec->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) ||
		       syscall(SYS_landlock_restrict_self, fd, 0) < 0))
		r = -errno;
	close(fd);
	return r;
}

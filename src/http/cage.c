/* SPDX-License-Identifier: MIT */
/* The cage; see cage.h. Called by main.c, last thing before the first request. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "http/cage.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* ---- privileges -------------------------------------------------------------------------------- */

static int
find_user(const char *name, uid_t *uid, gid_t *gid, struct err *e)
{
	const struct passwd *pw = getpwnam(name);
	int64_t number;

	if (!pw && parse_i64(name, 1, UINT32_MAX - 1, &number)) {
		pw = getpwuid((uid_t)number);
		*uid = (uid_t)number;
		*gid = (gid_t)number;
	} else if (!pw) {
		return err_set(e, -EINVAL, "--user %s: no such user", name);
	}
	if (pw) {
		*uid = pw->pw_uid;
		*gid = pw->pw_gid;
	}
	return *uid == 0 ? err_set(e, -EINVAL, "--user %s: is root", name) : 0;
}

static int
become_user(const char *name, struct err *e)
{
	uid_t uid = 0;
	gid_t gid = 0;
	int r = find_user(name, &uid, &gid, e);

	if (r < 0)
		return r;
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_errno(e, -errno, "--user %s", name);
	if (setuid(0) == 0)
		return err_set(e, -EPERM, "--user %s: privileges came back", name);
	return 0;
}

/* All sets, the bounding set too. Without the right to empty that one there is nothing in it that could be had: see no_new_privs. */
static int
drop_capabilities(bool bounding, struct err *e)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (bounding) {
		for (unsigned long cap = 0; cap <= 63; cap++)
			if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL && errno != EPERM)
				return err_errno(e, -errno, "PR_CAPBSET_DROP");
		return 0;
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &head, none) < 0)
		return err_errno(e, -errno, "capset");
	return 0;
}

static int
drop_privileges(const struct cage *c, struct err *e)
{
	int r = drop_capabilities(true, e);

	if (r == 0 && c->user && geteuid() == 0)
		r = become_user(c->user, e);
	if (r == 0)
		r = drop_capabilities(false, e);
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(e, -errno, "PR_SET_NO_NEW_PRIVS");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_errno(e, -errno, "PR_SET_DUMPABLE");
	if (chdir("/") < 0)
		return err_errno(e, -errno, "chdir /");
	umask(077);
	return 0;
}

/* ---- resources --------------------------------------------------------------------------------- */

static int
limit(int resource, const char *name, int64_t max, struct err *e)
{
	struct rlimit l = {0, 0};

	if (getrlimit((__rlimit_resource_t)resource, &l) < 0)
		return err_errno(e, -errno, "%s", name);
	if (max < 0)
		max = (int64_t)l.rlim_cur; /* what is in effect, for good */
	if ((rlim_t)max < l.rlim_max)
		l.rlim_max = (rlim_t)max;
	l.rlim_cur = l.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &l) < 0 ? err_errno(e, -errno, "%s", name) : 0;
}

static int
limit_resources(const struct cage *c, struct err *e)
{
	const struct {
		int resource;
		const char *name;
		int64_t max;
	} limits[] = {
		{RLIMIT_NPROC, "RLIMIT_NPROC", 0},     {RLIMIT_CORE, "RLIMIT_CORE", 0},	  {RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK", 0},
		{RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE", 0}, {RLIMIT_NOFILE, "RLIMIT_NOFILE", -1}, {RLIMIT_FSIZE, "RLIMIT_FSIZE", c->max_file},
		{RLIMIT_AS, "RLIMIT_AS", CAGE_MEMORY_MAX},
	};
	int r = 0;

	/* A write beyond RLIMIT_FSIZE is an error, not the end. */
	signal(SIGXFSZ, SIG_IGN);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(limits); i++)
		if (!SANITIZED || (limits[i].resource != RLIMIT_AS && limits[i].resource != RLIMIT_NPROC))
			r = limit(limits[i].resource, limits[i].name, limits[i].max, e);
	return r;
}

/* ---- files ------------------------------------------------------------------------------------- */

/* As in linux/landlock.h of 6.12; older headers have less than the kernel may. */
struct ruleset_attr {
	uint64_t fs, net, scoped;
};
struct path_attr {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

enum {
	LL_WRITE_FILE = 1 << 1,
	LL_READ_FILE = 1 << 2,
	LL_READ_DIR = 1 << 3,
	LL_REMOVE_FILE = 1 << 5,
	LL_MAKE_REG = 1 << 8,
	LL_REFER = 1 << 13,
	LL_TRUNCATE = 1 << 14,
	LL_IOCTL_DEV = 1 << 15,
	LL_FS_1 = (1 << 13) - 1, /* all of version 1 */
	LL_NET = 3,		 /* bind, connect over TCP */
	LL_SCOPE = 3,		 /* abstract unix sockets, signals */
};
#define LL_CREATE_RULESET_VERSION 1
#define LL_RULE_PATH_BENEATH 1

/* What may still be used, and how. */
static const struct {
	const char *suffix; /* of the database's name */
	uint64_t allowed;
} trees[] = {
	{"", LL_READ_FILE},
	{"-wal", LL_READ_FILE},
	{"-shm", LL_READ_FILE | LL_WRITE_FILE}, /* readers note there what they read */
	{NULL, LL_READ_FILE | LL_READ_DIR},	/* documents */
	{NULL, LL_READ_FILE | LL_READ_DIR | LL_WRITE_FILE | LL_MAKE_REG | LL_REMOVE_FILE | LL_TRUNCATE}, /* uploads */
};
enum { TREES = ARRAY_LEN(trees) };

static int
open_trees(const struct cage *c, int fds[TREES], struct err *e)
{
	for (int i = 0; i < TREES; i++) {
		CLEANUP_FREE char *path = trees[i].suffix ? xasprintf("%s%s", c->db, trees[i].suffix)
							  : xstrdup(i == TREES - 1 ? c->uploads : c->documents);

		fds[i] = open(path, O_PATH | O_CLOEXEC);
		if (fds[i] < 0)
			return err_errno(e, -errno, "%s", path);
	}
	return 0;
}

/* What a kernel does not know of is left out; file modes and the list of system calls are there all the same. */
static int
keep_to_files(const int fds[TREES], struct err *e)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LL_CREATE_RULESET_VERSION);
	struct ruleset_attr attr = {.fs = LL_FS_1};
	CLEANUP_CLOSE int ruleset = -1;

	if (version < 1 || SANITIZED)
		return 0;
	attr.fs |= (version >= 2 ? LL_REFER : 0) | (version >= 3 ? LL_TRUNCATE : 0) | (version >= 5 ? LL_IOCTL_DEV : 0);
	attr.net = version >= 4 ? LL_NET : 0;
	attr.scoped = version >= 6 ? LL_SCOPE : 0;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, version >= 6 ? 24 : version >= 4 ? 16 : 8, 0);
	if (ruleset < 0)
		return err_errno(e, -errno, "landlock");
	for (int i = 0; i < TREES; i++) {
		struct path_attr rule = {trees[i].allowed & attr.fs, fds[i]};

		if (syscall(SYS_landlock_add_rule, ruleset, LL_RULE_PATH_BENEATH, &rule, 0) < 0)
			return err_errno(e, -errno, "landlock");
	}
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_errno(e, -errno, "landlock");
	return 0;
}

/* ---- system calls ------------------------------------------------------------------------------ */

/* Those that are allowed whatever they are given. What is not here is answered with EPERM. */
static const int calls[] = {
	/* files that are open, and those that Landlock lets be opened */
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(lseek), SCMP_SYS(close),
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(stat), SCMP_SYS(lstat),
	SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(fstatfs), SCMP_SYS(readlink), SCMP_SYS(getcwd), SCMP_SYS(unlinkat),
	SCMP_SYS(ftruncate), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(sync_file_range), SCMP_SYS(fadvise64), SCMP_SYS(sendfile),
	/* sockets that are open */
	SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(shutdown),
	SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
	SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(poll), SCMP_SYS(ppoll),
	/* memory, time, itself */
	SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(sched_yield),
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getrandom),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
	SCMP_SYS(exit), SCMP_SYS(exit_group),
};

/* Those of which one argument decides: it has to be value, where only the bits of mask are looked at. */
static const struct {
	int call;
	unsigned arg;
	uint64_t mask, value;
} some[] = {
	/* no memory that can be written and run, whichever way */
	{SCMP_SYS(mmap), 2, PROT_EXEC, 0}, {SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
	{SCMP_SYS(ioctl), 1, UINT32_MAX, FIONBIO}, {SCMP_SYS(ioctl), 1, UINT32_MAX, TIOCOUTQ},
	{SCMP_SYS(fcntl), 1, UINT32_MAX, F_DUPFD_CLOEXEC}, {SCMP_SYS(fcntl), 1, UINT32_MAX, F_GETFD}, {SCMP_SYS(fcntl), 1, UINT32_MAX, F_SETFD},
	{SCMP_SYS(fcntl), 1, UINT32_MAX, F_GETFL}, {SCMP_SYS(fcntl), 1, UINT32_MAX, F_SETFL}, {SCMP_SYS(fcntl), 1, UINT32_MAX, F_GETLK},
	{SCMP_SYS(fcntl), 1, UINT32_MAX, F_SETLK}, {SCMP_SYS(fcntl), 1, UINT32_MAX, F_SETLKW},
	/* looking at a limit, not changing it */
	{SCMP_SYS(prlimit64), 2, UINT64_MAX, 0},
};

static int
fill_filter(scmp_filter_ctx ctx)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(calls); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(some); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, some[i].call, 1,
				     SCMP_CMP(some[i].arg, SCMP_CMP_MASKED_EQ, some[i].mask, some[i].value));
	/* abort(3) */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	return r;
}

static int
keep_to_calls(struct err *e)
{
	scmp_filter_ctx ctx;
	int r;

	if (SANITIZED)
		return 0;
	ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!ctx)
		return err_set(e, -ENOMEM, "seccomp");
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: few comparisons a call */
	r = fill_filter(ctx);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r < 0 ? err_errno(e, r, "seccomp") : 0;
}

int
cage_close(const struct cage *c, struct err *e)
{
	int fds[TREES] = {-1, -1, -1, -1, -1}, r;

	tzset(); /* reads a file, once */
	/* By their paths while those can be walked; the user may not be able to. */
	r = open_trees(c, fds, e);
	if (r == 0 && (r = drop_privileges(c, e)) == 0 && (r = limit_resources(c, e)) == 0)
		r = keep_to_files(fds, e);
	for (int i = 0; i < TREES; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return r < 0 ? r : keep_to_calls(e);
}

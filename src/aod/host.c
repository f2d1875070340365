/* SPDX-License-Identifier: MIT */
/* The host's features, each tried. See host.h. */
#include "config.h"

#include "aod/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/util.h"

#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
#endif
#ifndef LANDLOCK_CREATE_RULESET_VERSION
#define LANDLOCK_CREATE_RULESET_VERSION 1u
#endif
#define CAP_SYS_NICE_BIT 23
#define CAP_SYS_RESOURCE_BIT 24

static const struct {
	unsigned flag;
	const char *name;
} kinds[] = {
	{ CLONE_NEWNS, "mount" }, { CLONE_NEWPID, "pid" }, { CLONE_NEWNET, "net" },
	{ CLONE_NEWIPC, "ipc" },  { CLONE_NEWUTS, "uts" }, { CLONE_NEWUSER, "user" },
};

/* What f(arg) returns in a child: 0 or an errno. */
static int
in_child(int (*f)(const void *arg), const void *arg)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(f(arg));
	}
	if (pid < 0)
		return errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

static int
try_namespace(const void *arg)
{
	unsigned flags = *(const unsigned *)arg | (geteuid() == 0 ? 0 : CLONE_NEWUSER);

	return unshare((int)flags) < 0 ? errno : 0;
}

static int
mount_proc(const void *arg)
{
	return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ? errno : 0;
}

static int
try_proc(const void *arg)
{
	int flags = CLONE_NEWNS | CLONE_NEWPID | (geteuid() == 0 ? 0 : CLONE_NEWUSER);

	if (unshare(flags) < 0)
		return errno;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return errno;
	/* The first child is in the new pid namespace. */
	return in_child(mount_proc, NULL);
}

static int
write_text(const char *path, const char *text)
{
	CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

/* A user namespace with one user in it, held open; or -errno. Its process ends with the descriptor of the pipe. */
static int
make_user_namespace(void)
{
	int p[2], fd, rc = 0;
	char path[64], byte;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		struct pollfd other_end = { .fd = p[1] };

		close(p[0]);
		byte = unshare(CLONE_NEWUSER) < 0 ? (char)errno : 0;
		/* It has the lock of the root, like every child: were it to stay when aod is killed here, no aod could start there any more. */
		if (write(p[1], &byte, 1) == 1)
			poll(&other_end, 1, -1);
		_exit(0);
	}
	close(p[1]);
	if (pid < 0 || read(p[0], &byte, 1) != 1)
		rc = -EIO;
	else
		rc = -byte;
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	fd = rc == 0 ? open(path, O_RDONLY | O_CLOEXEC) : rc;
	snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
	if (fd >= 0 && write_text(path, "0 61184 1") == 0) {
		snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)pid);
		rc = write_text(path, "0 61184 1");
	}
	close(p[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return rc < 0 ? rc : fd;
}

static int
try_idmap(const void *arg)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	int user = make_user_namespace(), tree;

	if (user < 0)
		return -user;
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, (const char *)arg, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return errno;
	attr.userns_fd = (uint64_t)user;
	return syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? errno : 0;
}

static bool
has_clone3(void)
{
	/* Its size is wrong: refused where it is known. */
	return syscall(SYS_clone3, NULL, 0) < 0 && errno != ENOSYS;
}

static bool
has_capability(unsigned bit)
{
	struct buf b = BUF_INIT;
	const char *line;
	unsigned long long set = 0;

	if (file_read("/proc/self/status", 65536, &b, NULL) == 0 && (line = strstr(b.data, "\nCapEff:")))
		set = strtoull(line + 8, NULL, 16);
	buf_free(&b);
	return set >> bit & 1;
}

static int
lowest_nice(void)
{
	struct rlimit l = { 0, 0 };
	int own = getpriority(PRIO_PROCESS, 0), by_limit;

	if (has_capability(CAP_SYS_NICE_BIT))
		return -20;
	by_limit = getrlimit(RLIMIT_NICE, &l) < 0 ? 20 : l.rlim_cur >= 40 ? -20 : 20 - (int)l.rlim_cur;
	return by_limit < own ? by_limit : own;
}

/* What an ordinary process may lower it to is what someone privileged gave it, and 0 where nobody did. */
static int
lowest_oom(void)
{
	struct buf b = BUF_INIT;
	int own = 0;

	if (has_capability(CAP_SYS_RESOURCE_BIT))
		return -1000;
	if (file_read("/proc/self/oom_score_adj", 16, &b, NULL) == 0)
		own = (int)strtol(b.data, NULL, 10);
	buf_free(&b);
	return own < 0 ? own : 0;
}

void
host_probe(struct host *h, const char *state)
{
	uint32_t notify = SECCOMP_RET_USER_NOTIF, deny = SECCOMP_RET_ERRNO;
	long abi;

	memset(h, 0, sizeof(*h));
	h->root = geteuid() == 0;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (in_child(try_namespace, &kinds[i].flag) == 0)
			h->namespaces |= kinds[i].flag;
	h->proc = (h->namespaces & CLONE_NEWPID) && in_child(try_proc, NULL) == 0;
	h->idmap = h->root ? in_child(try_idmap, state) : EPERM;
	abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	h->landlock = abi > 0 ? (int)abi : 0;
	h->seccomp = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &deny) == 0;
	h->notify = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &notify) == 0;
	h->clone3 = has_clone3();
	h->nice_min = lowest_nice();
	h->oom_min = lowest_oom();
}

char *
host_namespace_names(unsigned flags, char *out)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (flags & kinds[i].flag)
			n += (size_t)snprintf(out + n, 64 - n, "%s%s", n ? " " : "", kinds[i].name);
	return out;
}

/* ---- what cannot be had ------------------------------------------------------------------------------------ */

static const struct {
	unsigned need, flag; /* NEEDS_…, CLONE_NEW… */
	const char *lacks, *mend_root, *mend_user;
} needs[] = {
#define NAMESPACE(need, flag, name)                                                                                            \
	{ need, flag, "this host makes no " name " namespace for aod", "run aod where it has CAP_SYS_ADMIN",                   \
	  "let unprivileged user namespaces be made (sysctl kernel.unprivileged_userns_clone=1), or run aod as root" }
	NAMESPACE(NEEDS_MOUNT, CLONE_NEWNS, "mount"),
	NAMESPACE(NEEDS_PID, CLONE_NEWPID, "pid"),
	NAMESPACE(NEEDS_NET, CLONE_NEWNET, "network"),
	NAMESPACE(NEEDS_IPC, CLONE_NEWIPC, "ipc"),
	NAMESPACE(NEEDS_UTS, CLONE_NEWUTS, "uts"),
	NAMESPACE(NEEDS_USER, CLONE_NEWUSER, "user"),
	{ NEEDS_ROOT, 0, "aod is not root", "", "run aod as root" },
	{ NEEDS_SECCOMP, 0, "the kernel has no seccomp filters", "use one with CONFIG_SECCOMP_FILTER", "use one with CONFIG_SECCOMP_FILTER" },
};

static bool
gives(const struct host *h, size_t i)
{
	if (needs[i].flag)
		return h->namespaces & needs[i].flag;
	return needs[i].need == NEEDS_ROOT ? h->root : h->seccomp;
}

/* what: "ProtectHome=", or the profile, for which wanted (NEEDS_…) is needed. */
static int
check_needs(const struct host *h, const char *what, unsigned wanted, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(needs); i++)
		if (wanted & needs[i].need && !gives(h, i))
			return err_set_status(e, 422, -ENOTSUP, "%s cannot have its effect here: %s: %s, or take it out of the blueprint", what,
					      needs[i].lacks, h->root ? needs[i].mend_root : needs[i].mend_user);
	return 0;
}

static unsigned
namespace_needs(unsigned flags)
{
	unsigned wanted = 0;

	for (size_t i = 0; i < ARRAY_LEN(needs); i++)
		if (flags & needs[i].flag)
			wanted |= needs[i].need;
	return wanted;
}

/* Keys whose value decides whether it can be had. */
static int
check_numbers(const struct host *h, const struct sandbox *s, struct err *e)
{
	const struct {
		const char *key;
		int64_t wanted;
		int min;
	} v[] = { { "Nice", s->nice, h->nice_min }, { "OOMScoreAdjust", s->oom_score_adj, h->oom_min } };

	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		if (v[i].wanted != INT64_MIN && v[i].wanted < v[i].min)
			return err_set_status(e, 422, -ENOTSUP, "%s=%d cannot have its effect here: aod may give no less than %d: run aod as root, "
							        "or take it out of the blueprint", v[i].key, (int)v[i].wanted, v[i].min);
	return 0;
}

int
host_check(const struct host *h, const struct sandbox *s, struct err *e)
{
	CLEANUP_FREE char *profile = xasprintf("Sandbox=%s", sandbox_profile_name(s->profile));
	unsigned flags = s->namespaces | (s->mount_count ? CLONE_NEWNS : 0) | (s->private_network ? CLONE_NEWNET : 0);
	int rc = check_numbers(h, s, e);

	for (size_t i = 0; rc == 0 && s->needs && s->needs[i]; i++) {
		CLEANUP_FREE char *key = xasprintf("%s=", s->needs[i]);

		rc = check_needs(h, key, sandbox_key_needs(s->needs[i]), e);
	}
	/* Landlock can stand in for what workspace is about, but not for all that strict promises. */
	if (s->profile == SANDBOX_STRICT || (s->profile == SANDBOX_WORKSPACE && !h->landlock))
		flags |= CLONE_NEWNS;
	if (rc == 0)
		rc = check_needs(h, profile, namespace_needs(flags), e);
	for (int i = 0; rc == 0 && i < s->mount_count; i++)
		if (s->mounts[i].op == MOUNT_PROC && !h->proc)
			rc = err_set_status(e, 422, -ENOTSUP, "%s cannot have its effect here: no /proc can be mounted, as something hides parts "
							      "of /proc: take it and ProtectProc= out of the blueprint", profile);
	return rc;
}

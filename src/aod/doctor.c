/* SPDX-License-Identifier: MIT */
/* What this host gives and lacks, found out by trying, one line each with the mend. */
#include "config.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aod/action.h"
#include "base/fd.h"
#include "base/util.h"

#define FREE_WARN (1ull << 30) /* bytes on the state directory's disk */
#define NOFILE_WARN 8192       /* descriptors: three for each live session */

struct report {
	const struct manager *m;
	struct buf *out;
	int count;
};

static void
say(struct report *r, const char *name, const char *status, const char *detail, const char *mend)
{
	if (r->count++)
		buf_putc(r->out, ',');
	buf_puts(r->out, "{\"name\":");
	buf_put_json_str(r->out, name);
	buf_puts(r->out, ",\"status\":");
	buf_put_json_str(r->out, status);
	buf_puts(r->out, ",\"detail\":");
	buf_put_json_str(r->out, detail);
	buf_puts(r->out, ",\"mend\":");
	buf_put_json_str(r->out, !strcmp(status, "ok") ? NULL : mend);
	buf_putc(r->out, '}');
}

int
doctor_try_private_tmp(void)
{
	int flags = geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(flags) < 0 ? errno : 0);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

static void
check_kernel(struct report *r)
{
	struct utsname u;
	CLEANUP_FREE char *text = NULL;
	bool pidfd = syscall(SYS_pidfd_send_signal, -1, 0, NULL, 0) < 0 && errno != ENOSYS;

	uname(&u);
	text = xasprintf("Linux %s%s", u.release, pidfd ? "" : ", without pidfds");
	say(r, "kernel", pidfd ? "ok" : "fail", text, "aod needs Linux 5.3 or newer (pidfd_open)");
}

static void
check_private_tmp(struct report *r)
{
	int rc = r->m->private_tmp_errno;
	CLEANUP_FREE char *text = rc ? xasprintf("no mount namespace: %s", strerror(rc)) : xstrdup("mount namespaces can be made");

	say(r, "private-tmp", rc ? "fail" : "ok", text,
	    "let unprivileged user namespaces be made (sysctl kernel.unprivileged_userns_clone=1), run aod as root, or set "
	    "PrivateTmp=no in the blueprint");
}

static void
check_seccomp(struct report *r)
{
	bool ok = r->m->seccomp_fd >= 0;

	say(r, "seccomp", ok ? "ok" : "fail", ok ? "the basic filter is built" : "the filter could not be built",
	    "a kernel with CONFIG_SECCOMP_FILTER");
}

static void
check_cgroup(struct report *r)
{
	struct buf b = BUF_INIT;
	bool v2 = file_read("/sys/fs/cgroup/cgroup.controllers", 4096, &b, NULL) == 0 && b.len > 1;

	say(r, "cgroup", v2 ? "ok" : "warn", v2 ? "cgroup v2 with controllers" : "no cgroup v2 with controllers at /sys/fs/cgroup",
	    "resource limits are not built yet; they will want a unified cgroup hierarchy");
	buf_free(&b);
}

static void
check_program(struct report *r, const char *program, const char *mend)
{
	CLEANUP_FREE char *path = xstrdup(r->m->search_path);
	char *save = NULL;

	for (char *dir = strtok_r(path, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		CLEANUP_FREE char *full = xasprintf("%s/%s", dir, program);

		if (access(full, X_OK) == 0) {
			say(r, program, "ok", full, NULL);
			return;
		}
	}
	say(r, program, "warn", "not in PATH", mend);
}

static void
check_disk(struct report *r)
{
	struct statvfs v;
	CLEANUP_FREE char *text = NULL;
	unsigned long long bytes = 0;

	if (statvfs(r->m->cfg->state, &v) == 0)
		bytes = (unsigned long long)v.f_bavail * v.f_frsize;
	text = xasprintf("%s: %llu MiB free", r->m->cfg->state, bytes >> 20);
	say(r, "disk", bytes < FREE_WARN ? "warn" : "ok", text, "make room: a full disk holds agents back until there is some");
}

static void
check_files(struct report *r)
{
	struct rlimit l = { 0 };
	CLEANUP_FREE char *text = NULL;

	getrlimit(RLIMIT_NOFILE, &l);
	text = xasprintf("%llu descriptors: about %llu live sessions", (unsigned long long)l.rlim_cur,
			 (unsigned long long)l.rlim_cur / 4);
	say(r, "descriptors", l.rlim_cur < NOFILE_WARN ? "warn" : "ok", text, "LimitNOFILE= in aod.service, or ulimit -n");
}

void
doctor_report(const struct manager *m, struct buf *out)
{
	struct report r = { m, out, 0 };

	buf_puts(out, "{\"checks\":[");
	check_kernel(&r);
	check_private_tmp(&r);
	check_seccomp(&r);
	check_cgroup(&r);
	check_program(&r, "claude", "npm install -g @anthropic-ai/claude-code, or ExecStart= in a blueprint");
	check_disk(&r);
	check_files(&r);
	buf_puts(out, "]}");
}

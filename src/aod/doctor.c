/* SPDX-License-Identifier: MIT */
/* What this host gives and lacks, found out by trying, one line each with the mend. */
#include "config.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "aod/action.h"
#include "aod/cgroup.h"
#include "aod/load.h"
#include "base/fd.h"
#include "base/util.h"

#define FREE_WARN (1ull << 30) /* bytes on the state directory's disk */
#define NOFILE_WARN 8192       /* descriptors: five for each live session */
#define LANDLOCK_SCOPES 6      /* the first ABI that keeps processes from abstract sockets of others */

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
check_user(struct report *r)
{
	bool root = r->m->gives.root;

	say(r, "user", root ? "ok" : "warn", root ? "root: sessions can have users of their own" : "an ordinary user: sessions have no user of their own",
	    "run aod as root for User=, DynamicUser= and what strict does with it");
}

static void
check_namespaces(struct report *r)
{
	const unsigned all = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWUSER;
	const struct host *h = &r->m->gives;
	char names[64];
	CLEANUP_FREE char *text = h->namespaces == all ? xstrdup("mount, pid, net, ipc, uts and user namespaces can be made") :
							 xasprintf("none of these can be made: %s", host_namespace_names(all & ~h->namespaces, names));

	say(r, "namespaces", !(h->namespaces & CLONE_NEWNS) ? "fail" : h->namespaces == all ? "ok" : "warn", text,
	    h->root ? "give aod CAP_SYS_ADMIN, or set Sandbox=none in blueprints" :
		      "let unprivileged user namespaces be made (sysctl kernel.unprivileged_userns_clone=1), run aod as root, or set "
		      "Sandbox=none in blueprints");
	if (h->namespaces & CLONE_NEWPID)
		say(r, "proc", h->proc ? "ok" : "fail", h->proc ? "a session can have a /proc of its own" : "no /proc can be mounted in a pid namespace",
		    "something hides parts of /proc, as containers do: run aod outside of it");
}

static void
check_idmap(struct report *r)
{
	int rc = r->m->gives.idmap;
	CLEANUP_FREE char *text = rc ? xasprintf("%s: no idmapped mounts: %s", r->m->cfg->state, strerror(rc)) :
				       xasprintf("%s: idmapped mounts can be made", r->m->cfg->state);

	if (r->m->gives.root)
		say(r, "idmap", rc ? "warn" : "ok", text,
		    "a file system with idmapped mounts (ext4, xfs, btrfs, tmpfs) and Linux 5.12: without, a project's files cannot be shown to "
		    "a dynamic user");
}

static void
check_landlock(struct report *r)
{
	CLEANUP_FREE char *text = r->m->gives.landlock ? xasprintf("Landlock ABI %d", r->m->gives.landlock) : xstrdup("no Landlock");

	say(r, "landlock", r->m->gives.landlock ? "ok" : "warn", text, "a kernel with CONFIG_SECURITY_LANDLOCK, and landlock in its lsm= option");
	if (r->m->gives.landlock < LANDLOCK_SCOPES)
		say(r, "abstract-sockets", "warn", "a sandboxed agent on the host's network can connect to abstract Unix sockets (@NAME) of the host's",
		    "PrivateNetwork=yes in blueprints, or Linux 6.12 (Landlock ABI 6)");
}

static void
check_seccomp(struct report *r)
{
	const struct host *h = &r->m->gives;

	say(r, "seccomp", !h->seccomp ? "fail" : h->notify ? "ok" : "warn",
	    !h->seccomp ? "no system call filters" : h->notify ? "filters, with reports of what they refuse" : "filters, without reports",
	    h->seccomp ? "Linux 5.0 or newer" : "a kernel with CONFIG_SECCOMP_FILTER");
}

static void
check_cgroup(struct report *r)
{
	static const struct {
		enum cgroup_controller k;
		const char *name;
	} wanted[] = { { CG_MEMORY, "memory" }, { CG_PIDS, "pids" },	     { CG_CPU, "cpu" },	     { CG_IO, "io" },
		       { CG_CPUSET, "cpuset" }, { CG_FREEZER, "freezer" }, { CG_KILL, "kill" }, { CG_PSI, "pressure" } };
	static const char *const modes[] = { [CGROUP_NONE] = "no control groups", [CGROUP_V1] = "cgroup v1", [CGROUP_V2] = "cgroup v2" };
	enum cgroup_mode mode = cgroup_mode(r->m->cgroups);
	struct buf b = BUF_INIT, lacks = BUF_INIT;
	bool enough = mode != CGROUP_NONE;

	buf_puts(&b, modes[mode]);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		bool has = cgroup_has(r->m->cgroups, wanted[i].k);

		buf_printf(has ? &b : &lacks, " %s", wanted[i].name);
		enough &= has || (wanted[i].k != CG_MEMORY && wanted[i].k != CG_PIDS && wanted[i].k != CG_FREEZER);
	}
	if (mode != CGROUP_NONE && lacks.len)
		buf_printf(&b, "; without%s", lacks.data);
	if (*r->m->cgroup_why)
		buf_printf(&b, "; %s", r->m->cgroup_why);
	say(r, "cgroup", enough ? "ok" : "warn", b.data,
	    "limits have no effect without: let systemd give aod a group (Delegate=yes in its unit), or name one with aod --cgroup PATH");
	buf_free(&b);
	buf_free(&lacks);
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

/* Of the host's load, which starts wait for where it is over limit. */
static void
say_load(struct report *r, const char *name, double percent, int limit, const char *what, const char *mend)
{
	bool waits = limit > 0 && limit < 100;
	CLEANUP_FREE char *text = percent < 0 ? xasprintf("this host does not say for how much of the %s", what) : xasprintf("%.0f%% of the %s", percent, what);
	CLEANUP_FREE char *full = percent >= 0 && waits ? xasprintf("%s; above %d%% nothing is started", text, limit) : xasprintf("%s; starts do not wait for it", text);

	say(r, name, percent < 0 || (waits && percent > limit) ? "warn" : "ok", full, mend);
}

static void
check_load(struct report *r)
{
	struct load l;

	load_open(&l, "/proc");
	load_read(&l, mono_us());
	load_close(&l);
	say_load(r, "memory", l.memory, r->m->cfg->admit_memory, "memory is used",
		 "mount /proc; where it is full, let sessions end, give them MemoryMax=, or start aod with another --admit-memory");
	say_load(r, "pressure", l.pressure, r->m->cfg->admit_pressure, "last ten seconds something waited for memory",
		 "a kernel with CONFIG_PSI, started with psi=1; where memory is short, let sessions end, or start aod with another --admit-pressure");
}

static void
check_files(struct report *r)
{
	struct rlimit l = { 0 };
	CLEANUP_FREE char *text = NULL;

	getrlimit(RLIMIT_NOFILE, &l);
	text = xasprintf("%llu descriptors: about %llu live sessions", (unsigned long long)l.rlim_cur,
			 (unsigned long long)l.rlim_cur / 5);
	say(r, "descriptors", l.rlim_cur < NOFILE_WARN ? "warn" : "ok", text, "LimitNOFILE= in aod.service, or ulimit -n");
}

void
doctor_report(const struct manager *m, struct buf *out)
{
	struct report r = { m, out, 0 };

	buf_puts(out, "{\"checks\":[");
	check_kernel(&r);
	check_user(&r);
	check_namespaces(&r);
	check_idmap(&r);
	check_landlock(&r);
	check_seccomp(&r);
	check_cgroup(&r);
	check_program(&r, "claude", "npm install -g @anthropic-ai/claude-code, or ExecStart= in a blueprint");
	check_disk(&r);
	check_load(&r);
	check_files(&r);
	buf_puts(out, "]}");
}

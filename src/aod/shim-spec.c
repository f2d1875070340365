/* SPDX-License-Identifier: MIT */
/* From a plan and its sandbox to the lines that the shim reads. See shim/spec.h. */
#include "config.h"

#include "aod/shim-spec.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "aod/cgroup.h"
#include "aod/credentials.h"
#include "aod/dynuser.h"
#include "aod/netns.h"
#include "aod/seccomp.h"
#include "base/fd.h"
#include "base/util.h"
#include "shim/spec.h"

static void
put(struct buf *b, const char *key, const char *value)
{
	buf_puts(b, key);
	buf_putc(b, '=');
	buf_puts(b, value);
	buf_putc(b, '\0');
}

static void
put_all(struct buf *b, const char *key, char *const *values)
{
	for (; values && *values; values++)
		put(b, key, *values);
}

static void
put_number(struct buf *b, const char *key, int64_t v)
{
	buf_printf(b, "%s=%lld", key, (long long)v);
	buf_putc(b, '\0');
}

static void
put_hex(struct buf *b, const char *key, uint64_t v)
{
	buf_printf(b, "%s=%llx", key, (unsigned long long)v);
	buf_putc(b, '\0');
}

static void
put_files(struct buf *b, const struct run *r)
{
	static const struct {
		const char *key, *suffix;
	} files[] = { { "spool", "spool" }, { "input", "in" }, { "bell", "bell" } };
	CLEANUP_FREE char *up = xasprintf("%s/up", r->m->cfg->run);

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		CLEANUP_FREE char *path = run_path(r, files[i].suffix);

		put(b, files[i].key, path);
	}
	put(b, "up", up);
	put_number(b, "key", r->s.row.n);
	put_number(b, "spool_max", SPOOL_MAX);
}

/* The kernel spares aod when memory is short (OOMScoreAdjust= of aod.service): that is not for agents to inherit. So it is for as long as aod is there. */
static bool
is_spared(void)
{
	static enum tristate spared = TRI_UNSET;
	struct buf text = BUF_INIT;

	if (spared == TRI_UNSET) {
		spared = file_read("/proc/self/oom_score_adj", 64, &text, NULL) == 0 && text.len && text.data[0] == '-' ? TRI_YES : TRI_NO;
		buf_free(&text);
	}
	return spared == TRI_YES;
}

static void
put_process(struct buf *b, const struct plan *p, const struct sandbox *s)
{
	put(b, "argv", p->program);
	put_all(b, "argv", p->argv + 1);
	put_all(b, "env", p->env);
	put(b, "cwd", p->cwd);
	if (s->umask >= 0) {
		buf_printf(b, "umask=%llo", (unsigned long long)s->umask);
		buf_putc(b, '\0');
	}
	if (s->nice != INT64_MIN)
		put_number(b, "nice", s->nice);
	if (s->oom_score_adj != INT64_MIN || is_spared())
		put_number(b, "oom_score_adj", s->oom_score_adj != INT64_MIN ? s->oom_score_adj : 0);
	for (int i = 0; i < s->rlimit_count; i++) {
		const struct sandbox_rlimit *l = &s->rlimits[i];

		buf_printf(b, "rlimit=%d %llu %llu", l->resource, (unsigned long long)l->soft, (unsigned long long)l->hard);
		buf_putc(b, '\0');
	}
	if (s->uid >= 0)
		put_number(b, "uid", s->uid);
	if (s->gid >= 0)
		put_number(b, "gid", s->gid);
	if (s->capabilities != UINT64_MAX)
		put_hex(b, "caps", s->capabilities);
	if (s->ambient)
		put_hex(b, "ambient", s->ambient);
	if (s->no_new_privs)
		put(b, "no_new_privs", "1");
}

/* Who aod runs as is who the agent is inside, too; root is mapped beside a user of its own, for what belongs to it. */
static void
put_maps(struct buf *b, const struct sandbox *s)
{
	long long uid = s->uid >= 0 ? s->uid : (long long)geteuid(), gid = s->gid >= 0 ? s->gid : (long long)getegid();

	buf_printf(b, "uid_map=%lld %lld 1", uid, uid);
	buf_putc(b, '\0');
	buf_printf(b, "gid_map=%lld %lld 1", gid, gid);
	buf_putc(b, '\0');
	if (geteuid() != 0)
		return;
	if (uid != 0)
		put(b, "uid_map", "0 0 1");
	if (gid != 0)
		put(b, "gid_map", "0 0 1");
}

static unsigned
namespaces_of(const struct sandbox *s, const struct shim_fds *fds)
{
	unsigned ns = s->namespaces;

	if (s->private_network && fds->netns < 0)
		ns |= CLONE_NEWNET;
	if ((ns || s->mount_count) && geteuid() != 0)
		ns |= CLONE_NEWUSER;
	return ns;
}

static void
put_namespaces(struct buf *b, const struct sandbox *s, const struct shim_fds *fds)
{
	unsigned ns = namespaces_of(s, fds);

	if (ns)
		put_hex(b, "ns", ns);
	if (ns & CLONE_NEWUSER)
		put_maps(b, s);
	if (fds->netns >= 0)
		put(b, "netns", "1");
}

_Static_assert(SANDBOX_MOUNTS_MAX == SHIM_MOUNTS_MAX, "what a plan may have is what the shim can do");

static void
put_mount(struct buf *b, const struct run *r, const struct sandbox_mount *m)
{
	static const char *const names[] = {
		[MOUNT_BIND] = "bind", [MOUNT_TMPFS] = "tmpfs", [MOUNT_HIDE] = "hide",		     [MOUNT_PROC] = "proc",
		[MOUNT_SYS] = "sys",   [MOUNT_DEV] = "dev",	[MOUNT_FILE] = "file",		     [MOUNT_CREDENTIALS] = "credentials",
		[MOUNT_ATTR] = "attr",
	};
	CLEANUP_FREE char *text = NULL;
	const char *opt = m->opt;

	/* Only aod knows the user of this run. */
	if (m->op == MOUNT_FILE && !opt) {
		if (!strcmp(m->dst, "/etc/passwd"))
			text = dynuser_passwd(r->m->dynusers, r->in.uid, plan_env(r->plan, "HOME"));
		else
			text = dynuser_group(r->m->dynusers, r->in.gid);
		opt = text;
	}
	if (m->src)
		put(b, "mount_src", m->src);
	if (opt)
		put(b, "mount_opt", opt);
	buf_printf(b, "mount=%s %x %s", names[m->op], m->flags, m->dst);
	buf_putc(b, '\0');
}

/* ---- what many runs have in common ---- */

#define MF_OWNERS (MF_IDMAP | MF_OWN | MF_NOFOLLOW)

/* By itself: by what it is, or by where it is. A sysfs shows the network namespace that it is mounted in, which a run brings with it. */
static bool
is_of_run(const struct run *r, const struct sandbox_mount *m, const char *own)
{
	const char *cwd = r->plan->cwd;

	return m->op == MOUNT_CREDENTIALS || m->op == MOUNT_SYS || (m->op == MOUNT_FILE && !m->opt) || m->flags & MF_OWNERS || path_within(m->dst, own) ||
	       path_within(m->dst, cwd) || (m->src && (path_within(m->src, own) || path_within(m->src, cwd)));
}

/* Whether the order of the two matters, or where the one leads to is the other's matter. */
static bool
are_related(const struct sandbox_mount *a, const struct sandbox_mount *b)
{
	return path_within(a->dst, b->dst) || path_within(b->dst, a->dst);
}

/*
 * Which mounts are of this run alone, by their number; NULL when none can be made without it. All others can be made before these are: one that stands behind
 * one of the run's in the list, and has to do with it, is the run's as well.
 */
static bool *
mounts_of_run(const struct run *r)
{
	CLEANUP_FREE char *own = agent_dir(r->m, r->s.row.id);
	const struct sandbox *s = r->plan->sandbox;
	bool *of_run = xcalloc((size_t)s->mount_count + 1, sizeof(*of_run));

	for (int i = 0; i < s->mount_count; i++) {
		const struct sandbox_mount *m = &s->mounts[i];

		if (m->src && !strcmp(m->src, "/")) {
			free(of_run);
			return NULL;
		}
		of_run[i] = is_of_run(r, m, own);
		for (int k = 0; k < s->mount_count && !of_run[i]; k++) {
			const struct sandbox_mount *o = &s->mounts[k];

			of_run[i] = (k < i && of_run[k] && are_related(m, o)) ||
				    (m->src && o->src && o->flags & MF_OWNERS && path_within(m->src, o->src));
		}
	}
	return of_run;
}

bool *
shim_spec_first(const struct run *r, const struct shim_fds *fds, struct buf *out)
{
	const struct sandbox *s = r->plan->sandbox;
	unsigned ns = namespaces_of(s, fds) & ~(unsigned)(CLONE_NEWUSER | CLONE_NEWCGROUP);
	bool *of_run = r->m->gives.root && ns & CLONE_NEWPID ? mounts_of_run(r) : NULL;

	put_hex(out, "ns", of_run ? ns : 0);
	for (int i = 0; of_run && i < s->mount_count; i++)
		if (!of_run[i])
			put_mount(out, r, &s->mounts[i]);
	return of_run;
}

/* ---- all of it ---- */

static void
put_sandbox(struct buf *b, const struct run *r, const struct shim_fds *fds, const bool *of_run, char *const *groups)
{
	const struct sandbox *s = r->plan->sandbox;

	if (fds->seccomp >= 0)
		put(b, "seccomp", fds->notify ? "notify" : "1");
	for (size_t i = 0; groups && groups[i]; i++)
		buf_put(b, groups[i], strlen(groups[i]) + 1);
	put_namespaces(b, s, fds);
	for (int i = 0; i < s->mount_count; i++)
		if (!of_run || of_run[i])
			put_mount(b, r, &s->mounts[i]);
	put_all(b, "landlock_rw", s->landlock_rw);
	put_all(b, "landlock_ro", s->landlock_ro);
	if (s->landlock_scope)
		put(b, "landlock_scope", "1");
}

int
shim_fds_get(const struct run *r, struct shim_fds *fds, struct err *e)
{
	const struct sandbox *s = r->plan->sandbox;
	bool none;

	fds->netns = -1;
	fds->seccomp = seccomp_get(r->m->seccomp, &s->syscalls, &none, &fds->notify, e);
	if (fds->seccomp < 0 && !none)
		return fds->seccomp;
	fds->notify = fds->notify && r->m->gives.notify;
	/* One of aod's belongs to aod's user namespace. */
	if (s->private_network && r->m->gives.root && !(s->namespaces & CLONE_NEWUSER))
		fds->netns = netns_take(r->m->netns);
	return 0;
}

int
shim_spec_make(const struct run *r, const struct shim_fds *fds, const bool *of_run, char *const *groups, struct err *e)
{
	const struct sandbox *s = r->plan->sandbox;
	CLEANUP_FREE char *own = agent_dir(r->m, r->s.row.id);
	const char *const agents[] = { own, r->plan->cwd, NULL };
	struct buf b = BUF_INIT;
	int fd, rc;

	put_files(&b, r);
	put_process(&b, r->plan, s);
	put_sandbox(&b, r, fds, of_run, groups);
	rc = credentials_put(&b, s, s->profile == SANDBOX_STRICT || s->uid >= 0 ? agents : NULL, e);
	if (rc == 0 && b.len > SHIM_SPEC_MAX)
		rc = err_set(e, -E2BIG, "arguments and environment take more than %u bytes", SHIM_SPEC_MAX);
	fd = rc == 0 ? memfd_with("aod-shim-spec", b.data, b.len) : rc;
	/* Keys of the environment and credentials. */
	buf_wipe(&b);
	return rc == 0 && fd < 0 ? err_errno(e, fd, "memfd") : fd;
}

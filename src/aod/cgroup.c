/* SPDX-License-Identifier: MIT */
/*
 * The groups of sessions and slices: made, limited, frozen, killed, removed. A name is one path relative to agents/ that is the same in each
 * hierarchy; descriptors of agents/ are held open, so that no path is walked from the root again.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "aod/cgroup-internal.h"
#include "base/fd.h"
#include "base/util.h"

#define PROCS_MAX (4u << 20) /* bytes of cgroup.procs */
#define FREEZE_POLLS 25
#define FREEZE_POLL_NS 200000
#define MOVE_ROUNDS 10

enum cgroup_mode
cgroup_mode(const struct cgroups *c)
{
	return c->mode;
}

bool
cgroup_has(const struct cgroups *c, enum cgroup_controller k)
{
	return c->mode != CGROUP_NONE && c->owner[k] >= 0;
}

/* ---- names ---- */

static bool
slice_valid(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool word = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') ||
			    (s[i] && strchr("_.:\\@", s[i]));

		/* A dash stands between two names. */
		if (!word && (s[i] != '-' || i == 0 || i + 1 == n || s[i + 1] == '-'))
			return false;
	}
	return n > 0 && s[0] != '.';
}

int
cgroup_rel(const char *slice, const char *id, char out[CG_REL_MAX])
{
	static const char suffix[] = ".slice";
	size_t n = slice ? strlen(slice) : 0, end = sizeof(suffix) - 1;
	int at = 0;

	out[0] = '\0';
	if (n > end && !strcmp(slice + n - end, suffix))
		n -= end;
	/* "-.slice" is the root of all slices: agents/ itself. */
	if (n == 1 && slice[0] == '-')
		n = 0;
	if ((n && !slice_valid(slice, n)) || (slice && !n && slice[0] != '-') || (id && !name_valid(id)))
		return -EINVAL;
	for (size_t i = 1; i <= n; i++)
		if (i == n || slice[i] == '-') {
			at += snprintf(out + at, (size_t)(CG_REL_MAX - at), "%s%.*s%s", at ? "/" : "", (int)i, slice, suffix);
			if (at >= CG_REL_MAX)
				return -ENAMETOOLONG;
		}
	if (id)
		at += snprintf(out + at, (size_t)(CG_REL_MAX - at), "%s%s", at ? "/" : "", id);
	return at >= CG_REL_MAX ? -ENAMETOOLONG : 0;
}

static int
rel_of(const struct cgroups *c, const char *slice, const char *id, char out[CG_REL_MAX], struct err *e)
{
	int r;

	if (c->mode == CGROUP_NONE)
		return err_set(e, -EOPNOTSUPP, "there are no control groups here");
	r = cgroup_rel(slice, id, out);
	return r < 0 ? err_set_status(e, 422, r, "%s: not a name for a control group", slice ? slice : id) : 0;
}

static int
open_group(const struct hierarchy *h, const char *rel)
{
	int fd = openat(h->agents, rel[0] ? rel : ".", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* ---- walking ---- */

static bool
is_slice(const char *name)
{
	size_t n = strlen(name);

	return n > 6 && !strcmp(name + n - 6, ".slice");
}

/* Names of the directories in group rel of h: a strv, or NULL. */
static char **
groups_below(const struct hierarchy *h, const char *rel)
{
	int fd = openat(h->agents, rel[0] ? rel : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	char **out = NULL;
	struct dirent *de;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	while ((de = readdir(d)) != NULL)
		if (de->d_type == DT_DIR && de->d_name[0] != '.')
			out = strv_add(out, de->d_name);
	closedir(d);
	return out;
}

static bool
join_rel(char out[CG_REL_MAX], const char *rel, const char *name)
{
	return snprintf(out, CG_REL_MAX, "%s%s%s", rel, rel[0] ? "/" : "", name) < CG_REL_MAX;
}

/* Calls f for each process of group rel and of those below it; how many there were. */
static int
each_process(const struct hierarchy *h, const char *rel, int depth, void (*f)(const char *pid, void *arg), void *arg)
{
	CLEANUP_CLOSE int dir = open_group(h, rel);
	CLEANUP_CLOSE int fd = dir < 0 ? -1 : openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	struct buf b = BUF_INIT;
	char *save = NULL, **names;
	int n = 0;

	if (fd >= 0 && fd_read_all(fd, PROCS_MAX, &b) == 0 && b.len)
		for (char *s = strtok_r(b.data, "\n", &save); s; s = strtok_r(NULL, "\n", &save), n++)
			if (f)
				f(s, arg);
	buf_free(&b);
	if (fd < 0 || depth == CG_DEPTH_MAX)
		return n;
	names = groups_below(h, rel);
	for (char **s = names; s && *s; s++) {
		char sub[CG_REL_MAX];

		if (join_rel(sub, rel, *s))
			n += each_process(h, sub, depth + 1, f, arg);
	}
	strv_free(names);
	return n;
}

/* ---- making ---- */

/* The group and the slices above it. 1: it is new, 0: it was there. */
static int
make_group(const struct cgroups *c, const struct hierarchy *h, const char *rel)
{
	int r = cgroup_mkdir(h, h->agents, rel);
	char part[CG_REL_MAX];

	if (r != -ENOENT)
		return r;
	for (const char *s = rel; (s = strchr(s, '/')) != NULL; s++) {
		snprintf(part, sizeof(part), "%.*s", (int)(s - rel), rel);
		r = cgroup_mkdir(h, h->agents, part);
		if (r > 0 && c->enable[0]) {
			CLEANUP_CLOSE int dir = open_group(h, part);

			r = cgroup_put(dir, "cgroup.subtree_control", c->enable);
		}
		if (r < 0)
			return r;
	}
	return cgroup_mkdir(h, h->agents, rel);
}

struct move {
	int procs;
	const char *there; /* cgroup.procs of the target */
	int moved;
};

static void
move_process(const char *pid, void *arg)
{
	struct move *m = arg;
	size_t n = strlen(pid);

	for (const char *p = m->there; p && (p = strstr(p, pid)) != NULL; p += n)
		if ((p == m->there || p[-1] == '\n') && p[n] == '\n')
			return;
	if (write(m->procs, pid, n) > 0)
		m->moved++;
}

/* A hierarchy that the session was not in so far: take its processes there. What forks meanwhile is met in the next round. */
static void
move_in(const struct cgroups *c, const struct hierarchy *h, const char *rel)
{
	CLEANUP_CLOSE int dir = open_group(h, rel);
	CLEANUP_CLOSE int procs = dir < 0 ? -1 : openat(dir, "cgroup.procs", O_RDWR | O_CLOEXEC);

	for (int round = 0; procs >= 0 && round < MOVE_ROUNDS; round++) {
		struct buf there = BUF_INIT;
		struct move m = { procs, NULL, 0 };

		if (lseek(procs, 0, SEEK_SET) == 0 && fd_read_all(procs, PROCS_MAX, &there) == 0)
			m.there = there.data;
		each_process(&c->h[0], rel, 0, move_process, &m);
		buf_free(&there);
		if (m.moved == 0)
			break;
	}
}

/* The same for all sessions below a slice. */
static void
move_in_below(const struct cgroups *c, const struct hierarchy *h, const char *rel, int depth)
{
	char **names = groups_below(&c->h[0], rel);

	for (char **s = names; s && *s && depth < CG_DEPTH_MAX; s++) {
		char sub[CG_REL_MAX];

		if (!join_rel(sub, rel, *s) || make_group(c, h, sub) < 0)
			continue;
		if (is_slice(*s))
			move_in_below(c, h, sub, depth + 1);
		else
			move_in(c, h, sub);
	}
	strv_free(names);
}

/* Whether a slice above has limits in this hierarchy. */
static bool
slice_is_there(const struct hierarchy *h, const char *rel)
{
	const char *slash = strrchr(rel, '/');
	char slice[CG_REL_MAX];

	if (!slash)
		return false;
	snprintf(slice, sizeof(slice), "%.*s", (int)(slash - rel), rel);
	return faccessat(h->agents, slice, F_OK, 0) == 0;
}

static char **
add_line(char **lines, const struct hierarchy *h, const char *rel)
{
	CLEANUP_FREE char *word = xasprintf("cgroup%s=%s/agents/%s", h->v2 ? "" : "_v1", h->base, rel);

	return strv_add(lines, word);
}

/* lines: to be told of those that the group is in, or NULL. */
static int
make_and_limit(struct cgroups *c, const char *rel, const struct limits *l, bool slice, char ***lines, struct err *e)
{
	unsigned limited = cgroup_wants(l), wants = limited | CG_ALWAYS;
	bool fresh = false; /* nobody can be in it yet */

	for (int i = 0; i < c->count; i++) {
		const struct hierarchy *h = &c->h[i];
		CLEANUP_CLOSE int dir = -1;
		bool bare; /* new, and there is nothing to be written */
		int made, r;

		if (!(h->controllers & wants) && !slice_is_there(h, rel))
			continue;
		made = rel[0] ? make_group(c, h, rel) : 0;
		bare = made > 0 && !slice && !(h->controllers & limited);
		if (!bare)
			dir = made < 0 ? made : open_group(h, rel);
		if (!bare && dir < 0)
			return err_errno(e, dir, "control group %s/agents/%s", h->base, rel);
		if (made > 0 && slice && c->enable[0])
			cgroup_put(dir, "cgroup.subtree_control", c->enable);
		r = bare ? 0 : cgroup_write_limits(c, h, dir, l, e);
		if (r < 0)
			return r;
		if (lines)
			*lines = add_line(*lines, h, rel);
		fresh = fresh || (made > 0 && i == 0);
		if (made == 0 || fresh)
			continue;
		if (slice)
			move_in_below(c, h, rel, 0);
		else
			move_in(c, h, rel);
	}
	return 0;
}

int
cgroup_make(struct cgroups *c, const char *slice, const char *id, const struct limits *l, char ***lines, struct err *e)
{
	char rel[CG_REL_MAX];
	int r = rel_of(c, slice, id, rel, e);

	return r < 0 ? r : make_and_limit(c, rel, l, false, lines, e);
}

int
cgroup_set(struct cgroups *c, const char *slice, const char *id, const struct limits *l, struct err *e)
{
	char rel[CG_REL_MAX];
	int r = rel_of(c, slice, id, rel, e);

	if (r == 0 && faccessat(c->h[0].agents, rel, F_OK, 0) < 0)
		r = err_errno(e, -errno, "control group of %s", id);
	return r < 0 ? r : make_and_limit(c, rel, l, false, NULL, e);
}

int
cgroup_set_slice(struct cgroups *c, const char *slice, const struct limits *l, struct err *e)
{
	char rel[CG_REL_MAX];
	int r = rel_of(c, slice, NULL, rel, e);

	return r < 0 ? r : make_and_limit(c, rel, l, true, NULL, e);
}

int
cgroup_shim_fd(const struct cgroups *c)
{
	return c->shims;
}

/* ---- freezing and killing ---- */

static const struct freezer {
	const char *file, *on, *off, *state, *word;
} freezers[] = {
	{ "freezer.state", "FROZEN", "THAWED", "freezer.state", "FROZEN" },
	{ "cgroup.freeze", "1", "0", "cgroup.events", "frozen 1" },
};

static int
set_frozen(const struct hierarchy *h, int dir, bool frozen)
{
	const struct freezer *f = &freezers[h->v2];
	int r = cgroup_put(dir, f->file, frozen ? f->on : f->off);

	for (int i = 0; r == 0 && frozen; i++) {
		struct timespec ts = { 0, FREEZE_POLL_NS };
		char text[256];

		r = cgroup_get(dir, f->state, text, sizeof(text));
		if (r < 0 || strstr(text, f->word))
			return r < 0 ? r : 0;
		if (i == FREEZE_POLLS)
			return -EAGAIN;
		nanosleep(&ts, NULL);
		r = 0;
	}
	return r;
}

int
cgroup_freeze(struct cgroups *c, const char *slice, const char *id, bool frozen, struct err *e)
{
	char rel[CG_REL_MAX];
	int r = rel_of(c, slice, id, rel, e);
	CLEANUP_CLOSE int dir = -1;
	const struct hierarchy *h;

	if (r < 0)
		return r;
	if (c->owner[CG_FREEZER] < 0)
		return err_set(e, -EOPNOTSUPP, "this kernel cannot freeze control groups");
	h = &c->h[c->owner[CG_FREEZER]];
	dir = open_group(h, rel);
	r = dir < 0 ? dir : set_frozen(h, dir, frozen);
	return r < 0 ? err_errno(e, r, "%s of %s", frozen ? "freezing" : "thawing", id) : 0;
}

static void
kill_process(const char *pid, void *arg)
{
	(void)arg;
	kill((pid_t)atoi(pid), SIGKILL);
}

int
cgroup_kill(struct cgroups *c, const char *slice, const char *id, struct err *e)
{
	char rel[CG_REL_MAX];
	int r = rel_of(c, slice, id, rel, e), n;
	CLEANUP_CLOSE int dir = -1;
	const struct hierarchy *h;

	if (r < 0)
		return r;
	h = &c->h[0];
	dir = open_group(h, rel);
	if (dir < 0)
		return dir == -ENOENT ? 0 : err_errno(e, dir, "control group of %s", id);
	n = each_process(h, rel, 0, NULL, NULL);
	if (n == 0)
		return 0;
	if (c->owner[CG_KILL] == 0) {
		r = cgroup_put(dir, "cgroup.kill", "1");
		return r < 0 ? err_errno(e, r, "killing %s", id) : n;
	}
	/* What cannot be frozen at once is killed as it is found; the caller comes again until nothing is left. */
	set_frozen(h, dir, true);
	n = each_process(h, rel, 0, kill_process, NULL);
	r = set_frozen(h, dir, false);
	return r < 0 ? err_errno(e, r, "thawing %s to kill it", id) : n;
}

/* ---- removing ---- */

/* With what the session itself made below it. */
static int
remove_group(const struct hierarchy *h, const char *rel, int depth)
{
	char **names;
	int r;

	if (unlinkat(h->agents, rel, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	r = -errno;
	if (r != -EBUSY || depth == CG_DEPTH_MAX)
		return r;
	names = groups_below(h, rel);
	for (char **s = names; s && *s; s++) {
		char sub[CG_REL_MAX];

		if (join_rel(sub, rel, *s))
			remove_group(h, sub, depth + 1);
	}
	if (names && unlinkat(h->agents, rel, AT_REMOVEDIR) == 0)
		r = 0;
	strv_free(names);
	return r;
}

int
cgroup_remove(struct cgroups *c, const char *slice, const char *id, struct err *e)
{
	char rel[CG_REL_MAX];
	int r = rel_of(c, slice, id, rel, e), first = 0;

	for (int i = 0; r == 0 && i < c->count; i++) {
		int one = remove_group(&c->h[i], rel, 0);

		if (one < 0 && first == 0)
			first = err_errno(e, one, "removing control group %s/agents/%s", c->h[i].base, rel);
	}
	return r < 0 ? r : first;
}

static void
sweep_below(const struct hierarchy *h, const char *rel, int depth, bool (*keep)(const char *id, void *arg), void *arg)
{
	char **names = groups_below(h, rel);

	for (char **s = names; s && *s && depth < CG_DEPTH_MAX; s++) {
		char sub[CG_REL_MAX];

		if (!join_rel(sub, rel, *s))
			continue;
		if (is_slice(*s)) {
			sweep_below(h, sub, depth + 1, keep, arg);
			unlinkat(h->agents, sub, AT_REMOVEDIR);
		} else if (!keep(*s, arg)) {
			remove_group(h, sub, 0);
		}
	}
	strv_free(names);
}

void
cgroup_sweep(struct cgroups *c, bool (*keep)(const char *id, void *arg), void *arg)
{
	for (int i = 0; c->mode != CGROUP_NONE && i < c->count; i++)
		sweep_below(&c->h[i], "", 0, keep, arg);
}

/* ---- figures ---- */

int
cgroup_read_usage(struct cgroups *c, const char *slice, const char *id, struct cgroup_usage *u, struct err *e)
{
	char rel[CG_REL_MAX];
	int dirs[CG_HIERARCHIES_MAX], r = rel_of(c, slice, id, rel, e);

	if (r < 0)
		return r;
	for (int i = 0; i < CG_HIERARCHIES_MAX; i++)
		dirs[i] = i < c->count ? open_group(&c->h[i], rel) : -1;
	cgroup_read_figures(c, dirs, u);
	r = dirs[0] < 0 ? err_errno(e, dirs[0], "control group of %s", id) : 0;
	for (int i = 0; i < c->count; i++)
		if (dirs[i] >= 0)
			close(dirs[i]);
	return r;
}

/* SPDX-License-Identifier: MIT */
/*
 * Where aod's subtree is, and making it: the hierarchies that are mounted, the group that aod was started in, whether that is ours to divide, and the
 * groups aod/, shims/ and agents/.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/xattr.h>

#include "aod/cgroup-internal.h"
#include "base/fd.h"
#include "base/util.h"

#define PROC_MAX (1u << 20)
#define AGENTS_UNIT "aod-agents.service"
#define ROOM_BYTES (512 << 20) /* left to the host, at least */
#define ROOM_PERCENT 10
#define TASKS_PERCENT 75 /* of what the kernel has, for all agents */

static const struct {
	const char *v1, *v2;
	enum cgroup_controller k;
} controller_names[] = {
	{ "memory", "memory", CG_MEMORY }, { "pids", "pids", CG_PIDS },	      { "cpu", "cpu", CG_CPU },	       { "blkio", "io", CG_IO },
	{ "cpuset", "cpuset", CG_CPUSET }, { "freezer", NULL, CG_FREEZER }, { "cpuacct", NULL, CG_CPUACCT },
};

/* ---- what is mounted ---- */

struct mounted {
	char root[PATH_MAX], mount[PATH_MAX], type[32], options[256];
};

/* A line of /proc/PID/mountinfo, proc(5): "31 23 0:28 ROOT MOUNT rw - TYPE SOURCE OPTIONS". */
static bool
parse_mount(const char *line, struct mounted *m)
{
	const char *dash = strstr(line, " - ");

	return dash && sscanf(line, "%*d %*d %*s %4095s %4095s", m->root, m->mount) == 2 &&
	       sscanf(dash, " - %31s %*s %255s", m->type, m->options) == 2;
}

static bool
has_word(const char *list, const char *word, const char *separators)
{
	size_t n = strlen(word);

	for (const char *p = list; *p; p += strspn(p, separators)) {
		size_t len = strcspn(p, separators);

		if (len == n && !memcmp(p, word, n))
			return true;
		p += len;
	}
	return false;
}

static unsigned
controllers_of(const char *list, const char *separators, bool v2)
{
	unsigned out = 0;

	for (size_t i = 0; i < ARRAY_LEN(controller_names); i++) {
		const char *name = v2 ? controller_names[i].v2 : controller_names[i].v1;

		if (name && has_word(list, name, separators))
			out |= BIT(controller_names[i].k);
	}
	return out;
}

bool
cgroup_parse_own(const char *text, const char *controller, char out[PATH_MAX])
{
	for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
		const char *a = strchr(p, ':'), *b = a ? strchr(a + 1, ':') : NULL;
		char list[256];
		size_t n;

		if (!b || (n = (size_t)(b - a - 1)) >= sizeof(list))
			continue;
		memcpy(list, a + 1, n);
		list[n] = '\0';
		if (controller ? !has_word(list, controller, ",") : n != 0)
			continue;
		n = strcspn(b + 1, "\n");
		if (n >= PATH_MAX)
			return false;
		memcpy(out, b + 1, n);
		out[n] = '\0';
		return true;
	}
	return false;
}

/* Directory of the group path below a mount, which may itself show but a part of the hierarchy. NULL: it is not below it. */
static char *
directory_of(const struct mounted *m, const char *group)
{
	size_t n = strlen(m->root);

	if (!strcmp(m->root, "/"))
		n = 0;
	if (n && (strncmp(group, m->root, n) != 0 || (group[n] && group[n] != '/')))
		return NULL;
	group += n;
	return xasprintf("%s%s", m->mount, strcmp(group, "/") ? group : "");
}

/* ---- directories ---- */

int
cgroup_put(int dir, const char *file, const char *text)
{
	int fd = openat(dir, file, O_WRONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return r;
}

int
cgroup_get(int dir, const char *file, char *out, size_t size)
{
	int fd = openat(dir, file, O_RDONLY | O_CLOEXEC), r;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, out, size - 1);
	r = n < 0 ? -errno : (int)n;
	out[n < 0 ? 0 : n] = '\0';
	close(fd);
	return r;
}

/* A new v1 cpuset has no processors, so that nothing can be in it. */
static int
copy_cpuset(int parent, int dir)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	char text[CG_FILE_MAX];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		int r = cgroup_get(parent, files[i], text, sizeof(text));

		if (r < 0 || (r = cgroup_put(dir, files[i], text)) < 0)
			return r;
	}
	return 0;
}

int
cgroup_mkdir(const struct hierarchy *h, int dir, const char *name)
{
	char up[CG_REL_MAX + 4];
	CLEANUP_CLOSE int fd = -1, parent = -1;

	if (mkdirat(dir, name, 0755) < 0)
		return errno == EEXIST ? 0 : -errno;
	if (h->v2 || !(h->controllers & BIT(CG_CPUSET)))
		return 1;
	snprintf(up, sizeof(up), "%s/..", name);
	fd = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	parent = openat(dir, up, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || parent < 0 || copy_cpuset(parent, fd) < 0 ? -EIO : 1;
}

/* Make each directory of path below the mount point. 0 or -errno. */
static int
make_path(const struct hierarchy *h, const char *path)
{
	CLEANUP_FREE char *copy = xstrdup(path);
	CLEANUP_CLOSE int top = open(h->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char *rel = copy + strlen(h->mount);

	if (top < 0)
		return -errno;
	rel += strspn(rel, "/");
	for (char *s = rel; *s;) {
		char *end = s + strcspn(s, "/"), kept = *end;
		int r;

		*end = '\0';
		r = cgroup_mkdir(h, top, rel);
		*end = kept;
		if (r < 0)
			return r;
		s = end + strspn(end, "/");
	}
	return 0;
}

static int
make_below(const struct hierarchy *h, const char *name, int *fd_out)
{
	CLEANUP_FREE char *path = xasprintf("%s/%s", h->base, name);
	int r = make_path(h, path);

	if (r == 0 && fd_out && (*fd_out = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		r = -errno;
	return r;
}

static bool
exists(const char *dir, const char *file)
{
	CLEANUP_FREE char *path = xasprintf("%s/%s", dir, file);

	return access(path, F_OK) == 0;
}

static int
put_at(const char *dir, const char *file, const char *text)
{
	CLEANUP_FREE char *path = xasprintf("%s/%s", dir, file);

	return cgroup_put(AT_FDCWD, path, text);
}

/* ---- v2 ---- */

/*
 * systemd says of a group that it is delegated by an extended attribute. A user's manager could not say so before systemd 254; what belongs to the user is
 * the user's to divide.
 */
static bool
is_delegated(const char *dir)
{
	struct stat st;
	char v[2];

	if (geteuid() != 0 && stat(dir, &st) == 0 && st.st_uid == geteuid())
		return true;
	return (getxattr(dir, "user.delegate", v, sizeof(v)) == 1 && v[0] == '1') ||
	       (getxattr(dir, "trusted.delegate", v, sizeof(v)) == 1 && v[0] == '1');
}

/* How the subtree lies: top is the group from which on controllers are handed down, base the one that has aod/, shims/, agents/. */
struct place {
	char *top, *base;
};

static char *
parent_of(const char *dir)
{
	const char *slash = strrchr(dir, '/');

	return xstrndup(dir, slash && slash > dir ? (size_t)(slash - dir) : 1);
}

static bool
find_place_v2(const struct hierarchy *h, bool given, const char *name, struct place *p, char why[256])
{
	CLEANUP_FREE char *parent = parent_of(h->own);
	CLEANUP_FREE char *sibling = xasprintf("%s/" AGENTS_UNIT, parent);
	bool is_root = !given && !exists(h->own, "cgroup.type");

	if (given || is_root)
		p->top = xstrdup(h->own);
	else if (is_delegated(sibling))
		p->top = xstrdup(sibling);
	else if (is_delegated(h->own))
		p->top = xstrdup(h->own);
	else if (!strcmp(strrchr(h->own, '/'), "/aod") && is_delegated(parent))
		p->top = xstrdup(parent);
	else if (access("/run/systemd/system", F_OK) < 0)
		p->top = xstrdup(h->own);
	else {
		snprintf(why, 256,
			 "aod runs in %.60s, which systemd has not delegated to it: start it as aod.service, or by `systemd-run%s --scope -p "
			 "Delegate=yes`", h->own + strlen(h->mount), geteuid() ? " --user" : "");
		return false;
	}
	if (is_root && !name)
		name = "aod";
	p->base = name ? xasprintf("%s/%s", p->top, name) : xstrdup(p->top);
	return true;
}

/*
 * A group that hands controllers down may hold no processes. What is in top goes to leaves: aod itself to base/aod, shims of an earlier aod to
 * base/shims, anything else (a shell that aod was started from in a scope of its own) to top/aod. How many were met.
 */
static int
empty_top(const struct hierarchy *h, const struct place *p)
{
	CLEANUP_FREE char *list = xasprintf("%s/cgroup.procs", p->top);
	CLEANUP_FREE char *other = xasprintf("%s/aod", p->top);
	struct buf pids = BUF_INIT;
	char *save = NULL;
	int n = 0;

	if (file_read(list, PROC_MAX, &pids, NULL) < 0 || pids.len == 0) {
		buf_free(&pids);
		return 0;
	}
	for (char *s = strtok_r(pids.data, "\n", &save); s; s = strtok_r(NULL, "\n", &save), n++) {
		char comm[32], file[64];
		CLEANUP_FREE char *leaf = NULL;

		snprintf(file, sizeof(file), "/proc/%.10s/comm", s);
		if (cgroup_get(AT_FDCWD, file, comm, sizeof(comm)) < 0)
			continue;
		leaf = xasprintf("%s/%s", p->base, str_starts(comm, "aod-shim") ? "shims" : "aod");
		if (atoi(s) != getpid() && !str_starts(comm, "aod-shim")) {
			make_path(h, other);
			put_at(other, "cgroup.procs", s);
		} else {
			put_at(leaf, "cgroup.procs", s);
		}
	}
	buf_free(&pids);
	return n;
}

/* Hand down what there is. -EBUSY: there are processes in it. */
static int
enable_controllers(const char *dir)
{
	char text[CG_TEXT_MAX], have[256];
	CLEANUP_FREE char *path = xasprintf("%s/cgroup.controllers", dir);
	int worst = 0;

	if (cgroup_get(AT_FDCWD, path, have, sizeof(have)) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_LEN(controller_names); i++) {
		const char *name = controller_names[i].v2;
		int r;

		if (!name || !has_word(have, name, " \n"))
			continue;
		snprintf(text, sizeof(text), "+%s", name);
		r = put_at(dir, "cgroup.subtree_control", text);
		if (r < 0)
			worst = r;
	}
	return worst;
}

static int
hand_down(const struct hierarchy *h, const struct place *p, bool move)
{
	CLEANUP_FREE char *agents = xasprintf("%s/agents", p->base);
	int r = 0;

	/* A process that forks while it is moved shows up again. */
	for (int round = 0; round < 10; round++) {
		if (move)
			empty_top(h, p);
		r = enable_controllers(p->top);
		if (r != -EBUSY)
			break;
	}
	if (r == 0 && strcmp(p->top, p->base) != 0)
		r = enable_controllers(p->base);
	return r == 0 ? enable_controllers(agents) : r;
}

static void
fill_v2(struct cgroups *c, struct hierarchy *h)
{
	char text[256];

	if (cgroup_get(h->agents, "cgroup.subtree_control", text, sizeof(text)) < 0)
		text[0] = '\0';
	h->controllers = controllers_of(text, " \n", true);
	for (size_t i = 0; i < ARRAY_LEN(controller_names); i++)
		if (controller_names[i].v2 && (h->controllers & BIT(controller_names[i].k)))
			snprintf(c->enable + strlen(c->enable), sizeof(c->enable) - strlen(c->enable), "+%s ",
				 controller_names[i].v2);
}

/* What v2 gives without a controller. */
static unsigned
core_features(int agents)
{
	unsigned out = 0;

	if (faccessat(agents, "cgroup.freeze", W_OK, AT_EACCESS) == 0)
		out |= BIT(CG_FREEZER);
	if (faccessat(agents, "cgroup.kill", W_OK, AT_EACCESS) == 0)
		out |= BIT(CG_KILL);
	if (faccessat(agents, "cpu.stat", R_OK, AT_EACCESS) == 0)
		out |= BIT(CG_CPUACCT);
	if (faccessat(agents, "memory.pressure", R_OK, AT_EACCESS) == 0)
		out |= BIT(CG_PSI);
	return out;
}

static int
open_v2(struct cgroups *c, struct hierarchy *h, bool given, const char *name, char why[256])
{
	struct place p = { NULL, NULL };
	bool inside;
	int r;

	if (!find_place_v2(h, given, name, &p, why))
		return 0;
	h->base = p.base;
	r = given ? make_path(h, p.top) : 0;
	if (r == 0)
		r = make_below(h, "aod", NULL);
	if (r == 0)
		r = make_below(h, "shims", &c->shims);
	if (r == 0)
		r = make_below(h, "agents", &h->agents);
	/* The group above a path that was given, and the root, may need to hand down, too; if it does not, that shows below. */
	if (r == 0 && given) {
		CLEANUP_FREE char *parent = parent_of(p.top);

		enable_controllers(parent);
	}
	inside = r == 0 && exists(p.top, "cgroup.type");
	if (r == 0)
		r = hand_down(h, &p, inside);
	if (r == 0 && !inside && str_starts(p.base, h->own))
		put_at(p.base, "aod/cgroup.procs", "0");
	if (r == 0) {
		fill_v2(c, h);
		if (h->controllers & (BIT(CG_MEMORY) | BIT(CG_PIDS))) {
			h->controllers |= core_features(h->agents);
			c->mode = CGROUP_V2;
		}
	}
	if (c->mode == CGROUP_NONE)
		snprintf(why, 256, "%.100s cannot be divided: %s; give aod a control group of its own (aod.service, Delegate=yes)", p.base,
			 r == -EBUSY ? "there are other processes in it" : r ? strerror(-r) : "no memory or pids controller there");
	free(p.top);
	return 0;
}

/* ---- v1 ---- */

/* 0, or why this hierarchy is of no use. */
static int
open_one_v1(struct hierarchy *h, bool given, const char *name)
{
	/* The root group is everybody's: a level of our own there, too. */
	bool is_root = exists(h->own, "release_agent") || (h->v2 && !exists(h->own, "cgroup.type"));
	int r;

	if (!name && is_root && !given)
		name = "aod";
	h->base = name ? xasprintf("%s/%s", h->own, name) : xstrdup(h->own);
	r = make_below(h, "agents", &h->agents);
	if (r < 0)
		return r;
	/* Kernels before 5.11 count what is in a group but not what is below it, unless told. */
	if (h->controllers & BIT(CG_MEMORY))
		put_at(h->base, "memory.use_hierarchy", "1");
	return 0;
}

static void
hierarchy_free(struct hierarchy *h)
{
	if (h->agents >= 0)
		close(h->agents);
	free(h->mount);
	free(h->own);
	free(h->base);
}

/* Leave out what is taken from a hierarchy before it, and the hierarchies of which nothing is left. */
static void
share_out(struct cgroups *c)
{
	unsigned taken = 0;
	int n = 0;

	for (int i = 0; i < c->count; i++) {
		struct hierarchy *h = &c->h[i];

		h->controllers &= ~taken;
		taken |= h->controllers;
		if (h->controllers == 0) {
			CLEANUP_FREE char *agents = xasprintf("%s/agents", h->base);

			rmdir(agents);
			rmdir(h->base);
			hierarchy_free(h);
			continue;
		}
		for (int k = 0; k < CG_CONTROLLERS; k++)
			if (h->controllers & BIT(k))
				c->owner[k] = n;
		c->h[n++] = *h;
	}
	c->count = n;
}

static int
v1_rank(const struct hierarchy *h)
{
	/* The freezer names all groups where there is no v2. */
	return h->v2 ? 0 : h->controllers & BIT(CG_FREEZER) ? 1 : h->controllers & CG_ALWAYS ? 2 : 3;
}

static int
by_rank(const void *a, const void *b)
{
	return v1_rank(a) - v1_rank(b);
}

static void
open_v1(struct cgroups *c, bool given, const char *name, char why[256])
{
	int n = 0, failed = 0;
	CLEANUP_FREE char *failed_at = NULL;

	for (int i = 0; i < c->count; i++) {
		struct hierarchy *h = &c->h[i];
		int r = open_one_v1(h, given, name);

		if (r == 0 && h->v2) {
			h->controllers = core_features(h->agents);
			r = h->controllers & BIT(CG_FREEZER) ? 0 : -EOPNOTSUPP;
		}
		if (r < 0) {
			if (!failed_at)
				failed = r, failed_at = xstrdup(h->own);
			hierarchy_free(h);
			continue;
		}
		c->h[n++] = *h;
	}
	c->count = n;
	qsort(c->h, (size_t)n, sizeof(c->h[0]), by_rank);
	share_out(c);
	if (c->owner[CG_FREEZER] >= 0 && (c->owner[CG_MEMORY] >= 0 || c->owner[CG_PIDS] >= 0))
		c->mode = CGROUP_V1;
	else
		snprintf(why, 256, "%.100s: %s; run aod as root, or in a control group that is its user's", failed_at ? failed_at : "/sys/fs/cgroup",
			 failed ? strerror(-failed) : "the freezer, memory or pids controller is not mounted");
}

/* ---- all of it ---- */

static void
add_hierarchy(struct cgroups *c, const struct mounted *m, const char *own_text, const char *where)
{
	bool v2 = !strcmp(m->type, "cgroup2");
	struct hierarchy h = { .v2 = v2, .agents = -1 };
	char group[PATH_MAX];
	const char *one = NULL;

	if (!v2 && strcmp(m->type, "cgroup") != 0)
		return;
	if (!v2)
		h.controllers = controllers_of(m->options, ",", false);
	for (size_t i = 0; i < ARRAY_LEN(controller_names); i++)
		if (!v2 && (h.controllers & BIT(controller_names[i].k)))
			one = controller_names[i].v1;
	if ((!v2 && !one) || c->count == CG_HIERARCHIES_MAX || !cgroup_parse_own(own_text, one, group))
		return;
	for (int i = 0; i < c->count; i++)
		if (c->h[i].v2 == v2 && (v2 || (c->h[i].controllers & h.controllers)))
			return; /* mounted a second time */
	h.own = directory_of(m, where ? where : group);
	if (!h.own || (!where && access(h.own, F_OK) < 0)) {
		free(h.own);
		return;
	}
	h.mount = xstrdup(m->mount);
	c->h[c->count++] = h;
}

static int
find_mounts(struct cgroups *c, const char *where, struct err *e)
{
	struct buf mounts = BUF_INIT, own = BUF_INIT;
	char *save = NULL;
	int r = file_read("/proc/self/mountinfo", PROC_MAX, &mounts, e);

	if (r == 0)
		r = file_read("/proc/self/cgroup", PROC_MAX, &own, e);
	for (char *s = r == 0 && mounts.len ? strtok_r(mounts.data, "\n", &save) : NULL; s; s = strtok_r(NULL, "\n", &save)) {
		struct mounted m;

		if (parse_mount(s, &m) && own.len)
			add_hierarchy(c, &m, own.data, where);
	}
	buf_free(&mounts);
	buf_free(&own);
	return r;
}

/* Whether v2 has the controllers; else v1 has them. */
static struct hierarchy *
find_v2(struct cgroups *c, bool with_controllers)
{
	for (int i = 0; i < c->count; i++) {
		CLEANUP_FREE char *path = xasprintf("%s/cgroup.controllers", c->h[i].mount);
		char text[256];

		if (!c->h[i].v2)
			continue;
		if (!with_controllers || (cgroup_get(AT_FDCWD, path, text, sizeof(text)) > 0 &&
					  (controllers_of(text, " \n", true) & (BIT(CG_MEMORY) | BIT(CG_PIDS)))))
			return &c->h[i];
	}
	return NULL;
}

/* Only h is left. */
static void
keep_only(struct cgroups *c, struct hierarchy *h)
{
	struct hierarchy kept = *h;

	for (int i = 0; i < c->count; i++)
		if (&c->h[i] != h)
			hierarchy_free(&c->h[i]);
	c->h[0] = kept;
	c->count = 1;
}

static void
drop(struct cgroups *c, struct hierarchy *h)
{
	hierarchy_free(h);
	memmove(h, h + 1, (size_t)(c->h + c->count - (h + 1)) * sizeof(*h));
	c->count--;
}

/* A number from a file of the group that the subtree is in, where it is less than v. */
static int64_t
at_most(const struct hierarchy *h, const char *file, int64_t v)
{
	CLEANUP_FREE char *path = h ? xasprintf("%s/%s", h->own, file) : xstrdup(file);
	char text[CG_TEXT_MAX];
	int64_t n = cgroup_get(AT_FDCWD, path, text, sizeof(text)) < 0 ? -1 : cgroup_parse_number(text, NULL);

	return n > 0 && n < v ? n : v;
}

/* All agents together leave the host some room. What the kernel refuses here is no reason to run without groups. */
static void
leave_room(struct cgroups *c)
{
	struct limits room = { .memory_max = LIMIT_UNSET, .memory_high = LIMIT_UNSET, .memory_swap_max = LIMIT_UNSET,
			       .tasks_max = LIMIT_UNSET, .cpu_quota_us = LIMIT_UNSET, .cpu_period_us = LIMIT_UNSET,
			       .cpu_weight = LIMIT_UNSET, .io_weight = LIMIT_UNSET };
	int memory = c->owner[CG_MEMORY], pids = c->owner[CG_PIDS];
	struct sysinfo si;
	int64_t v, reserve;

	if (memory >= 0 && sysinfo(&si) == 0) {
		v = at_most(&c->h[memory], c->h[memory].v2 ? "memory.max" : "memory.limit_in_bytes", (int64_t)si.totalram * si.mem_unit);
		reserve = v * ROOM_PERCENT / 100 > ROOM_BYTES ? v * ROOM_PERCENT / 100 : ROOM_BYTES;
		if (v > reserve)
			room.memory_max = v - reserve;
	}
	if (pids >= 0) {
		v = at_most(NULL, "/proc/sys/kernel/pid_max", INT32_MAX);
		v = at_most(NULL, "/proc/sys/kernel/threads-max", v);
		v = at_most(&c->h[pids], "pids.max", v);
		room.tasks_max = v * TASKS_PERCENT / 100;
	}
	for (int i = 0; i < c->count; i++)
		cgroup_write_limits(c, &c->h[i], c->h[i].agents, &room, NULL);
}

static int
find_subtree(struct cgroups *c, const char *where, const char *name, char why[256], struct err *e)
{
	bool given = where[0] == '/';
	struct hierarchy *v2;
	int r = find_mounts(c, given ? where : NULL, e);

	if (r < 0)
		return r;
	v2 = find_v2(c, true);
	if (v2 && strcmp(where, "v1") != 0) {
		keep_only(c, v2);
		r = open_v2(c, &c->h[0], given, name, why);
		for (int k = 0; k < CG_CONTROLLERS; k++)
			if (c->mode == CGROUP_V2 && (c->h[0].controllers & BIT(k)))
				c->owner[k] = 0;
		return r;
	}
	v2 = find_v2(c, false);
	if (v2 && !strcmp(where, "v1"))
		drop(c, v2);
	open_v1(c, given, name, why);
	return 0;
}

int
cgroup_open(struct cgroups **out, const char *where, const char *name, char why[256], struct err *e)
{
	struct cgroups *c = xcalloc(1, sizeof(*c));
	int r = 0;

	c->shims = c->kmsg = -1;
	c->private_level = name != NULL;
	for (int k = 0; k < CG_CONTROLLERS; k++)
		c->owner[k] = -1;
	why[0] = '\0';
	if (!strcmp(where, "none"))
		snprintf(why, 256, "control groups are switched off in aod's configuration");
	else
		r = find_subtree(c, where, name, why, e);
	if (r < 0) {
		cgroup_close(c);
		return r;
	}
	if (c->mode != CGROUP_NONE) {
		cgroup_find_rows(c);
		leave_room(c);
		cgroup_oom_open(c);
	}
	*out = c;
	return 0;
}

void
cgroup_close(struct cgroups *c)
{
	if (!c)
		return;
	for (int i = 0; i < c->count; i++) {
		struct hierarchy *h = &c->h[i];

		/* Out of aod/, so that it can go; a group that hands controllers down takes nobody back, but has a leaf for that. */
		if (c->private_level && h->base) {
			CLEANUP_FREE char *aod = xasprintf("%s/aod", h->base), *shims = xasprintf("%s/shims", h->base);
			CLEANUP_FREE char *agents = xasprintf("%s/agents", h->base);

			CLEANUP_FREE char *top = parent_of(h->base), *other = xasprintf("%s/aod", top);

			if (c->mode == CGROUP_V2 && put_at(h->own, "cgroup.procs", "0") < 0 && make_path(h, other) == 0)
				put_at(other, "cgroup.procs", "0");
			rmdir(agents);
			rmdir(shims);
			rmdir(aod);
			rmdir(h->base);
		}
		hierarchy_free(h);
	}
	if (c->shims >= 0)
		close(c->shims);
	if (c->kmsg >= 0)
		close(c->kmsg);
	free(c);
}

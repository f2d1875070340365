/* SPDX-License-Identifier: MIT */
/*
 * Which file systems an agent sees: what the keys about paths, and what the profiles hide and show, wish for. sandbox-wish.c makes an ordered list
 * of operations of it. Landlock's trees, too. See sandbox.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "model/sandbox-internal.h"

#define WISHES_MAX 4096

/* ---- noting --------------------------------------------------------------------------------------------------------- */

static void
wish_mount(struct wishes *w, enum mount_op op, const char *src, const char *path, const char *opt, enum rank rank, unsigned flags)
{
	struct wish *one = wish_add(w, path, KIND_MOUNT, rank, flags);

	one->op = op;
	one->src = xstrdup(src);
	one->opt = xstrdup(opt);
}

static void
wish_tmpfs(struct wishes *w, const char *path, const char *opt, enum rank rank, unsigned flags)
{
	wish_add(w, path, KIND_TMPFS, rank, flags)->opt = xstrdup(opt);
}

static void
wish_all(struct wishes *w, const char *const *paths, enum kind kind, enum rank rank)
{
	for (; *paths; paths++)
		wish_add(w, *paths, kind, rank, MF_OPTIONAL);
}

/* It is seen, read-only, where it would be hidden; elsewhere it stays as it is. */
static void
wish_shown(struct wishes *w, const char *path, unsigned flags)
{
	struct wish *one;

	if (!path)
		return;
	one = wish_add(w, path, KIND_READ_ONLY, RANK_WORK, flags);
	one->host = one->only_hidden = true;
}

static bool
is(const struct wishes *w, enum directive_id id, const char *value)
{
	const char *v = blueprint_text(w->b, id);

	return v && strcmp(v, value) == 0;
}

static bool
is_yes(const struct wishes *w, enum directive_id id)
{
	return blueprint_tri(w->b, id) == TRI_YES;
}

/* ---- the blueprint's own paths ------------------------------------------------------------------------------------------ */

static int
bad_path(enum directive_id id, const char *word, struct err *e)
{
	return err_set_status(e, 422, -EINVAL, "%s=: '%.200s' has .. in it: write the path without", blueprint_directives[id].key, word);
}

/* The path in a word with - and + in front; *flags gets MF_OPTIONAL. */
static const char *
without_prefix(const char *word, unsigned *flags)
{
	if (*word == '-') {
		*flags |= MF_OPTIONAL;
		word++;
	}
	return word + (*word == '+');
}

static int
set_paths(struct wishes *w, enum directive_id id, enum kind kind, enum rank rank, struct err *e)
{
	char *const *words = blueprint_words(w->b, id);

	for (; words && *words; words++) {
		unsigned flags = 0;
		struct wish *one = wish_add(w, without_prefix(*words, &flags), kind, rank, 0);

		one->flags = flags;
		if (!one->path)
			return bad_path(id, *words, e);
	}
	return 0;
}

/* SRC[:DST[:rbind|norbind]] */
static int
set_bind(struct wishes *w, enum directive_id id, const char *word, struct err *e)
{
	unsigned flags = id == D_BindReadOnlyPaths ? MF_RO : 0;
	const char *s = without_prefix(word, &flags), *colon = strchr(s, ':'), *options = colon ? strchr(colon + 1, ':') : NULL;
	CLEANUP_FREE char *from = xstrndup(s, colon ? (size_t)(colon - s) : strlen(s));
	CLEANUP_FREE char *to = !colon ? xstrdup(from) : xstrndup(colon + 1, options ? (size_t)(options - colon - 1) : strlen(colon + 1));
	CLEANUP_FREE char *src = path_simplified(from);

	if (options && strcmp(options + 1, "norbind") == 0)
		flags |= MF_NOREC;
	if (!src)
		return bad_path(id, word, e);
	wish_mount(w, MOUNT_BIND, src, to, NULL, RANK_SET_BIND, flags);
	return w->v[w->count - 1].path ? 0 : bad_path(id, word, e);
}

static int
set_binds(struct wishes *w, enum directive_id id, struct err *e)
{
	char *const *words = blueprint_words(w->b, id);
	int r = 0;

	for (; words && *words && r == 0; words++)
		r = set_bind(w, id, *words, e);
	return r;
}

/* NAME=DIGITS and perhaps one letter of suffixes. */
static bool
numeric_option(const char *s, const char *name, const char *suffixes)
{
	size_t n = strlen(name);

	if (strncmp(s, name, n) != 0 || !isdigit((unsigned char)s[n]))
		return false;
	s += n + strspn(s + n, "0123456789");
	return !*s || (strchr(suffixes, *s) && !s[1]);
}

/* One option of TemporaryFileSystem=; what is for the file system itself is added to opt. */
static bool
tmpfs_option(const char *s, struct buf *opt, unsigned *flags)
{
	if (strcmp(s, "ro") == 0)
		*flags |= MF_RO;
	else if (strcmp(s, "noexec") == 0)
		*flags |= MF_NOEXEC;
	else if (strcmp(s, "rw") && strcmp(s, "nosuid") && strcmp(s, "nodev") && strcmp(s, "exec")) {
		if (!numeric_option(s, "size=", "kKmMgG%") && !numeric_option(s, "nr_inodes=", "kKmMgG") && !numeric_option(s, "mode=", ""))
			return false;
		buf_printf(opt, "%s%s", opt->len > 0 ? "," : "", s);
	}
	return true;
}

static int
set_tmpfs(struct wishes *w, const char *word, struct err *e)
{
	const char *colon = strchr(word, ':');
	CLEANUP_FREE char *path = xstrndup(word, colon ? (size_t)(colon - word) : strlen(word));
	CLEANUP_FREE char *options = xstrdup(colon ? colon + 1 : "");
	struct buf opt = BUF_INIT;
	unsigned flags = MF_NOSUID | MF_NODEV;
	char *rest = options, *s;
	int r = 0;

	while (r == 0 && (s = strsep(&rest, ",")) != NULL)
		if (*s && !tmpfs_option(s, &opt, &flags))
			r = err_set_status(e, 422, -EINVAL,
					   "TemporaryFileSystem=: '%.60s' is no option of it: use size=, nr_inodes=, mode=, ro, noexec", s);
	if (!strstr(opt.data ? opt.data : "", "mode="))
		buf_printf(&opt, "%smode=0755", opt.len > 0 ? "," : "");
	if (r == 0)
		wish_tmpfs(w, path, opt.data, RANK_SET_TMPFS, flags);
	buf_free(&opt);
	if (r == 0 && !w->v[w->count - 1].path)
		r = bad_path(D_TemporaryFileSystem, word, e);
	return r;
}

static int
blueprint_paths(struct wishes *w, struct err *e)
{
	char *const *tmpfs = blueprint_words(w->b, D_TemporaryFileSystem);
	int r = set_paths(w, D_InaccessiblePaths, KIND_HIDE, RANK_SET_HIDE, e);

	if (r == 0)
		r = set_paths(w, D_ReadOnlyPaths, KIND_READ_ONLY, RANK_SET_READ_ONLY, e);
	if (r == 0)
		r = set_paths(w, D_ReadWritePaths, KIND_WRITABLE, RANK_SET_WRITABLE, e);
	if (r == 0)
		r = set_binds(w, D_BindPaths, e);
	if (r == 0)
		r = set_binds(w, D_BindReadOnlyPaths, e);
	for (; r == 0 && tmpfs && *tmpfs; tmpfs++)
		r = set_tmpfs(w, *tmpfs, e);
	for (int i = 0; i < w->count && r == 0; i++)
		if (strcmp(w->v[i].path, "/") == 0 && w->v[i].kind <= KIND_MOUNT)
			r = err_set_status(e, 422, -EINVAL, "[Sandbox]: nothing can be put in the place of /; name directories below it");
	return r;
}

/* Whether who may write to path has the system, or what all share, in hand. A home is its user's matter. */
static bool
is_of_system(const char *path)
{
	static const char *const trees[] = { "/bin", "/boot", "/dev", "/efi", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run", "/sbin",
					     "/sys", "/usr", NULL };
	static const char *const alone[] = { "/", "/home", "/media", "/mnt", "/opt", "/srv", "/tmp", "/var", "/var/cache", "/var/lib", "/var/log",
					     "/var/spool", "/var/tmp", NULL };
	/* Below those, people do keep what they work on. */
	static const char *const work[] = { "/dev/shm", "/run/user", "/usr/local/src", "/usr/src", NULL };

	for (size_t i = 0; work[i]; i++)
		if (path_within(path, work[i]) && strcmp(path, work[i]) != 0)
			return false;
	for (size_t i = 0; trees[i]; i++)
		if (path_within(path, trees[i]))
			return true;
	for (size_t i = 0; alone[i]; i++)
		if (strcmp(path, alone[i]) == 0)
			return true;
	return false;
}

/* Each directory between tree, which the agent may write to, and path. */
static void
pin_between(struct wishes *w, const char *tree, const char *path)
{
	CLEANUP_FREE char *dir = xstrdup(path);
	size_t n = strlen(tree);

	if (n < 2 || strlen(dir) <= n || !path_within(path, tree))
		return;
	for (char *slash = strchr(dir + n + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		wish_add(w, dir, KIND_WRITABLE, RANK_WORK, MF_OPTIONAL | MF_NOFOLLOW)->pin = true;
		*slash = '/';
	}
}

/*
 * What a blueprint protects in a tree that the agent may write to is not evaded by moving a directory on the way to it: a mount cannot be moved. count: of the
 * wishes that are the blueprint's.
 */
static void
pin_ways(struct wishes *w, int count)
{
	for (int i = 0; i < count; i++) {
		CLEANUP_FREE char *path = w->v[i].kind == KIND_WRITABLE ? NULL : xstrdup(w->v[i].path);

		if (!path)
			continue;
		pin_between(w, w->p->cwd, path);
		pin_between(w, w->p->own, path);
		for (int k = 0; k < count; k++) {
			CLEANUP_FREE char *tree = xstrdup(w->v[k].path);

			if (w->v[k].kind == KIND_WRITABLE || (w->v[k].kind == KIND_MOUNT && w->v[k].op == MOUNT_BIND && !(w->v[k].flags & MF_RO)))
				pin_between(w, tree, path);
		}
	}
}

/* ---- what single keys protect -------------------------------------------------------------------------------------------- */

static void
protect_system(struct wishes *w)
{
	/* As they are: other keys see to them. */
	static const char *const elsewhere[] = { "/proc", "/sys", "/dev", "/home", "/root", "/run/user", NULL };
	static const char *const yes[] = { "/usr", "/boot", "/efi", NULL };
	const char *v = blueprint_text(w->b, D_ProtectSystem);

	if (!v || strcmp(v, "no") == 0)
		return;
	if (strcmp(v, "strict") == 0) {
		wish_add(w, "/", KIND_READ_ONLY, RANK_READ_ONLY, 0);
		wish_all(w, elsewhere, KIND_WRITABLE, RANK_WRITABLE);
		return;
	}
	wish_all(w, yes, KIND_READ_ONLY, RANK_READ_ONLY);
	if (strcmp(v, "full") == 0)
		wish_add(w, "/etc", KIND_READ_ONLY, RANK_READ_ONLY, 0);
}

static void
protect_homes(struct wishes *w, const char *const *homes)
{
	if (is(w, D_ProtectHome, "read-only"))
		wish_all(w, homes, KIND_READ_ONLY, RANK_READ_ONLY);
	else if (is(w, D_ProtectHome, "yes"))
		wish_all(w, homes, KIND_HIDE, RANK_HIDE);
	else if (is(w, D_ProtectHome, "tmpfs"))
		for (size_t i = 0; homes[i]; i++)
			wish_tmpfs(w, homes[i], "mode=0755", RANK_HIDE, TMPFS_FLAGS | MF_OPTIONAL);
}

/* Where homes are, and those that are elsewhere: the agent may have the same user as they. */
static void
protect_home(struct wishes *w)
{
	static const char *const homes[] = { "/home", "/root", "/run/user", NULL };

	protect_homes(w, homes);
	for (char *const *v = w->p->homes; v && *v; v++)
		if (!is_of_system(*v))
			protect_homes(w, (const char *const[]){ *v, NULL });
}

static void
protect_kernel(struct wishes *w)
{
	static const char *const proc[] = { "/proc/acpi", "/proc/apm",	"/proc/asound", "/proc/bus", "/proc/fs",	    "/proc/irq",
					    "/proc/mtrr", "/proc/scsi", "/proc/sys",	"/proc/sysrq-trigger", NULL };
	static const char *const hidden[] = { "/proc/kallsyms", "/proc/kcore", NULL };
	static const char *const sys[] = { "/sys", NULL };
	static const char *const modules[] = { "/lib/modules", "/usr/lib/modules", NULL };
	static const char *const log[] = { "/proc/kmsg", "/dev/kmsg", NULL };
	bool processes_only = is(w, D_ProcSubset, "pid");

	if (is_yes(w, D_ProtectKernelTunables)) {
		wish_all(w, sys, KIND_READ_ONLY, RANK_READ_ONLY);
		if (!processes_only) {
			wish_all(w, proc, KIND_READ_ONLY, RANK_READ_ONLY);
			wish_all(w, hidden, KIND_HIDE, RANK_HIDE);
		}
		if (!is_yes(w, D_ProtectControlGroups))
			wish_add(w, "/sys/fs/cgroup", KIND_WRITABLE, RANK_WRITABLE, MF_OPTIONAL);
	}
	if (is_yes(w, D_ProtectControlGroups))
		wish_add(w, "/sys/fs/cgroup", KIND_READ_ONLY, RANK_READ_ONLY, MF_OPTIONAL);
	if (is_yes(w, D_ProtectKernelModules))
		wish_all(w, modules, KIND_HIDE, RANK_HIDE);
	if (is_yes(w, D_ProtectKernelLogs))
		wish_all(w, log + processes_only, KIND_HIDE, RANK_HIDE);
}

static void
private_proc(struct wishes *w)
{
	const char *who = blueprint_text(w->b, D_ProtectProc);
	bool hide = who && strcmp(who, "default") != 0, subset = is(w, D_ProcSubset, "pid");
	CLEANUP_FREE char *opt = xasprintf("%s%s%s%s", hide ? "hidepid=" : "", hide ? who : "", hide && subset ? "," : "", subset ? "subset=pid" : "");

	if (hide || subset || is_yes(w, D_PrivatePIDs))
		wish_mount(w, MOUNT_PROC, NULL, "/proc", *opt ? opt : NULL, RANK_MOUNT, MF_NOSUID | MF_NODEV | MF_NOEXEC);
}

/* The interfaces of the host are found in /sys at many places. What is mounted below it is not there any more, but for control groups. */
static void
private_sys(struct wishes *w)
{
	enum kind kind = is_yes(w, D_ProtectControlGroups) ? KIND_READ_ONLY : KIND_WRITABLE;

	if (!is_yes(w, D_PrivateNetwork))
		return;
	wish_mount(w, MOUNT_SYS, NULL, "/sys", NULL, RANK_MOUNT, MF_NOSUID | MF_NODEV | MF_NOEXEC);
	wish_add(w, "/sys/fs/cgroup", kind, RANK_MOUNT, MF_OPTIONAL)->host = true;
}

static void
private_tmp(struct wishes *w)
{
	static const char *const dirs[] = { "/tmp", "/var/tmp" };
	const char *size = blueprint_text(w->b, D_PrivateTmpSize);
	int64_t bytes = blueprint_bytes(w->b, D_PrivateTmpSize, 0);
	CLEANUP_FREE char *opt = bytes == INT64_MAX	   ? xstrdup("mode=1777,size=0")
				 : size && strchr(size, '%') ? xasprintf("mode=1777,size=%s", size)
							     : xasprintf("mode=1777,size=%lld", (long long)bytes);

	if (!is_yes(w, D_PrivateTmp))
		return;
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		if (size)
			wish_tmpfs(w, dirs[i], opt, RANK_MOUNT, MF_NOSUID | MF_NODEV);
		else
			wish_mount(w, MOUNT_BIND, w->p->tmp, dirs[i], NULL, RANK_MOUNT, MF_NOSUID | MF_NODEV | MF_NOFOLLOW | w->idmap);
	}
}

/* ---- what an agent works in ------------------------------------------------------------------------------------------------ */

/* By which git runs programs: where the directory is that has the configuration; configuration of one worktree; hooks; configuration. */
static const char *const git_names[] = { "commondir", "config.worktree", "hooks", "config" };

static bool
is_in(char *const *v, const char *s)
{
	for (; v && *v; v++)
		if (strcmp(*v, s) == 0)
			return true;
	return false;
}

static void
protect_repository(struct wishes *w, const char *git)
{
	pin_between(w, w->p->cwd, git);
	wish_add(w, git, KIND_WRITABLE, RANK_WORK, MF_OPTIONAL | MF_NOFOLLOW)->pin = true;
	for (size_t i = 0; i < ARRAY_LEN(git_names); i++) {
		CLEANUP_FREE char *path = xasprintf("%s/%s", git, git_names[i]);

		wish_add(w, path, KIND_READ_ONLY, RANK_WORK, MF_OPTIONAL | MF_NOFOLLOW);
	}
}

/* No git command of a person is to run what an agent wrote. */
static void
protect_git(struct wishes *w)
{
	CLEANUP_FREE char *git = xasprintf("%s/.git", w->p->cwd);

	if (!is_in(w->p->git_files, git))
		protect_repository(w, git);
	for (char *const *v = w->p->git_dirs; v && *v; v++)
		protect_repository(w, *v);
	for (char *const *v = w->p->git_files; v && *v; v++) {
		pin_between(w, w->p->cwd, *v);
		wish_add(w, *v, KIND_READ_ONLY, RANK_WORK, MF_OPTIONAL | MF_NOFOLLOW);
	}
}

static void
guard_repository(struct sandbox *s, const struct wishes *w, const char *git)
{
	for (size_t i = 0; i < ARRAY_LEN(git_names); i++) {
		CLEANUP_FREE char *path = xasprintf("%s/%s", git, git_names[i]);
		bool allowed = false;

		for (char *const *v = blueprint_words(w->b, D_ReadWritePaths); v && *v && !allowed; v++) {
			CLEANUP_FREE char *word = path_simplified(without_prefix(*v, &(unsigned){ 0 }));

			allowed = word && strcmp(word, path) == 0;
		}
		if (!allowed)
			s->git_guard = strv_add(s->git_guard, path);
	}
}

/* What cannot be made read-only, as it may not be there: aod looks for it at the end. In the session's own directory no person works. */
static void
guard_git(struct sandbox *s, const struct wishes *w)
{
	CLEANUP_FREE char *git = xasprintf("%s/.git", w->p->cwd);

	if (s->profile == SANDBOX_NONE || w->p->cwd_is_own)
		return;
	if (!is_in(w->p->git_files, git))
		guard_repository(s, w, git);
	for (char *const *v = w->p->git_dirs; v && *v; v++)
		guard_repository(s, w, *v);
}

static void
show_work(struct wishes *w)
{
	/* Nothing takes it away: the adapter's files are in it. */
	struct wish *one = wish_add(w, w->p->own, KIND_WRITABLE, RANK_OURS, MF_NOSUID | MF_NODEV | w->idmap);

	one->host = true;
	if (!w->p->cwd_is_own) {
		one = wish_add(w, w->p->cwd, KIND_WRITABLE, RANK_WORK, MF_NOFOLLOW | w->cwd_idmap);
		one->host = true;
	}
}

/* The directory of the socket where that is its own, so that one which a later aod makes is seen, too; else the socket. */
static char *
shown_socket(const struct sandbox_paths *p)
{
	const char *slash = p->socket ? strrchr(p->socket, '/') : NULL;
	CLEANUP_FREE char *dir = slash ? xstrndup(p->socket, (size_t)(slash - p->socket)) : NULL;
	bool own_dir = dir && p->run && path_within(dir, p->run) && strcmp(dir, p->run) != 0;

	return own_dir ? xstrdup(dir) : p->socket ? xstrdup(p->socket) : NULL;
}

/* Nothing of aod's, of other sessions' and of the host's services; but how names are resolved is found below /run. */
static void
hide_ours(struct wishes *w)
{
	static const char *const names[] = { "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager/resolv.conf", "/run/connman", NULL };
	const char *const ours[] = { w->p->state, w->p->run, w->p->etc };

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (ours[i]) {
			wish_tmpfs(w, ours[i], "mode=0755", RANK_OURS, TMPFS_FLAGS | MF_OPTIONAL);
			/* With --root in a project: what is above them could be moved away, and another one take its place. */
			pin_between(w, w->p->cwd, ours[i]);
		}
	wish_tmpfs(w, "/run", "mode=0755", RANK_HIDE, TMPFS_FLAGS | MF_OPTIONAL);
	for (size_t i = 0; names[i]; i++)
		wish_shown(w, names[i], MF_OPTIONAL);
}

static void
show_programs(struct wishes *w)
{
	CLEANUP_FREE char *socket = shown_socket(w->p);

	wish_shown(w, w->p->program, 0);
	for (char *const *v = w->p->visible; v && *v; v++)
		wish_shown(w, *v, MF_OPTIONAL);
	wish_shown(w, socket, 0);
}

static void
credentials(struct wishes *w, const struct sandbox *s)
{
	if (s->credentials_dir)
		wish_mount(w, MOUNT_CREDENTIALS, NULL, s->credentials_dir, NULL, RANK_OURS, TMPFS_FLAGS);
}

/* ---- Landlock ---------------------------------------------------------------------------------------------------------------------- */

static bool
within_any(const char *path, char *const *trees)
{
	for (; trees && *trees; trees++)
		if (path_within(path, *trees))
			return true;
	return false;
}

static void
landlock(struct sandbox *s, const struct wishes *w)
{
	static const char *const pseudo[] = { "/dev", "/proc", NULL };
	static const char *const system[] = { "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
					      "/etc", "/opt", "/sys",  "/nix", "/run/systemd/resolve", NULL };
	char *const *words = blueprint_words(w->b, D_ReadWritePaths);
	CLEANUP_FREE char *socket = shown_socket(w->p);

	if (s->profile == SANDBOX_NONE || !is(w, D_ProtectSystem, "strict"))
		return;
	s->landlock_rw = strv_add(s->landlock_rw, w->p->own);
	if (!w->p->cwd_is_own)
		s->landlock_rw = strv_add(s->landlock_rw, w->p->cwd);
	for (size_t i = 0; pseudo[i]; i++)
		s->landlock_rw = strv_add(s->landlock_rw, pseudo[i]);
	for (; words && *words; words++)
		s->landlock_rw = strv_add(s->landlock_rw, without_prefix(*words, &(unsigned){ 0 }));
	/* Beside mounts the narrow view is theirs; in their place a /tmp that all share is not given. */
	for (int i = 0; i < s->mount_count; i++)
		if (!(s->mounts[i].flags & MF_RO) && (s->mounts[i].op == MOUNT_TMPFS || s->mounts[i].op == MOUNT_BIND) &&
		    !within_any(s->mounts[i].dst, s->landlock_rw))
			s->landlock_rw = strv_add(s->landlock_rw, s->mounts[i].dst);
	if (!w->p->no_namespaces || s->profile != SANDBOX_STRICT) {
		s->landlock_ro = strv_add(s->landlock_ro, "/");
		return;
	}
	for (size_t i = 0; system[i]; i++)
		s->landlock_ro = strv_add(s->landlock_ro, system[i]);
	for (char *const *v = blueprint_words(w->b, D_ReadOnlyPaths); v && *v; v++)
		s->landlock_ro = strv_add(s->landlock_ro, without_prefix(*v, &(unsigned){ 0 }));
	for (char *const *v = w->p->visible; v && *v; v++)
		s->landlock_ro = strv_add(s->landlock_ro, *v);
	if (w->p->program)
		s->landlock_ro = strv_add(s->landlock_ro, w->p->program);
	/* To connect takes no right of Landlock's; to put another socket in its place would. */
	if (socket)
		s->landlock_ro = strv_add(s->landlock_ro, socket);
}

/* ---- all of it ------------------------------------------------------------------------------------------------------------------------ */

/* A project directory that would open what the profile is to protect. */
static int
check_cwd(const struct wishes *w, bool hidden, struct err *e)
{
	const char *const ours[] = { w->p->state, w->p->run, w->p->etc }, *cwd = w->p->cwd;
	CLEANUP_FREE char *simple = path_simplified(cwd);

	if (!simple)
		return err_set_status(e, 422, -EINVAL, "project_dir '%.200s' has .. in it: give the path without", cwd);
	for (size_t i = 0; i < ARRAY_LEN(ours) && !w->p->cwd_is_own; i++)
		if (ours[i] && path_within(simple, ours[i]) && !path_within(simple, w->p->own))
			return err_set_status(e, 422, -EPERM, "project_dir '%.200s' is aod's own: give another directory", simple);
	if (is_of_system(simple))
		return err_set_status(e, 422, -EPERM,
				      "project_dir '%.200s' would let the agent write to the system: give a directory of the project, or set Sandbox=none",
				      simple);
	/* Where strict hides it, the way to it is pinned; elsewhere it could be written to, or moved away for another one to take its place. */
	for (size_t i = 0; i < ARRAY_LEN(ours) && !hidden; i++)
		if (ours[i] && path_within(ours[i], simple))
			return err_set_status(e, 422, -EPERM, "project_dir '%.150s' has aod's own %.150s in it: give another directory", simple, ours[i]);
	return 0;
}

static int
note_all(struct wishes *w, const struct sandbox *s, struct err *e)
{
	bool other_user = s->dynamic_user || s->user;
	int r = s->profile == SANDBOX_NONE && !s->dynamic_user ? 0 : check_cwd(w, s->profile == SANDBOX_STRICT && !w->p->no_namespaces, e);

	if (r == 0)
		r = blueprint_paths(w, e);
	if (r == 0 && w->count <= WISHES_MAX)
		pin_ways(w, w->count);
	else if (r == 0)
		r = err_set_status(e, 422, -E2BIG, "[Sandbox] names %d paths, %d are the most", w->count, WISHES_MAX);
	if (r < 0)
		return r;
	w->idmap = w->p->root && other_user ? MF_IDMAP | MF_OWN : 0;
	w->cwd_idmap = s->dynamic_user ? MF_IDMAP : 0;
	private_proc(w);
	private_sys(w);
	if (is_yes(w, D_PrivateDevices))
		wish_mount(w, MOUNT_DEV, NULL, "/dev", NULL, RANK_MOUNT, MF_NOSUID | MF_NOEXEC);
	protect_system(w);
	protect_home(w);
	protect_kernel(w);
	private_tmp(w);
	if (s->profile == SANDBOX_STRICT)
		hide_ours(w);
	for (char *const *v = w->p->closed; other_user && v && *v; v++)
		wish_tmpfs(w, *v, "mode=0755", RANK_HIDE, TMPFS_FLAGS | MF_OPTIONAL);
	if (s->profile != SANDBOX_NONE || other_user || w->count > 0) {
		show_work(w);
		show_programs(w);
	}
	if (s->profile != SANDBOX_NONE)
		protect_git(w);
	credentials(w, s);
	if (s->dynamic_user)
		for (size_t i = 0; i < 2; i++)
			wish_mount(w, MOUNT_FILE, NULL, i ? "/etc/group" : "/etc/passwd", NULL, RANK_OURS, MF_RO | MF_OPTIONAL);
	if (w->bad)
		return err_set_status(e, 422, -EINVAL, "'%.200s' has .. in it: write the path of a program or a file of its without", w->bad);
	return 0;
}

int
sandbox_make_mounts(struct sandbox *s, const struct blueprint *b, const struct sandbox_paths *p, struct err *e)
{
	struct wishes w = { .b = b, .p = p };
	const struct wish *over;
	int r = note_all(&w, s, e);

	if (r == 0)
		wishes_decide(&w);
	over = r == 0 ? wishes_found_at(&w, p->cwd) : NULL;
	if (over && over->kind == KIND_HIDE)
		r = err_set_status(e, 422, -EINVAL, "InaccessiblePaths= hides the working directory '%.200s': name it in ReadWritePaths=, or leave it out",
				   p->cwd);
	if (r == 0 && !p->no_namespaces)
		r = wishes_emit(s, &w, e);
	if (r == 0)
		landlock(s, &w);
	if (r == 0)
		guard_git(s, &w);
	wishes_free(&w);
	return r;
}

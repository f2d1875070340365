/* SPDX-License-Identifier: MIT */
/* Looks for what an agent left in .git. By descriptors, and no link is followed. See gitguard.h. */
#include "config.h"

#include "aod/gitguard.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"

static int
open_dir(const char *path)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* Which one .git is. The number of what was removed may be used again, the time of its making is not. */
static void
identity(const char *path, int64_t *inode, int64_t *changed)
{
	struct stat st;

	*inode = *changed = 0;
	if (lstat(path, &st) < 0)
		return;
	*inode = (int64_t)st.st_ino;
	if (!S_ISDIR(st.st_mode))
		*changed = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
}

static bool
is_there(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

void
git_guard_begin(struct git_guard *g, const char *project, char *const *names)
{
	CLEANUP_CLOSE int fd = -1;

	if (!names)
		return;
	g->dir = xasprintf("%s/.git", project);
	identity(g->dir, &g->inode, &g->changed);
	fd = open_dir(g->dir);
	for (; fd >= 0 && *names; names++)
		if (!is_there(fd, *names))
			g->names = strv_add(g->names, *names);
}

void
git_guard_args(struct buf *out, const struct git_guard *g)
{
	if (!g->dir)
		return;
	buf_puts(out, ",\"git_guard\":{\"dir\":");
	buf_put_json_str(out, g->dir);
	buf_printf(out, ",\"inode\":%lld,\"changed\":%lld,\"names\":[", (long long)g->inode, (long long)g->changed);
	for (char **v = g->names; v && *v; v++) {
		buf_puts(out, v == g->names ? "" : ",");
		buf_put_json_str(out, *v);
	}
	buf_puts(out, "]}");
}

void
git_guard_restore(struct git_guard *g, struct json_object *args)
{
	struct json_object *o = NULL, *v = NULL;

	if (!json_object_object_get_ex(args, "git_guard", &o) || !json_object_object_get_ex(o, "dir", &v))
		return;
	g->dir = xstrdup(json_object_get_string(v));
	if (json_object_object_get_ex(o, "inode", &v))
		g->inode = json_object_get_int64(v);
	if (json_object_object_get_ex(o, "changed", &v))
		g->changed = json_object_get_int64(v);
	if (!json_object_object_get_ex(o, "names", &v) || !json_object_is_type(v, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(v); i++)
		g->names = strv_add(g->names, json_object_get_string(json_object_array_get_idx(v, i)));
}

/* Its new name, or NULL with errno. An agent that has taken the usual one does not keep it from being renamed. */
static char *
move_away(int dir, const char *name)
{
	char id[ID_SIZE];
	char *to = xasprintf("%s.from-agent", name);

	if (renameat2(dir, name, dir, to, RENAME_NOREPLACE) == 0)
		return to;
	if (errno == EEXIST) {
		free(to);
		to = xasprintf("%s.from-agent-%s", name, id_new(id));
	}
	/* There are file systems that do not know how not to replace; nothing has this name. */
	if (!is_there(dir, to) && renameat(dir, name, dir, to) == 0)
		return to;
	free(to);
	return NULL;
}

static void
tell_moved(const struct git_guard *g, const char *name, const char *to, struct buf *text)
{
	if (to)
		buf_printf(text, "the agent made %s/%s, by which git runs programs: it is %s now; ReadWritePaths=%s/%s allows it", g->dir, name, to, g->dir,
			   name);
	else
		buf_printf(text, "the agent made %s/%s, by which git runs programs, and it cannot be renamed (%s): look at it before you use git there",
			   g->dir, name, strerror(errno));
}

bool
git_guard_end(const struct git_guard *g, struct buf *text, char ***files)
{
	CLEANUP_CLOSE int fd = -1;
	int64_t inode, changed;

	*files = NULL;
	if (!g->dir)
		return false;
	identity(g->dir, &inode, &changed);
	if (inode && (inode != g->inode || changed != g->changed)) {
		buf_printf(text, "the agent made %s, so that its hooks and configuration are the agent's: look at them before you use git there", g->dir);
		*files = strv_add(NULL, g->dir);
		return true;
	}
	fd = open_dir(g->dir);
	for (char **v = g->names; fd >= 0 && v && *v; v++) {
		CLEANUP_FREE char *to = NULL, *path = NULL;

		if (!is_there(fd, *v))
			continue;
		to = move_away(fd, *v);
		buf_puts(text, *files ? "; " : "");
		tell_moved(g, *v, to, text);
		path = xasprintf("%s/%s", g->dir, *v);
		*files = strv_add(*files, path);
	}
	return *files != NULL;
}

void
git_guard_free(struct git_guard *g)
{
	free(g->dir);
	strv_free(g->names);
}

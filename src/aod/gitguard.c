/* SPDX-License-Identifier: MIT */
/* Looks for what an agent left in git repositories. By descriptors, and no link is followed. See gitguard.h. */
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

struct git_guarded {
	char *dir;		/* the repository */
	char **names;		/* what was not in it at the start, and is not to be */
	int64_t inode, changed; /* of dir itself at the start: which one it is; for what is no directory, when it was made. 0: there was none */
};

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

static struct git_guarded *
add_guarded(struct git_guard *g, const char *dir, size_t n)
{
	struct git_guarded *one;

	g->v = xrealloc(g->v, ((size_t)g->count + 1) * sizeof(*g->v));
	one = &g->v[g->count++];
	*one = (struct git_guarded){ .dir = xstrndup(dir, n) };
	return one;
}

void
git_guard_begin(struct git_guard *g, char *const *paths)
{
	CLEANUP_CLOSE int fd = -1;
	struct git_guarded *one = NULL;

	for (; paths && *paths; paths++) {
		const char *name = strrchr(*paths, '/') + 1;
		size_t n = (size_t)(name - *paths) - 1;

		if (!one || strlen(one->dir) != n || strncmp(one->dir, *paths, n) != 0) {
			one = add_guarded(g, *paths, n);
			identity(one->dir, &one->inode, &one->changed);
			if (fd >= 0)
				close(fd);
			fd = open_dir(one->dir);
		}
		if (fd >= 0 && !is_there(fd, name))
			one->names = strv_add(one->names, name);
	}
}

static void
put_guarded(struct buf *out, const struct git_guarded *one)
{
	buf_puts(out, "{\"dir\":");
	buf_put_json_str(out, one->dir);
	buf_printf(out, ",\"inode\":%lld,\"changed\":%lld,\"names\":[", (long long)one->inode, (long long)one->changed);
	for (char **v = one->names; v && *v; v++) {
		buf_puts(out, v == one->names ? "" : ",");
		buf_put_json_str(out, *v);
	}
	buf_puts(out, "]}");
}

void
git_guard_args(struct buf *out, const struct git_guard *g)
{
	if (!g->count)
		return;
	buf_puts(out, ",\"git_guard\":[");
	for (int i = 0; i < g->count; i++) {
		buf_puts(out, i ? "," : "");
		put_guarded(out, &g->v[i]);
	}
	buf_putc(out, ']');
}

static void
restore_guarded(struct git_guard *g, struct json_object *o)
{
	struct json_object *v = NULL;
	struct git_guarded *one;

	if (!json_object_object_get_ex(o, "dir", &v))
		return;
	one = add_guarded(g, json_object_get_string(v), (size_t)json_object_get_string_len(v));
	if (json_object_object_get_ex(o, "inode", &v))
		one->inode = json_object_get_int64(v);
	if (json_object_object_get_ex(o, "changed", &v))
		one->changed = json_object_get_int64(v);
	if (!json_object_object_get_ex(o, "names", &v) || !json_object_is_type(v, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(v); i++)
		one->names = strv_add(one->names, json_object_get_string(json_object_array_get_idx(v, i)));
}

void
git_guard_restore(struct git_guard *g, struct json_object *args)
{
	struct json_object *list = NULL;

	if (!json_object_object_get_ex(args, "git_guard", &list))
		return;
	/* Of an aod that looked after one only. */
	if (json_object_is_type(list, json_type_object))
		restore_guarded(g, list);
	for (size_t i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++)
		restore_guarded(g, json_object_array_get_idx(list, i));
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
tell_moved(const struct git_guarded *g, const char *name, const char *to, struct buf *text)
{
	if (to)
		buf_printf(text, "the agent made %s/%s, by which git runs programs: it is %s now; ReadWritePaths=%s/%s allows it", g->dir, name, to, g->dir,
			   name);
	else
		buf_printf(text, "the agent made %s/%s, by which git runs programs, and it cannot be renamed (%s): look at it before you use git there",
			   g->dir, name, strerror(errno));
}

static void
look_again(const struct git_guarded *g, struct buf *text, char ***files)
{
	CLEANUP_CLOSE int fd = -1;
	int64_t inode, changed;

	identity(g->dir, &inode, &changed);
	if (inode && (inode != g->inode || changed != g->changed)) {
		buf_printf(text, "%sthe agent made %s, so that its hooks and configuration are the agent's: look at them before you use git there",
			   *files ? "; " : "", g->dir);
		*files = strv_add(*files, g->dir);
		return;
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
}

bool
git_guard_end(const struct git_guard *g, struct buf *text, char ***files)
{
	*files = NULL;
	for (int i = 0; i < g->count; i++)
		look_again(&g->v[i], text, files);
	return *files != NULL;
}

void
git_guard_free(struct git_guard *g)
{
	for (int i = 0; i < g->count; i++) {
		free(g->v[i].dir);
		strv_free(g->v[i].names);
	}
	free(g->v);
}

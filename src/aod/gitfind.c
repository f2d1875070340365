/* SPDX-License-Identifier: MIT */
/* Looks for git repositories in a project, breadth first. See gitfind.h. */
#include "config.h"

#include "aod/gitfind.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"

/*
 * Which directory: of the project; the one of git's that has a repository for each submodule, by its name, which may have slashes; one below that; the one
 * that has a repository in each directory.
 */
enum place { IN_PROJECT, MODULES, IN_MODULES, WORKTREES };

struct todo {
	char *path; /* below the project, with a slash in front, or "" */
	enum place place;
	int depth;
};

struct search {
	const char *project;
	int fd;
	struct todo todo[GIT_LOOK_MAX + 2 * GIT_FOUND_MAX]; /* a repository may have none of its two */
	int next, count, read;
	char ***dirs, ***files;
	int found, looked_at;
};

static void
later(struct search *s, enum place place, int depth, const char *path, const char *name)
{
	if (s->count < (int)ARRAY_LEN(s->todo) && depth < GIT_LOOK_DEPTH)
		s->todo[s->count++] = (struct todo){ xasprintf("%s%s%s", path, *name ? "/" : "", name), place, depth };
}

static void
add_file(struct search *s, const char *path)
{
	CLEANUP_FREE char *whole = xasprintf("%s%s", s->project, path);

	if (s->found++ < GIT_FOUND_MAX)
		*s->files = strv_add(*s->files, whole);
}

/* A repository may have others inside. */
static void
look_inside(struct search *s, const char *path)
{
	later(s, MODULES, 0, path, "modules");
	later(s, WORKTREES, 0, path, "worktrees");
}

static void
add_dir(struct search *s, const char *path)
{
	CLEANUP_FREE char *whole = xasprintf("%s%s", s->project, path);

	if (s->found++ >= GIT_FOUND_MAX)
		return;
	*s->dirs = strv_add(*s->dirs, whole);
	look_inside(s, path);
}

static mode_t
type_of(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : st.st_mode & S_IFMT;
}

/* A directory of the project: the one thing that is wanted of it is asked for by its name; it is read later, if at all. */
static void
look_for_git(struct search *s, int dir, const struct todo *t, const char *name)
{
	CLEANUP_FREE char *path = xasprintf("%s/%s/.git", t->path, name);
	mode_t type = type_of(dir, path + strlen(t->path) + 1);

	if (S_ISDIR(type))
		add_dir(s, path);
	else if (S_ISREG(type))
		add_file(s, path);
	later(s, IN_PROJECT, t->depth + 1, t->path, name);
}

static void
look_at(struct search *s, int dir, const struct todo *t, const char *name)
{
	CLEANUP_FREE char *path = NULL;

	if (t->place == IN_PROJECT) {
		if (*name != '.' && strcmp(name, "node_modules") != 0)
			look_for_git(s, dir, t, name);
	} else if (t->place == WORKTREES) {
		path = xasprintf("%s/%s", t->path, name);
		add_dir(s, path);
	} else {
		later(s, IN_MODULES, t->depth + 1, t->path, name);
	}
}

static bool
is_directory(int dir, const struct dirent *de)
{
	if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
		return false;
	return de->d_type == DT_DIR || (de->d_type == DT_UNKNOWN && S_ISDIR(type_of(dir, de->d_name)));
}

static DIR *
open_dir(const struct search *s, const char *path)
{
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV | RESOLVE_BENEATH };
	int fd = (int)syscall(SYS_openat2, s->fd, *path ? path + 1 : ".", &how, sizeof(how));
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	return d;
}

static void
look_into(struct search *s, const struct todo *t)
{
	DIR *d = open_dir(s, t->path);
	struct dirent *de;

	if (!d)
		return;
	s->read++;
	if (t->place == IN_MODULES && faccessat(dirfd(d), "HEAD", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		add_dir(s, t->path);
	else
		while (s->looked_at < GIT_LOOK_ENTRIES && (de = readdir(d)) != NULL) {
			s->looked_at++;
			if (is_directory(dirfd(d), de))
				look_at(s, dirfd(d), t, de->d_name);
		}
	closedir(d);
}

static void
look_into_all(struct search *s)
{
	while (s->next < s->count && s->read < GIT_LOOK_MAX)
		look_into(s, &s->todo[s->next++]);
}

void
git_find(const char *project, char ***dirs, char ***files)
{
	struct search s = { .project = project, .dirs = dirs, .files = files };
	mode_t own;

	s.fd = open(project, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s.fd < 0)
		return;
	/* What is in .git is searched before the project is. */
	own = type_of(s.fd, ".git");
	if (S_ISREG(own))
		add_file(&s, "/.git");
	else if (S_ISDIR(own))
		look_inside(&s, "/.git");
	look_into_all(&s);
	later(&s, IN_PROJECT, 0, "", "");
	look_into_all(&s);
	while (s.count > 0)
		free(s.todo[--s.count].path);
	close(s.fd);
}

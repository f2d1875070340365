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
	struct todo todo[GIT_LOOK_MAX];
	int next, count;
	char ***dirs, ***files;
	int found;
};

static void
later(struct search *s, enum place place, int depth, const char *path, const char *name)
{
	if (s->count < GIT_LOOK_MAX && depth <= GIT_LOOK_DEPTH)
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
look_inside(struct search *s, const char *path, int depth)
{
	later(s, MODULES, depth, path, "modules");
	later(s, WORKTREES, depth, path, "worktrees");
}

static void
add_dir(struct search *s, const char *path, int depth)
{
	CLEANUP_FREE char *whole = xasprintf("%s%s", s->project, path);

	if (s->found++ >= GIT_FOUND_MAX)
		return;
	*s->dirs = strv_add(*s->dirs, whole);
	look_inside(s, path, depth);
}

static mode_t
type_of(int dir, const struct dirent *de)
{
	struct stat st;

	if (de->d_type != DT_UNKNOWN)
		return DTTOIF(de->d_type);
	return fstatat(dir, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : st.st_mode & S_IFMT;
}

static void
look_at(struct search *s, const struct todo *t, const char *name, mode_t type)
{
	CLEANUP_FREE char *path = xasprintf("%s/%s", t->path, name);
	bool directory = S_ISDIR(type);

	switch (t->place) {
	case IN_PROJECT:
		if (strcmp(path, "/.git") == 0)
			break;
		if (strcmp(name, ".git") == 0 && directory)
			add_dir(s, path, 0);
		else if (strcmp(name, ".git") == 0 && S_ISREG(type))
			add_file(s, path);
		else if (directory && *name != '.' && strcmp(name, "node_modules") != 0)
			later(s, IN_PROJECT, t->depth + 1, t->path, name);
		break;
	case WORKTREES:
		if (directory)
			add_dir(s, path, t->depth + 1);
		break;
	default:
		if (directory)
			later(s, IN_MODULES, t->depth + 1, t->path, name);
	}
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
	if (t->place == IN_MODULES && faccessat(dirfd(d), "HEAD", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		add_dir(s, t->path, t->depth);
	else
		for (int i = 0; i < GIT_LOOK_ENTRIES && (de = readdir(d)) != NULL; i++)
			if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
				look_at(s, t, de->d_name, type_of(dirfd(d), de));
	closedir(d);
}

void
git_find(const char *project, char ***dirs, char ***files)
{
	struct search s = { .project = project, .dirs = dirs, .files = files };
	int64_t deadline = mono_us() + GIT_LOOK_US;
	struct stat st;

	s.fd = open(project, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s.fd < 0)
		return;
	/* What is in .git is searched before the project is. */
	if (fstatat(s.fd, ".git", &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISREG(st.st_mode))
			add_file(&s, "/.git");
		else
			look_inside(&s, "/.git", 0);
	}
	later(&s, IN_PROJECT, 0, "", "");
	while (s.next < s.count && mono_us() < deadline)
		look_into(&s, &s.todo[s.next++]);
	while (s.count > 0)
		free(s.todo[--s.count].path);
	close(s.fd);
}

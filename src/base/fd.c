/* SPDX-License-Identifier: MIT */
/* Files, descriptors and what /proc says about processes. Everything here blocks for as long as the
 * disk takes. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"

#define RM_DEPTH_MAX 64

int
fd_write_all(int fd, const void *p, size_t n)
{
	const char *s = p;

	while (n > 0) {
		ssize_t r = write(fd, s, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		s += r;
		n -= (size_t)r;
	}
	return 0;
}

int
fd_read_all(int fd, size_t max, struct buf *out)
{
	size_t had = out->len, step;
	ssize_t r;

	for (;;) {
		/* One byte more than allowed shows that there is more. */
		step = max - (out->len - had) + 1;
		if (step > 65536)
			step = 65536;
		buf_reserve(out, step);
		r = read(fd, out->data + out->len, step);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		out->len += (size_t)r;
		out->data[out->len] = '\0';
		if (out->len - had > max)
			return -EFBIG;
		if (r == 0)
			return 0;
	}
}

int
fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

static int
open_resolved(int at, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve | RESOLVE_NO_MAGICLINKS};
	int fd = (int)syscall(SYS_openat2, at, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

int
fd_open_named(const char *path, const char *const *dirs)
{
	const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY;
	int fd;

	for (; dirs && *dirs; dirs++) {
		const char *rest = path + strlen(*dirs);

		if (!path_within(path, *dirs))
			continue;
		rest += strspn(rest, "/");
		fd = open_resolved(AT_FDCWD, *dirs, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
		if (fd >= 0) {
			int dir = fd;

			fd = open_resolved(dir, rest, (uint64_t)flags, RESOLVE_BENEATH);
			close(dir);
		}
		return fd;
	}
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int
file_read(const char *path, size_t max, struct buf *out, struct err *e)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_errno(e, -errno, "%s", path);
	r = fd_read_all(fd, max, out);
	if (r == -EFBIG)
		return err_set(e, r, "%s: larger than %zu bytes", path, max);
	if (r < 0)
		return err_errno(e, r, "%s: read", path);
	return 0;
}

/* Make the name of a file durable: fsync of the directory that holds it. */
static int
sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	CLEANUP_FREE char *dir =
		slash ? xstrndup(path, slash == path ? 1 : (size_t)(slash - path)) : xstrdup(".");
	CLEANUP_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int
file_write_atomic(const char *path, const void *p, size_t n, mode_t mode, bool durable,
		  struct err *e)
{
	CLEANUP_FREE char *temp = xasprintf("%s.XXXXXX", path);
	CLEANUP_CLOSE int fd = mkostemp(temp, O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_errno(e, -errno, "%s", temp);
	r = fd_write_all(fd, p, n);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = -errno;
	if (r == 0 && durable && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && rename(temp, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(temp);
		return err_errno(e, r, "%s", path);
	}
	if (durable && (r = sync_parent(path)) < 0)
		return err_errno(e, r, "%s: fsync of its directory", path);
	return 0;
}

int
mkdir_p(const char *path, mode_t mode, struct err *e)
{
	CLEANUP_FREE char *p = NULL;
	struct stat st;

	/* Most often the parent is there: one call instead of one for each part of the path. */
	if (mkdir(path, mode) == 0 || (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
		return 0;
	p = xstrdup(path);
	for (char *s = p; *s;) {
		char *end, kept;

		s += strspn(s, "/");
		end = s + strcspn(s, "/");
		kept = *end;
		*end = '\0';
		if (*p && mkdir(p, mode) < 0 && errno != EEXIST) {
			int r = -errno;

			/* A read-only parent says so before it looks whether the directory is
			 * there. */
			if (stat(p, &st) < 0 || !S_ISDIR(st.st_mode))
				return err_errno(e, r, "%s", p);
		}
		*end = kept;
		s = end;
	}
	if (stat(path, &st) < 0)
		return err_errno(e, -errno, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return err_errno(e, -ENOTDIR, "%s", path);
	return 0;
}

/* Opens a directory to empty it, also one whose owner took its own permissions away. Never follows
 * a link. */
static int
open_for_removal(int at, const char *name)
{
	CLEANUP_CLOSE int path_fd = -1;
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	char magic[40];

	if (fd < 0 && errno == EACCES) {
		path_fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (path_fd < 0)
			return -errno;
		snprintf(magic, sizeof(magic), "/proc/self/fd/%d", path_fd);
		if (chmod(magic, 0700) < 0)
			return -errno;
		fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
		fchmod(fd, 0700); /* failing shows at the first unlinkat() */
	return fd;
}

struct removal {
	int top;        /* the directory that all of it is in */
	dev_t dev;      /* mounts below are not entered */
	unsigned int n; /* names given to what was moved up */
	bool moved;
};

static int remove_content(struct removal *rm, int fd, int depth, struct err *e);

static int
remove_entry(struct removal *rm, int dir, const char *name, int depth, struct err *e)
{
	char unique[32];
	struct stat st;
	int fd, r;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM && errno != EBUSY)
		return err_errno(e, -errno, "%s", name);
	/* A tree of any depth costs few descriptors: what lies deep is moved to the top and removed
	 * from there. */
	if (depth >= RM_DEPTH_MAX) {
		do
			snprintf(unique, sizeof(unique), ".deep-%u", rm->n++);
		while (fstatat(rm->top, unique, &st, AT_SYMLINK_NOFOLLOW) == 0);
		rm->moved = true;
		return renameat(dir, name, rm->top, unique) < 0 ? err_errno(e, -errno, "%s", name)
								: 0;
	}
	fd = open_for_removal(dir, name);
	if (fd < 0)
		return fd == -ENOENT ? 0 : err_errno(e, fd, "%s", name);
	if (fstat(fd, &st) < 0 || st.st_dev != rm->dev) {
		close(fd);
		return err_set(e, -EXDEV, "%s: something is mounted there", name);
	}
	r = remove_content(rm, fd, depth + 1, e);
	if (r < 0)
		return err_wrap(e, "%s", name);
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_errno(e, -errno, "%s", name);
	return 0;
}

/* Takes fd. */
static int
remove_content(struct removal *rm, int fd, int depth, struct err *e)
{
	DIR *d = fdopendir(fd);
	struct dirent *de;
	int r = 0;

	if (!d) {
		r = err_errno(e, -errno, "directory");
		close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, de = readdir(d)) != NULL)
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			r = remove_entry(rm, dirfd(d), de->d_name, depth, e);
	if (r == 0 && errno != 0)
		r = err_errno(e, -errno, "directory");
	closedir(d);
	return r;
}

int
rm_rf(const char *path, struct err *e)
{
	struct removal rm = {0};
	struct stat st;
	int fd, r;

	if (unlink(path) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_errno(e, -errno, "%s", path);
	rm.top = open_for_removal(AT_FDCWD, path);
	if (rm.top < 0)
		return err_errno(e, rm.top, "%s", path);
	r = fstat(rm.top, &st) < 0 ? err_errno(e, -errno, "%s", path) : 0;
	rm.dev = st.st_dev;
	do {
		rm.moved = false;
		fd = openat(rm.top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (r == 0)
			r = fd < 0 ? err_errno(e, -errno, "%s", path)
				   : remove_content(&rm, fd, 0, e);
		else if (fd >= 0)
			close(fd);
		if (r < 0)
			err_wrap(e, "%s", path);
	} while (r == 0 && rm.moved);
	close(rm.top);
	if (r == 0 && rmdir(path) < 0 && errno != ENOENT)
		r = err_errno(e, -errno, "%s", path);
	return r;
}

int
memfd_with(const char *name, const void *p, size_t n)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), r;

	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, p, n);
	if (r == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		r = -errno;
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* A small file of /proc, NUL-terminated. */
static ssize_t
read_small(const char *path, char *out, size_t size)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t r;

	if (fd < 0)
		return -errno;
	r = read(fd, out, size - 1);
	if (r < 0)
		return -errno;
	out[r] = '\0';
	return r;
}

int
proc_start_time(pid_t pid, uint64_t *out)
{
	char path[40], text[1024], *p, state;
	unsigned long long start;
	ssize_t r;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	r = read_small(path, text, sizeof(text));
	if (r < 0)
		return r == -ENOENT || r == -ESRCH ? -ESRCH : (int)r;
	/* The name, field 2, may hold anything, also ") ". */
	p = strrchr(text, ')');
	if (!p || sscanf(p,
			 ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
			 "%*d %llu",
			 &state, &start) != 2)
		return -EINVAL;
	if (state == 'Z' || state == 'X')
		return -ESRCH;
	*out = start;
	return 0;
}

void
proc_boot_id(char *out)
{
	char text[64];

	out[0] = '\0';
	if (read_small("/proc/sys/kernel/random/boot_id", text, sizeof(text)) < 36)
		return;
	memcpy(out, text, 36);
	out[36] = '\0';
}

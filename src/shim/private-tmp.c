/* SPDX-License-Identifier: MIT */
/*
 * private_tmp= and bind=, which mount= replaces: a directory shown at /tmp and /var/tmp, and what it hides shown again. This file goes when aod
 * sends them no more.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/shim.h"

#define BIND_MAX 64
#define FD_PATH_SIZE 40

static int bind_fds[BIND_MAX];

/* "ID ID 1": the user stays who it is. */
static int
write_id_map(const char *path, int64_t id)
{
	char text[64], *p = put_number(text, id);

	*p++ = ' ';
	p = put_number(p, id);
	memcpy(p, " 1\n", 4);
	return write_small(path, text);
}

static int
own_mount_namespace(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r;

	if (uid == 0)
		return unshare(CLONE_NEWNS) < 0 ? -errno : 0;
	/* Files of /proc/self belong to root while a process is not dumpable, as the shim is. exec
	 * sets it again anyway. */
	prctl(PR_SET_DUMPABLE, 1);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -errno;
	if ((r = write_id_map("/proc/self/uid_map", uid)) < 0)
		return r;
	if ((r = write_small("/proc/self/setgroups", "deny")) < 0)
		return r;
	return write_id_map("/proc/self/gid_map", gid);
}

static const char *
fd_path(char *out, int fd)
{
	memcpy(out, "/proc/self/fd/", 14);
	*put_number(out + 14, fd) = '\0';
	return out;
}

static bool
below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/' &&
	       path[n + strspn(path + n, "/")] != '\0';
}

static bool
is_hidden(const char *path)
{
	return below(path, "/tmp") || below(path, "/var/tmp");
}

/*
 * Makes path, which lies in the private directory by now, and opens it. No link is followed: an
 * earlier agent may have left one there, and this may run as root.
 */
static int
make_place(const char *path, bool is_dir)
{
	const char *rest = path + (below(path, "/tmp") ? 5 : 9);
	int at = open(below(path, "/tmp") ? "/tmp" : "/var/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char name[256];

	while (at >= 0 && *(rest += strspn(rest, "/"))) {
		size_t n = strcspn(rest, "/");
		bool last = rest[n + strspn(rest + n, "/")] == '\0';
		int next = -1, error = 0;

		if (n >= sizeof(name) || (n == 2 && rest[0] == '.' && rest[1] == '.')) {
			close(at);
			return n == 2 ? -EINVAL : -ENAMETOOLONG;
		}
		memcpy(name, rest, n);
		name[n] = '\0';
		rest += n;
		if (!last || is_dir) {
			if (mkdirat(at, name, 0755) == 0 || errno == EEXIST)
				next = openat(at, name,
					      O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		} else {
			next = openat(at, name,
				      O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
				      0644);
		}
		error = errno;
		close(at);
		at = next;
		errno = error;
	}
	return at < 0 ? -errno : at;
}

static int
bind_mount(int from, const char *to)
{
	char path[FD_PATH_SIZE];

	return mount(fd_path(path, from), to, NULL, MS_BIND | MS_REC, NULL) < 0 ? -errno : 0;
}

static int
bind_again(const char *path, int from)
{
	char place_path[FD_PATH_SIZE];
	struct stat st;
	int place, r;

	if (fstat(from, &st) < 0)
		return -errno;
	place = make_place(path, S_ISDIR(st.st_mode));
	if (place < 0)
		return place;
	r = bind_mount(from, fd_path(place_path, place));
	close(place);
	return r;
}

int
private_tmp(const struct spec *spec)
{
	int dir, n = 0, r;

	if ((r = own_mount_namespace()) < 0)
		return r;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	/* Opened in the new namespace, because the kernel binds nothing out of another; and before
	 * anything is hidden. */
	dir = open(spec->private_tmp, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	for (char **b = spec->bind; *b; b++) {
		if (!is_hidden(*b))
			continue;
		if (n == BIND_MAX)
			return -E2BIG;
		bind_fds[n] = open(*b, O_PATH | O_CLOEXEC);
		if (bind_fds[n++] < 0)
			return -errno;
	}
	if ((r = bind_mount(dir, "/tmp")) < 0 || (r = bind_mount(dir, "/var/tmp")) < 0)
		return r;
	n = 0;
	for (char **b = spec->bind; *b; b++)
		if (is_hidden(*b) && (r = bind_again(*b, bind_fds[n++])) < 0)
			return r;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Paths that mounts come from and go to. A symbolic link in one is followed when nobody but root can have put it there: it belongs to root, as does
 * its directory, which nobody else may write to (/var/run, /bin). Any other ends in ELOOP: an agent may have left it, and this runs as root. Where it does
 * not, links lead nowhere that the agent could not go itself. What is missing is made only in mounts that are known to be ours.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/kernel.h"
#include "shim/shim.h"
#include "shim/spec.h"

#define LINKS_MAX 20
#define STATX_MNT_ID_BIT 0x1000u

struct place {
	uint64_t mount;
	int64_t uid, gid; /* who makes things there, -1: root */
};
static struct {
	struct place places[PLACES_MAX];
	char target[PATH_MAX], head[PATH_MAX], text[PATH_MAX]; /* of follow(), open_start() and walk() */
} room COLD;
static int place_count;

void
place_done(void)
{
	place_count = 0;
	madvise(&room, sizeof(room), MADV_DONTNEED);
}

/* The number of the mount that fd is in; 0 when the kernel does not say. */
static uint64_t
mount_of(int fd)
{
	uint64_t x[32] = {0}; /* struct statx: 256 bytes, the mount's number at 144 */

	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_MNT_ID_BIT, x) < 0 || !((uint32_t)x[0] & STATX_MNT_ID_BIT))
		return 0;
	return x[18];
}

int
place_add(int mount_fd, int64_t uid, int64_t gid)
{
	if (place_count == PLACES_MAX)
		return -E2BIG;
	room.places[place_count++] = (struct place){mount_of(mount_fd), uid, gid};
	return 0;
}

static const struct place *
place_of(int fd)
{
	uint64_t mount = mount_of(fd);

	for (int i = place_count - 1; mount && i >= 0; i--)
		if (room.places[i].mount == mount)
			return &room.places[i];
	return NULL;
}

/* 0 or -errno. In a mount of the agent's it is the agent who makes it: root may be nobody there. */
static int
make_at(int at, const char *name, bool dir)
{
	const struct place *p = place_of(at);
	int r;

	if (!p)
		return -ENOENT;
	if (p->uid >= 0) {
		setfsgid((gid_t)p->gid);
		setfsuid((uid_t)p->uid);
	}
	r = (dir ? mkdirat(at, name, 0755) : mknodat(at, name, S_IFREG | 0644, 0)) < 0 ? -errno : 0;
	if (p->uid >= 0) {
		setfsuid(geteuid());
		setfsgid(getegid());
	}
	return r;
}

/* Puts what the link at says in front of rest, in text. */
static int
follow(int dir, int link, char text[PATH_MAX], const char *rest)
{
	struct stat d, l;
	ssize_t n;

	if (fstat(dir, &d) < 0 || fstat(link, &l) < 0)
		return -errno;
	if (d.st_uid != 0 || l.st_uid != 0 || (d.st_mode & 022))
		return -ELOOP;
	n = readlinkat(link, "", room.target, sizeof(room.target));
	if (n < 0)
		return -errno;
	if ((size_t)n + strlen(rest) + 2 > PATH_MAX)
		return -ENAMETOOLONG;
	memmove(text + n + 1, rest, strlen(rest) + 1);
	memcpy(text, room.target, (size_t)n);
	text[n] = '/';
	return 0;
}

/* Takes the first word of a path. Its length, 0 at the end. */
static size_t
next_name(const char **path, char name[NAME_MAX + 1])
{
	size_t n;

	*path += strspn(*path, "/");
	n = strcspn(*path, "/");
	if (n > NAME_MAX)
		return n;
	memcpy(name, *path, n);
	name[n] = '\0';
	*path += n;
	return n;
}

/* One step down from at. A descriptor or -errno. */
static int
step_down(int at, const char *name, bool last, enum place_make make)
{
	int fd = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), r;

	if (fd >= 0 || errno != ENOENT || make == PLACE_NONE)
		return fd < 0 ? -errno : fd;
	r = make_at(at, name, !last || make == PLACE_DIR);
	if (r < 0 && r != -EEXIST)
		return r;
	fd = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The directory that paths begin at. */
static int
open_root(int root)
{
	return root == PLACE_ROOT ? open("/", O_PATH | O_CLOEXEC) : fcntl(root, F_DUPFD_CLOEXEC, 0);
}

static uint64_t
resolve_flags(int root, bool super)
{
	return K_RESOLVE_NO_MAGICLINKS | (super ? K_RESOLVE_NO_SYMLINKS : 0) | (root == PLACE_ROOT ? 0 : K_RESOLVE_IN_ROOT);
}

/* The longest beginning of a path that is there and has no links in it, found from its end, for most of it is there. *rest is what is left. */
static int
open_start(int root, const char *path, const char **rest, int *depth)
{
	char *const head = room.head, *end = put_text(head, head + sizeof(room.head), path);
	int at = -1;

	while (at < 0 && !strstr(path, "/..") && (end = strrchr(head, '/')) != NULL && end > head) {
		*end = '\0';
		at = k_open(root, head, O_PATH, resolve_flags(root, true));
	}
	*rest = at < 0 ? path : path + (end - head);
	*depth = 0;
	if (at < 0)
		return open_root(root);
	for (const char *p = head; *p; p++)
		*depth += p[0] == '/' && p[1] && p[1] != '/';
	return at;
}

static int
walk(int root, const char *path, enum place_make make)
{
	char *const text = room.text;
	char name[NAME_MAX + 1];
	const char *rest;
	int at, next, links = 0, depth;
	struct stat st;
	size_t n;

	if (strlen(path) >= sizeof(room.text))
		return -ENAMETOOLONG;
	put_text(text, text + sizeof(room.text), path);
	at = open_start(root, text, &rest, &depth);
	while (at >= 0 && (n = next_name(&rest, name)) > 0) {
		bool up = strcmp(name, "..") == 0;

		/* There is nothing above the root, which need not be this process's. */
		if (up && depth == 0)
			continue;
		next = n > NAME_MAX ? -ENAMETOOLONG : step_down(at, name, rest[strspn(rest, "/")] == '\0', make);
		depth += up ? -1 : strcmp(name, ".") != 0;
		if (next >= 0 && fstat(next, &st) == 0 && S_ISLNK(st.st_mode)) {
			int r = ++links > LINKS_MAX ? -ELOOP : follow(at, next, text, rest);

			close(next);
			rest = text;
			depth = text[0] == '/' ? 0 : depth - 1;
			next = r < 0 ? r : text[0] == '/' ? open_root(root) : fcntl(at, F_DUPFD_CLOEXEC, 0);
		}
		close(at);
		at = next;
	}
	return at;
}

int
place_open(int root, const char *path, enum place_make make, bool links)
{
	bool super = geteuid() == 0;
	int fd;

	if (path[0] != '/')
		return -EINVAL;
	fd = k_open(root, path, O_PATH, resolve_flags(root, super));
	if (fd >= 0)
		return fd;
	if ((errno == ELOOP && links && super) || (errno == ENOENT && make != PLACE_NONE))
		return walk(root, path, make);
	return -errno;
}

/* SPDX-License-Identifier: MIT */
/*
 * Owners. A directory of somebody else's is shown to the agent as its own by an idmapped mount: the kernel takes the mapping from a user namespace, of which
 * there is one here for each owner of a source, made before the child, because ids of processes in /proc are the shim's.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/kernel.h"
#include "shim/shim.h"
#include "shim/spec.h"

#define DEPTH_MAX 200
#define STACK_SIZE 1024 /* for two system calls */

static struct idmap_owner owners[OWNERS_MAX];
static int owner_count, holder_count;
static pid_t holders[OWNERS_MAX];
static char stacks[OWNERS_MAX][STACK_SIZE] COLD;

int
idmap_list(struct idmap_owner out[OWNERS_MAX])
{
	memcpy(out, owners, sizeof(owners));
	return owner_count;
}

void
idmap_adopt(const struct idmap_owner *list, int count)
{
	memcpy(owners, list, (size_t)count * sizeof(*list));
	owner_count = count;
}

int
idmap_find(uid_t uid, gid_t gid)
{
	for (int i = 0; i < owner_count; i++)
		if (owners[i].uid == uid && owners[i].gid == gid)
			return owners[i].fd;
	return -ENOENT;
}

static char *
put_proc(char *path, size_t size, pid_t pid, const char *file)
{
	char *p = put_number(put_text(path, path + size, "/proc/"), pid);

	put_text(p, path + size, file);
	return path;
}

/* "ON-DISK SHOWN 1" */
static int
write_map(pid_t pid, const char *file, uint32_t disk, int64_t shown)
{
	char path[64], text[64], *p = put_number(text, disk);

	*p++ = ' ';
	p = put_number(p, shown);
	put_text(p, text + sizeof(text), " 1\n");
	return write_small(put_proc(path, sizeof(path), pid, file), text);
}

static int
wait_to_be_killed(void *shim)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A shim that died before that sends no signal any more. */
	while (getppid() == *(const pid_t *)shim)
		pause();
	return 0;
}

/*
 * A user namespace lives as long as a descriptor of it; its only process is there to have it made. It shares the shim's memory, so that nothing is copied
 * for it, and is reaped with the others. Its pid, or -errno.
 */
static pid_t
bear_holder(void)
{
	static pid_t shim;
	pid_t pid;

	shim = getpid();
	if (holder_count == OWNERS_MAX)
		return -E2BIG;
	pid = clone(wait_to_be_killed, stacks[holder_count] + STACK_SIZE, CLONE_NEWUSER | CLONE_VM | SIGCHLD, &shim);
	if (pid < 0)
		return -errno;
	holders[holder_count++] = pid;
	return pid;
}

int
idmap_ahead(void)
{
	pid_t pid = bear_holder();

	return pid < 0 ? pid : 0;
}

void
idmap_done(void)
{
	while (holder_count > 0)
		kill(holders[--holder_count], SIGKILL);
}

/* The one that was born ahead has no maps yet. */
static int
make_namespace(uid_t uid, gid_t gid, int64_t to_uid, int64_t to_gid)
{
	pid_t pid = holder_count > owner_count ? holders[owner_count] : bear_holder();
	char path[64];
	int r, fd = -1;

	if (pid < 0)
		return pid;
	r = write_map(pid, "/uid_map", uid, to_uid);
	if (r == 0)
		r = write_map(pid, "/gid_map", gid, to_gid);
	if (r == 0 && (fd = open(put_proc(path, sizeof(path), pid, "/ns/user"), O_RDONLY | O_CLOEXEC)) < 0)
		r = -errno;
	return r < 0 ? r : fd;
}

/* The source of a mount; the child looks at it again, and finds no namespace if it is another one's by then. */
static int
add_owner(const struct spec *spec, const struct mount_line *m)
{
	struct stat st;
	int fd = place_open(PLACE_ROOT, m->src, PLACE_NONE, false), r;

	if (fd < 0)
		return 0; /* the child says what is wrong with it */
	r = fstat(fd, &st) < 0 ? -errno : 0;
	close(fd);
	if (r < 0 || (st.st_uid == spec->uid && st.st_gid == spec->gid) || idmap_find(st.st_uid, st.st_gid) >= 0)
		return r;
	if (owner_count == OWNERS_MAX)
		return -E2BIG;
	r = make_namespace(st.st_uid, st.st_gid, spec->uid, spec->gid);
	if (r >= 0)
		owners[owner_count++] = (struct idmap_owner){st.st_uid, st.st_gid, r};
	return r < 0 ? r : 0;
}

int
idmap_prepare(const struct spec *spec, const char **step)
{
	char **at = spec->mounts;
	struct mount_line m;
	int r;

	*step = "mount";
	/* Without a user of its own, or without root, the agent is who owns it. */
	if (spec->uid < 0 || spec->gid < 0 || geteuid() != 0)
		return 0;
	while ((r = mounts_next(&at, &m)) > 0)
		if ((m.flags & SHIM_MF_IDMAP) && m.src && (r = add_owner(spec, &m)) < 0)
			return r;
	return r;
}

/* ---- where the file system knows no idmap ---- */

/* A file with another name may be known by it elsewhere, and is not given away. */
static int
own(int at, const char *name, const struct stat *st, uid_t uid, gid_t gid)
{
	if ((st->st_uid == uid && st->st_gid == gid) || (!S_ISDIR(st->st_mode) && st->st_nlink > 1))
		return 0;
	return fchownat(at, name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int own_children(int dir, dev_t dev, uid_t uid, gid_t gid, int depth);

static int
own_entry(int dir, const char *name, dev_t dev, uid_t uid, gid_t gid, int depth)
{
	struct stat st;
	int fd, r = 0;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (st.st_dev != dev)
		return 0;
	if (S_ISDIR(st.st_mode)) {
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		r = own_children(fd, dev, uid, gid, depth);
		close(fd);
	}
	return r < 0 ? r : own(dir, name, &st, uid, gid);
}

static int
own_children(int dir, dev_t dev, uid_t uid, gid_t gid, int depth)
{
	_Alignas(struct dirent_raw) char entries[1024];
	long n;
	int r = 0;

	if (depth == DEPTH_MAX)
		return -ELOOP;
	while (r == 0 && (n = syscall(SYS_getdents64, dir, entries, sizeof(entries))) > 0)
		for (long at = 0; at < n && r == 0;) {
			struct dirent_raw *de = (struct dirent_raw *)(void *)(entries + at);

			if (strcmp(de->name, ".") != 0 && strcmp(de->name, "..") != 0)
				r = own_entry(dir, de->name, dev, uid, gid, depth + 1);
			at += de->len;
		}
	return r;
}

/* From below: the top is the last, so that one that was cut short is done again. */
int
idmap_own_tree(int dir, uid_t uid, gid_t gid)
{
	struct stat st;
	int fd, r = 0;

	if (fstat(dir, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode)) {
		fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		r = own_children(fd, st.st_dev, uid, gid, 0);
		close(fd);
	}
	return r < 0 ? r : own(dir, "", &st, uid, gid);
}

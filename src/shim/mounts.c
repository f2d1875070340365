/* SPDX-License-Identifier: MIT */
/*
 * The child's file systems: the operations of the spec, in order. All of it by descriptors: new file systems are made apart and moved to where they are
 * to be seen, and what goes read-only at the end is remembered by its descriptor.
 *
 * Files of ours that are shown (MOUNT_FILE, MOUNT_HIDE) lie on a tmpfs, the stage. It is mounted on "/", and a copy of the tree on top of it becomes
 * the root, so that nobody sees it, and nothing has to be unmounted (which would wait for an RCU grace period). Sources are opened in the tree below, as it
 * was, so that what one operation hides another can show.
 *
 * All of this comes in two parts: what many runs have in common may be done long before the run is known (spare.c).
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "shim/kernel.h"
#include "shim/shim.h"
#include "shim/spec.h"

#define OPTIONS_MAX 1024

static int late[SHIM_MOUNTS_MAX]; /* read-only at the end */
static int operation_count, late_count, staged_count, stage = -1;
static int host = -1; /* the root of the tree as it was, which sources are opened in */

/* ---- the lines of the spec ---- */

int
mounts_next(char ***at, struct mount_line *m)
{
	char *end;

	*m = (struct mount_line){0};
	for (; **at; (*at)++) {
		char *item = **at;

		if (strncmp(item, "_src=", 5) == 0)
			m->src = item + 5;
		else if (strncmp(item, "_opt=", 5) == 0)
			m->opt = item + 5;
		if (item[0] != '=')
			continue;
		(*at)++;
		m->op = item + 1;
		m->dst = strchr(item, ' ');
		if (!m->dst)
			return -EINVAL;
		m->flags = (unsigned)strtoul(m->dst + 1, &end, 16);
		if (*end != ' ' || end[1] != '/')
			return -EINVAL;
		m->dst = end + 1;
		return 1;
	}
	return 0;
}

static bool
is_op(const struct mount_line *m, const char *name)
{
	size_t n = strlen(name);

	return strncmp(m->op, name, n) == 0 && m->op[n] == ' ';
}

static bool
may_be_missing(const struct mount_line *m, int r)
{
	/* A link where none is followed is as if it were missing. */
	return (m->flags & SHIM_MF_OPTIONAL) && (r == -ENOENT || r == -ENOTDIR || (r == -ELOOP && m->flags & SHIM_MF_NOFOLLOW));
}

/* ---- small things ---- */

static uint64_t
attributes(unsigned flags)
{
	return (flags & SHIM_MF_RO ? K_ATTR_RDONLY : 0) | (flags & SHIM_MF_NOSUID ? K_ATTR_NOSUID : 0) |
	       (flags & SHIM_MF_NODEV ? K_ATTR_NODEV : 0) | (flags & SHIM_MF_NOEXEC ? K_ATTR_NOEXEC : 0);
}

static int
set_attributes(int fd, unsigned flags)
{
	struct k_mount_attr attr = {.set = attributes(flags), .clear = flags & SHIM_MF_RW ? K_ATTR_RDONLY : 0};

	if (!attr.set && !attr.clear)
		return 0;
	return k_mount_setattr(fd, flags & SHIM_MF_NOREC ? 0 : AT_RECURSIVE, &attr) < 0 ? -errno : 0;
}

/* Of what fd names; parts of it only with everything that is mounted below. */
static int
clone_tree(int fd, const char *path, unsigned flags)
{
	int tree = k_open_tree(fd, path, K_OPEN_TREE_CLONE | (flags & SHIM_MF_NOREC ? 0 : AT_RECURSIVE));

	return tree < 0 ? -errno : tree;
}

/* Words of mount options that are flags of ours. */
static bool
is_flag(const char *word, unsigned *flags)
{
	static const struct {
		const char *word;
		unsigned flag;
	} words[] = {{"ro", SHIM_MF_RO}, {"nosuid", SHIM_MF_NOSUID}, {"nodev", SHIM_MF_NODEV}, {"noexec", SHIM_MF_NOEXEC},
		     {"rw", 0}, {"suid", 0}, {"dev", 0}, {"exec", 0}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i].word) == 0) {
			*flags |= words[i].flag;
			return true;
		}
	return false;
}

static int
set_options(int fs, const char *options, unsigned *flags)
{
	char text[OPTIONS_MAX], *word = text, *end, *value;

	if (strlen(options) >= sizeof(text))
		return -E2BIG;
	put_text(text, text + sizeof(text), options);
	for (; word; word = end) {
		end = strchr(word, ',');
		if (end)
			*end++ = '\0';
		if (!*word || is_flag(word, flags))
			continue;
		value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		if (syscall(SYS_fsconfig, fs, value ? K_FSCONFIG_SET_STRING : K_FSCONFIG_SET_FLAG, word, value, 0) < 0)
			return -errno;
	}
	return 0;
}

/* A new file system, not mounted anywhere yet. Its descriptor or -errno. *flags gains what the options say of them. */
static int
new_fs(const char *type, const char *options, unsigned *flags)
{
	int fs = (int)syscall(SYS_fsopen, type, 1 /* FSOPEN_CLOEXEC */), fd, r;

	if (fs < 0)
		return -errno;
	r = set_options(fs, options, flags);
	if (r == 0 && syscall(SYS_fsconfig, fs, K_FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		r = -errno;
	fd = r < 0 ? -1 : (int)syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, attributes(*flags & ~SHIM_MF_RO));
	if (r == 0 && fd < 0)
		r = -errno;
	close(fs);
	return r < 0 ? r : fd;
}

static int
move_to(int tree, int place)
{
	return k_move_mount(tree, place) < 0 ? -errno : 0;
}

/* Shows a tree at the destination. */
static int
show(int tree, const struct mount_line *m)
{
	struct stat st;
	int place, r;

	if (fstat(tree, &st) < 0)
		return -errno;
	place = place_open(PLACE_ROOT, m->dst, S_ISDIR(st.st_mode) ? PLACE_DIR : PLACE_FILE, true);
	if (place < 0)
		return place;
	r = move_to(tree, place);
	close(place);
	/* Who is in "/" already stays below what was put on it. */
	if (r == 0 && strcmp(m->dst, "/") == 0 && (fchdir(tree) < 0 || chroot(".") < 0))
		r = -errno;
	return r;
}

/* ---- the stage ---- */

static int
write_file_at(int dir, const char *name, mode_t mode, const char *content)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	size_t n = strlen(content);
	ssize_t done;

	if (fd < 0)
		return -errno;
	while (n > 0 && (done = write(fd, content, n)) > 0) {
		content += done;
		n -= (size_t)done;
	}
	if (n > 0) {
		int r = errno ? -errno : -EIO;

		close(fd);
		return r;
	}
	return fd;
}

/* A tmpfs of ours, for what is to be shown; nothing of it is seen before it is read-only. */
static int
make_stage(void)
{
	unsigned flags = SHIM_MF_NOSUID | SHIM_MF_NODEV | SHIM_MF_NOEXEC;
	int r;

	stage = new_fs("tmpfs", "mode=0755", &flags);
	if (stage < 0)
		return stage;
	if (mkdirat(stage, "hidden-dir", 0) < 0)
		return -errno;
	if ((r = write_file_at(stage, "hidden-file", 0, "")) < 0)
		return r;
	close(r);
	return 0;
}

/* Out of sight, where it can be cloned from. */
static int
put_on_stage(int tree)
{
	int place = mkdirat(stage, "host", 0) < 0 ? -1 : openat(stage, "host", O_PATH | O_NOFOLLOW | O_CLOEXEC), r;

	r = place < 0 ? -errno : move_to(tree, place);
	if (place >= 0)
		close(place);
	return r;
}

/*
 * Puts the stage on "/", and a copy of the whole tree on top of it, and makes that the root. The tree below stays as it was, but that the stage is in it
 * for who clones "/" itself (whole): so that is a further copy.
 */
static int
new_root(bool whole)
{
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), tree, copy = -1, r = 0;

	if (root < 0)
		return -errno;
	tree = clone_tree(root, "", 0);
	if (tree < 0 || (whole && (copy = clone_tree(root, "", 0)) < 0))
		return tree < 0 ? tree : copy;
	r = move_to(stage, root);
	if (r == 0 && whole)
		r = put_on_stage(copy);
	if (r == 0)
		r = move_to(tree, root);
	if (r == 0 && (fchdir(tree) < 0 || chroot(".") < 0))
		r = -errno;
	close(tree);
	if (whole)
		close(root);
	host = whole ? copy : root;
	return r;
}

/* Up to where there is no further up: past a root that this process is not below any more. */
static int
to_true_root(void)
{
	struct stat here, up;

	/* Any directory will do. */
	if (chroot("/dev") < 0 && chroot("/usr") < 0)
		return -errno;
	for (int i = 0; i < 1000; i++) {
		if (stat(".", &here) < 0 || stat("..", &up) < 0)
			return -errno;
		if (here.st_ino == up.st_ino && here.st_dev == up.st_dev)
			return 0;
		if (chdir("..") < 0)
			return -errno;
	}
	return -ELOOP;
}

/*
 * Nothing that is mounted from here on is seen outside. In a plain chroot "/" is no mount, and the mount that it lies in is out of sight, so that
 * it has to be said from outside of the chroot.
 */
static int
make_private(void)
{
	int root, r;

	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || fchdir(root) < 0)
		return -errno;
	r = to_true_root();
	if (r == 0 && mount("none", ".", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		r = -errno;
	if (r == 0 && (fchdir(root) < 0 || chroot(".") < 0))
		r = -errno;
	close(root);
	return r;
}

/* ---- operations ---- */

static int
give_to_agent(const struct spec *spec, int tree, unsigned flags)
{
	struct k_mount_attr attr = {.set = K_ATTR_IDMAP};
	struct stat st;
	int fd;

	if (!(flags & SHIM_MF_IDMAP) || spec->uid < 0 || spec->gid < 0 || geteuid() != 0)
		return 0;
	if (fstat(tree, &st) < 0)
		return -errno;
	if (st.st_uid == spec->uid && st.st_gid == spec->gid)
		return 0;
	fd = idmap_find(st.st_uid, st.st_gid);
	if (fd < 0)
		return fd;
	attr.userns_fd = (uint64_t)fd;
	/* Something below it may know no idmap (a proc); that stays as it is. */
	if (k_mount_setattr(tree, AT_RECURSIVE, &attr) == 0 || k_mount_setattr(tree, 0, &attr) == 0)
		return 0;
	if (errno != EINVAL || !(flags & SHIM_MF_OWN))
		return -errno;
	return idmap_own_tree(tree, (uid_t)spec->uid, (gid_t)spec->gid);
}

/* At or below a source that is given to the agent: what it leaves there belongs, on disk, to the owner of that, who may be root; or it is root itself. */
static bool
in_agents_hands(const struct spec *spec, const char *path)
{
	char **at = spec->mounts;
	struct mount_line m;
	size_t n;

	while (mounts_next(&at, &m) > 0) {
		n = m.src && (m.flags & (SHIM_MF_IDMAP | SHIM_MF_OWN | SHIM_MF_NOFOLLOW)) ? strlen(m.src) : 0;
		if (n && strncmp(path, m.src, n) == 0 && (path[n] == '/' || path[n] == '\0'))
			return true;
	}
	return false;
}

static int
open_source(const struct spec *spec, const struct mount_line *m)
{
	int fd = m->src ? place_open(host, m->src, PLACE_NONE, false) : -EINVAL, tree;

	if (fd == -ELOOP && !in_agents_hands(spec, m->src))
		fd = place_open(host, m->src, PLACE_NONE, true);
	if (fd < 0)
		return fd;
	tree = clone_tree(fd, "", m->flags);
	close(fd);
	return tree;
}

static int
op_bind(const struct spec *spec, struct mount_line *m)
{
	bool tmp = strcmp(m->dst, "/tmp") == 0 || strcmp(m->dst, "/var/tmp") == 0;
	bool agents = m->flags & (SHIM_MF_IDMAP | SHIM_MF_OWN);
	int tree = open_source(spec, m), r;

	if (tree < 0)
		return tree;
	r = give_to_agent(spec, tree, m->flags);
	if (r == 0)
		r = set_attributes(tree, m->flags);
	if (r == 0)
		r = show(tree, m);
	if (r == 0 && (tmp || (m->flags & SHIM_MF_OWN)))
		r = place_add(tree, agents ? spec->uid : -1, agents ? spec->gid : -1);
	close(tree);
	return r;
}

/* A new file system of ours: things can be made in it, and it can be made read-only later. Takes fd. */
static int
show_own(int fd, const struct mount_line *m)
{
	int r = show(fd, m);

	if (r == 0)
		r = place_add(fd, -1, -1);
	if (r == 0 && (m->flags & SHIM_MF_RO)) {
		late[late_count++] = fd;
		return 0;
	}
	close(fd);
	return r;
}

static int
op_tmpfs(const struct spec *spec, struct mount_line *m)
{
	int fd = new_fs("tmpfs", m->opt ? m->opt : "mode=0755", &m->flags);

	return fd < 0 ? fd : show_own(fd, m);
}

/* One of the kernel's, in which nothing can be made. Takes fd. */
static int
show_kernels(int fd, const struct mount_line *m)
{
	int r = m->flags & SHIM_MF_RO ? set_attributes(fd, SHIM_MF_RO) : 0;

	if (r == 0)
		r = show(fd, m);
	close(fd);
	return r;
}

static int
op_proc(const struct spec *spec, struct mount_line *m)
{
	int fd;

	m->flags |= SHIM_MF_NOSUID | SHIM_MF_NODEV | SHIM_MF_NOEXEC;
	fd = new_fs("proc", m->opt ? m->opt : "", &m->flags);
	return fd < 0 ? fd : show_kernels(fd, m);
}

/* Who must not see a part of the host's gets no new one from the kernel: then there is nothing. */
static int
op_sys(const struct spec *spec, struct mount_line *m)
{
	int fd;

	m->flags |= SHIM_MF_NOSUID | SHIM_MF_NODEV | SHIM_MF_NOEXEC;
	fd = new_fs("sysfs", "", &m->flags);
	if (fd >= 0)
		return show_kernels(fd, m);
	return fd == -EPERM ? op_tmpfs(spec, m) : fd;
}

static int
show_staged(const char *name, const struct mount_line *m)
{
	int tree = clone_tree(stage, name, SHIM_MF_NOREC), r;

	if (tree < 0)
		return tree;
	r = set_attributes(tree, SHIM_MF_RO | SHIM_MF_NOREC);
	if (r == 0)
		r = show(tree, m);
	close(tree);
	return r;
}

static int
op_hide(const struct spec *spec, struct mount_line *m)
{
	int fd = place_open(PLACE_ROOT, m->dst, PLACE_NONE, true), r;
	struct stat st;

	if (fd < 0)
		return fd;
	r = fstat(fd, &st) < 0 ? -errno : 0;
	close(fd);
	return r < 0 ? r : show_staged(S_ISDIR(st.st_mode) ? "hidden-dir" : "hidden-file", m);
}

static int
op_file(const struct spec *spec, struct mount_line *m)
{
	char name[16] = "f";
	int fd;

	*put_number(name + 1, staged_count++) = '\0';
	fd = write_file_at(stage, name, 0444, m->opt ? m->opt : "");
	if (fd < 0)
		return fd;
	close(fd);
	return show_staged(name, m);
}

static int
op_attr(const struct spec *spec, struct mount_line *m)
{
	int fd = place_open(PLACE_ROOT, m->dst, PLACE_NONE, true), tree, r;

	if (fd < 0)
		return fd;
	r = set_attributes(fd, m->flags);
	if (r == -EINVAL) {
		/* It is no mount yet. */
		tree = clone_tree(fd, "", m->flags);
		r = tree < 0 ? tree : set_attributes(tree, m->flags);
		if (r == 0)
			r = show(tree, m);
		if (tree >= 0)
			close(tree);
	}
	close(fd);
	return r;
}

static int
write_credential(const struct spec *spec, int dir, const char *item)
{
	const char *value = strchr(item, '=');
	char name[NAME_MAX + 1];
	int fd, r;

	if (!value || value == item || (size_t)(value - item) > NAME_MAX || item[0] == '.')
		return -EINVAL;
	memcpy(name, item, (size_t)(value - item));
	name[value - item] = '\0';
	if (strchr(name, '/'))
		return -EINVAL;
	fd = write_file_at(dir, name, 0400, value + 1);
	if (fd < 0)
		return fd;
	r = spec->uid >= 0 && fchown(fd, (uid_t)spec->uid, (gid_t)spec->gid) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/* Never on swap where that can be had: a ramfs is not for everybody. */
static int
op_credentials(const struct spec *spec, struct mount_line *m)
{
	int fd, r = 0;

	m->flags |= SHIM_MF_NOSUID | SHIM_MF_NODEV | SHIM_MF_NOEXEC;
	fd = new_fs("ramfs", "mode=0700", &m->flags);
	if (fd == -EPERM)
		fd = new_fs("tmpfs", "mode=0700", &m->flags);
	if (fd < 0)
		return fd;
	for (char **c = spec->creds; *c && r == 0; c++)
		r = write_credential(spec, fd, *c);
	if (r == 0 && fchmodat(fd, ".", 0500, 0) < 0)
		r = -errno;
	if (r == 0 && spec->uid >= 0 && fchownat(fd, ".", (uid_t)spec->uid, (gid_t)spec->gid, 0) < 0)
		r = -errno;
	if (r == 0)
		r = set_attributes(fd, SHIM_MF_RO);
	if (r == 0)
		r = show(fd, m);
	close(fd);
	return r;
}

/* ---- /dev ---- */

static const struct device {
	const char *name;
	unsigned major, minor;
} devices[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
#define DEVICES (sizeof(devices) / sizeof(devices[0]))

/* Nodes of its own where that is allowed, else those of the /dev that is still there. */
static int
make_devices(int dev, int old, int trees[DEVICES])
{
	for (size_t i = 0; i < DEVICES; i++) {
		const struct device *d = &devices[i];

		if (mknodat(dev, d->name, S_IFCHR | 0666, makedev(d->major, d->minor)) == 0)
			continue;
		if (errno != EPERM || mknodat(dev, d->name, S_IFREG | 0666, 0) < 0)
			return -errno;
		trees[i] = clone_tree(old, d->name, SHIM_MF_NOREC);
		if (trees[i] < 0)
			return trees[i];
	}
	return 0;
}

static int
make_dev_entries(int dev)
{
	static const char *const links[][2] = {{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
					       {"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"}};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlinkat(links[i][1], dev, links[i][0]) < 0)
			return -errno;
	return mkdirat(dev, "pts", 0755) < 0 || mkdirat(dev, "shm", 0755) < 0 || mkdirat(dev, "mqueue", 0755) < 0 ? -errno : 0;
}

/* A file system below the new /dev. */
static int
mount_in_dev(int dev, const char *name, const char *type, const char *options)
{
	unsigned flags = SHIM_MF_NOSUID | SHIM_MF_NOEXEC | (strcmp(type, "devpts") ? SHIM_MF_NODEV : 0);
	int fd = new_fs(type, options, &flags), place, r;

	if (fd < 0)
		return fd;
	place = openat(dev, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	r = place < 0 ? -errno : move_to(fd, place);
	if (r == 0 && strcmp(type, "tmpfs") == 0)
		r = place_add(fd, -1, -1);
	close(place);
	close(fd);
	return r;
}

static int
fill_dev(int dev, const int trees[DEVICES], const char *shm_options)
{
	int r = 0, place;

	for (size_t i = 0; i < DEVICES && r == 0; i++) {
		if (trees[i] < 0)
			continue;
		place = openat(dev, devices[i].name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		r = place < 0 ? -errno : move_to(trees[i], place);
		close(place);
		close(trees[i]);
	}
	if (r == 0)
		r = mount_in_dev(dev, "pts", "devpts", "newinstance,ptmxmode=0666,mode=0620");
	if (r == 0)
		r = mount_in_dev(dev, "shm", "tmpfs", shm_options);
	if (r == 0)
		r = mount_in_dev(dev, "mqueue", "mqueue", "");
	return r == -EPERM ? 0 : r; /* of an IPC namespace that is not ours */
}

static int
op_dev(const struct spec *spec, struct mount_line *m)
{
	int old = place_open(PLACE_ROOT, m->dst, PLACE_DIR, true), dev, trees[DEVICES], r;
	char shm[OPTIONS_MAX], *p = put_text(shm, shm + sizeof(shm), "mode=1777,");

	if (old < 0)
		return old;
	put_text(p, shm + sizeof(shm), m->opt ? m->opt : "");
	for (size_t i = 0; i < DEVICES; i++)
		trees[i] = -1;
	m->flags |= SHIM_MF_NOSUID | SHIM_MF_NOEXEC;
	dev = new_fs("tmpfs", "mode=0755,size=64k,nr_inodes=1k", &m->flags);
	umask(0);
	r = dev < 0 ? dev : make_devices(dev, old, trees);
	umask(022);
	close(old);
	if (r == 0)
		r = make_dev_entries(dev);
	if (r == 0)
		r = show(dev, m);
	if (r == 0)
		r = fill_dev(dev, trees, shm);
	if (r == 0)
		r = place_add(dev, -1, -1);
	if (r == 0 && (m->flags & SHIM_MF_RO))
		late[late_count++] = dev;
	return r;
}

/* ---- all of them ---- */

static const struct {
	const char *name;
	int (*make)(const struct spec *spec, struct mount_line *m);
} operations[] = {
	{"bind", op_bind}, {"tmpfs", op_tmpfs}, {"hide", op_hide}, {"proc", op_proc}, {"sys", op_sys},
	{"dev", op_dev}, {"file", op_file}, {"credentials", op_credentials}, {"attr", op_attr},
};
#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

static int
operation_of(const struct mount_line *m)
{
	for (size_t i = 0; i < OPERATIONS; i++)
		if (is_op(m, operations[i].name))
			return (int)i;
	return -EINVAL;
}

/* Whether one of them has all that there is for its source. */
static int
look_through(const struct spec *spec, bool *whole)
{
	char **at = spec->mounts;
	struct mount_line m;
	int r;

	*whole = false;
	while ((r = mounts_next(&at, &m)) > 0)
		*whole |= m.src && m.src[strspn(m.src, "/")] == '\0';
	return r;
}

static int
carry_out(const struct spec *spec)
{
	char **at = spec->mounts;
	struct mount_line m;
	int r;

	while ((r = mounts_next(&at, &m)) > 0) {
		child_step("mount", m.dst);
		r = ++operation_count > SHIM_MOUNTS_MAX ? -E2BIG : operation_of(&m);
		if (r >= 0)
			r = operations[r].make(spec, &m);
		if (r < 0 && !may_be_missing(&m, r))
			return r;
	}
	return r;
}

int
mounts_begin(const struct spec *spec)
{
	bool whole;
	int r;

	child_step("mount", "/");
	if ((r = make_private()) < 0 || (r = look_through(spec, &whole)) < 0 || (r = make_stage()) < 0 || (r = new_root(whole)) < 0)
		return r;
	return carry_out(spec);
}

int
mounts_more(const struct spec *spec)
{
	return carry_out(spec);
}

int
mounts_end(void)
{
	int r = set_attributes(stage, SHIM_MF_RO | SHIM_MF_NOREC);

	for (int i = 0; i < late_count && r == 0; i++)
		r = set_attributes(late[i], SHIM_MF_RO | SHIM_MF_NOREC);
	close(host);
	place_done();
	return r == 0 && chdir("/") < 0 ? -errno : r;
}

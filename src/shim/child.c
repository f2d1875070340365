/* SPDX-License-Identifier: MIT */
/*
 * The child, from fork to exec. Each step fails by its name through the exec pipe. The shim is
 * single-threaded, so that the child may call what it likes.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/shim.h"
#include "shim/spec.h"

#define BIND_MAX 64
#define SECCOMP_MAX 4096 /* instructions, as BPF_MAXINSNS */
#define FD_PATH_SIZE 40

static struct sock_filter filter[SECCOMP_MAX];
static int bind_fds[BIND_MAX];

static int
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* "ID ID 1": the user stays who it is. */
static int
write_id_map(const char *path, int64_t id)
{
	char text[64], *p = put_number(text, id);

	*p++ = ' ';
	p = put_number(p, id);
	memcpy(p, " 1\n", 4);
	return write_file(path, text);
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
	if ((r = write_file("/proc/self/setgroups", "deny")) < 0)
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

static int
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

static int
become_user(const struct spec *spec)
{
	uid_t uid = spec->uid < 0 ? geteuid() : (uid_t)spec->uid;
	gid_t gid = spec->gid < 0 ? getegid() : (gid_t)spec->gid;

	if (spec->uid < 0 && spec->gid < 0)
		return 0;
	/* An ordinary user may name itself. */
	if (geteuid() != 0 && uid == geteuid() && gid == getegid())
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

/*
 * The whole program or none: a part of one would let through what the rest forbids. aod's memfd is one open file for all shims, so its
 * position is nobody's: pread(2) only.
 */
static int
apply_seccomp(void)
{
	struct sock_fprog prog = {.filter = filter};
	struct stat st;
	size_t n = 0;
	ssize_t r = 0;

	if (fstat(SHIM_SECCOMP_FD, &st) < 0)
		return -errno;
	if (st.st_size <= 0 || st.st_size % (off_t)sizeof(filter[0]) != 0)
		return -EINVAL;
	if (st.st_size > (off_t)sizeof(filter))
		return -E2BIG;
	while (n < (size_t)st.st_size &&
	       (r = pread(SHIM_SECCOMP_FD, (char *)filter + n, (size_t)st.st_size - n, (off_t)n)) > 0)
		n += (size_t)r;
	if (n != (size_t)st.st_size)
		return r < 0 ? -errno : -EIO;
	prog.len = (unsigned short)(n / sizeof(filter[0]));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) < 0)
		return -errno;
	return 0;
}

static void
default_signals(void)
{
	/* The kernel's struct sigaction, all zero: SIG_DFL. signal(3) leaves out the signals that a libc keeps to itself. */
	static const unsigned long dfl[4];
	sigset_t none;

	for (int s = 1; s <= 64; s++)
		syscall(SYS_rt_sigaction, s, dfl, NULL, 8);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Dies with the shim from here on; the kernel forgets this at each change of identity. */
static void
die_with(pid_t shim)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != shim)
		_exit(127);
}

/* Returns only when it fails: -errno, and the step. */
static int
child_run(const struct spec *spec, const int fds[3], pid_t shim, const char **step)
{
	int r;

	*step = "setsid";
	die_with(shim);
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			return -errno;
	/* The ends of the pipes; later descriptors are close-on-exec from birth. Older kernels do
	 * without the flag. */
	syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
	if (setsid() < 0)
		return -errno;
	*step = "private-tmp";
	umask(022);
	if (spec->private_tmp && (r = private_tmp(spec)) < 0)
		return r;
	*step = "cwd";
	if (spec->cwd && chdir(spec->cwd) < 0)
		return -errno;
	umask(spec->mask);
	*step = "user";
	if ((r = become_user(spec)) < 0)
		return r;
	die_with(shim);
	default_signals();
	*step = "seccomp";
	if (spec->seccomp && (r = apply_seccomp()) < 0)
		return r;
	*step = "exec";
	execve(spec->argv[0], spec->argv, spec->env);
	return -errno;
}

static void
close_pipe(int p[2])
{
	if (p[0] >= 0)
		close(p[0]);
	if (p[1] >= 0)
		close(p[1]);
}

static void
child_fail(int fd, int error, const char *step)
{
	struct child_failure f = {.error = -error};

	put_text(f.step, f.step + sizeof(f.step), step);
	if (write(fd, &f, sizeof(f)) < 0)
		_exit(126);
	_exit(127);
}

int
child_start(const struct spec *spec, struct child *c, const char **step)
{
	enum { IN, OUT, ERR, EXEC, PIPES };
	int p[PIPES][2] = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}}, r;
	pid_t shim = getpid();

	*step = "fork";
	for (int i = 0; i < PIPES; i++)
		if (pipe2(p[i], O_CLOEXEC) < 0)
			goto failed;
	c->pid = fork();
	if (c->pid < 0)
		goto failed;
	if (c->pid == 0) {
		int fds[3] = {p[IN][0], p[OUT][1], p[ERR][1]};

		r = child_run(spec, fds, shim, step);
		child_fail(p[EXEC][1], r, *step);
	}
	c->in = p[IN][1];
	c->out = p[OUT][0];
	c->err = p[ERR][0];
	c->exec = p[EXEC][0];
	close(p[IN][0]);
	close(p[OUT][1]);
	close(p[ERR][1]);
	close(p[EXEC][1]);
	fcntl(c->in, F_SETFL, O_WRONLY | O_NONBLOCK);
	fcntl(c->out, F_SETFL, O_NONBLOCK);
	fcntl(c->err, F_SETFL, O_NONBLOCK);
	fcntl(c->exec, F_SETFL, O_NONBLOCK);
	return 0;
failed:
	r = -errno;
	c->pid = 0;
	for (int i = 0; i < PIPES; i++)
		close_pipe(p[i]);
	return r;
}

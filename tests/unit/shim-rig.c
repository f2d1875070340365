/* SPDX-License-Identifier: MIT */
/* See shim-rig.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/util.h"
#include "shim-rig.h"
#include "shim/spec.h"

int shim_fd = -1;

/* The shim and the directory of the test that runs: a test that fails must leave nothing behind. */
static pid_t live_shim;
static int live_pidfd = -1;
static char live_dir[64];

/* ---- the rig ---- */

void
spec_add(struct rig *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&r->spec, fmt, ap);
	va_end(ap);
	buf_putc(&r->spec, '\0');
}

void
rig_open(struct rig *r)
{
	*r = (struct rig){
		.seccomp_fd = -1, .netns_fd = -1, .bell_fd = -1, .up_fd = -1, .input_fd = -1, .pidfd = -1, .spare_fd = -1};
	snprintf(r->dir, sizeof(r->dir), "/tmp/aod-test-shim-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	memcpy(live_dir, r->dir, sizeof(live_dir));
	snprintf(r->spool, sizeof(r->spool), "%s/1.spool", r->dir);
	snprintf(r->input, sizeof(r->input), "%s/1.in", r->dir);
	snprintf(r->bell, sizeof(r->bell), "%s/1.bell", r->dir);
	snprintf(r->up, sizeof(r->up), "%s/up", r->dir);
	assert_int_equal(mkfifo(r->bell, 0600), 0);
	assert_int_equal(mkfifo(r->up, 0600), 0);
	r->bell_fd = open(r->bell, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	r->up_fd = open(r->up, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	r->input_fd = open(r->input, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	assert_true(r->bell_fd >= 0 && r->up_fd >= 0 && r->input_fd >= 0);
}

void
rig_files(struct rig *r)
{
	spec_add(r, "spool=%s", r->spool);
	spec_add(r, "input=%s", r->input);
	spec_add(r, "bell=%s", r->bell);
	spec_add(r, "up=%s", r->up);
	spec_add(r, "key=%s", KEY);
	spec_add(r, "env=PATH=/usr/bin:/bin");
	spec_add(r, "a_key_of_the_future=1");
}

void
rig_user(struct rig *r, uid_t user)
{
	r->user = user;
	assert_int_equal(chown(r->dir, user, user), 0);
	assert_int_equal(chown(r->input, user, user), 0);
	assert_int_equal(chown(r->bell, user, user), 0);
	assert_int_equal(chown(r->up, user, user), 0);
}

static void
exec_shim(struct rig *r, int spec_fd)
{
	char *argv[] = {"aod-shim", NULL};
	/* A sanitizer's leak check wants ptrace(2), which a process that is not dumpable refuses.
	 */
	char *env[] = {"ASAN_OPTIONS=detect_leaks=0", NULL};
	int null = open("/dev/null", O_RDWR), spec, filter = -1, netns = -1, self;

	/* Out of the way of the numbers that the shim expects. */
	spec = fcntl(spec_fd, F_DUPFD, 20);
	if (r->seccomp_fd >= 0)
		filter = fcntl(r->seccomp_fd, F_DUPFD, 20);
	if (r->netns_fd >= 0)
		netns = fcntl(r->netns_fd, F_DUPFD, 20);
	self = fcntl(shim_fd, F_DUPFD_CLOEXEC, 20);
	dup2(null, 0);
	dup2(null, 1);
	dup2(spec, 3);
	close(4);
	if (filter >= 0)
		dup2(filter, 4);
	close(5);
	if (netns >= 0)
		dup2(netns, 5);
	if (r->user && (setgroups(0, NULL) < 0 || setgid(r->user) < 0 || setuid(r->user) < 0))
		_exit(99);
	/* What a careless parent may leave behind. */
	signal(SIGCHLD, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	fexecve(self, argv, env);
	_exit(98);
}

static void
fork_shim(struct rig *r, int spec_fd)
{
	r->pid = fork();
	assert_true(r->pid >= 0);
	if (r->pid == 0)
		exec_shim(r, spec_fd);
	r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
	assert_true(r->pidfd >= 0);
	live_shim = r->pid;
	live_pidfd = r->pidfd;
}

void
rig_start(struct rig *r)
{
	int spec_fd = memfd_with("spec", r->spec.data, r->spec.len);

	assert_true(spec_fd >= 0);
	fork_shim(r, spec_fd);
	close(spec_fd);
}

bool
rig_start_spare(struct rig *r)
{
	int pair[2], filter = r->seccomp_fd;
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	r->seccomp_fd = memfd_with("first", r->first.data, r->first.len);
	assert_true(r->seccomp_fd >= 0);
	fork_shim(r, pair[1]);
	close(pair[1]);
	close(r->seccomp_fd);
	r->seccomp_fd = filter;
	r->spare_fd = pair[0];
	assert_true(wait_readable(r->spare_fd, mono_us() + DEADLINE_US));
	return read(r->spare_fd, &byte, 1) == 1;
}

void
rig_tell_spare(struct rig *r)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct spare_run run = {0};
	struct iovec v = {&run, sizeof(run)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int spec_fd = memfd_with("spec", r->spec.data, r->spec.len);

	assert_true(spec_fd >= 0);
	control.h.cmsg_level = SOL_SOCKET;
	control.h.cmsg_type = SCM_RIGHTS;
	control.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.h), &spec_fd, sizeof(int));
	assert_int_equal(sendmsg(r->spare_fd, &m, MSG_NOSIGNAL), sizeof(run));
	close(spec_fd);
}

void
rig_begin_spare(struct rig *r)
{
	/* No groups; and then that the run has begun. */
	for (int i = 0; i < 2; i++)
		assert_int_equal(send(r->spare_fd, "", 1, MSG_NOSIGNAL), 1);
	close(r->spare_fd);
	r->spare_fd = -1;
}

void
rig_spec_sh(struct rig *r, const char *script)
{
	rig_files(r);
	spec_add(r, "argv=/bin/sh");
	spec_add(r, "argv=-c");
	spec_add(r, "argv=%s", script);
}

void
rig_start_sh(struct rig *r, const char *script)
{
	rig_spec_sh(r, script);
	rig_start(r);
}

bool
wait_readable(int fd, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t left = deadline - mono_us();

	return poll(&p, 1, left > 0 ? (int)(left / 1000) + 1 : 0) == 1;
}

/* The shim's own exit status. */
int
rig_wait(struct rig *r)
{
	struct pollfd p[2] = {{.fd = r->pidfd, .events = POLLIN},
			      {.fd = r->up_fd, .events = POLLIN}};
	int64_t deadline = mono_us() + DEADLINE_US;
	char records[4096];
	int status;

	/* It stays while the up FIFO is full, so that has to be read, as aod does. */
	for (;;) {
		assert_true(mono_us() < deadline);
		assert_true(poll(p, 2, (int)(DEADLINE_US / 1000)) > 0);
		if (p[0].revents)
			break;
		assert_true(read(r->up_fd, records, sizeof(records)) > 0);
	}
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	r->pid = live_shim = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

void
rig_kill(struct rig *r)
{
	kill(r->pid, SIGKILL);
	assert_int_equal(waitpid(r->pid, NULL, 0), r->pid);
	r->pid = live_shim = 0;
}

/* Also the teardown of each test, for one that failed half-way. */
int
clean_up(void **state)
{
	int r = 0;

	if (live_shim > 0) {
		/* Politely, so that it takes the agent's whole tree along. */
		kill(live_shim, SIGTERM);
		if (!wait_readable(live_pidfd, mono_us() + DEADLINE_US))
			kill(live_shim, SIGKILL);
		waitpid(live_shim, NULL, 0);
		live_shim = 0;
	}
	if (live_dir[0]) {
		char disk[96];

		snprintf(disk, sizeof(disk), "%s/disk", live_dir);
		umount(disk);
		r = rm_rf(live_dir, NULL);
		live_dir[0] = '\0';
	}
	return r;
}

void
rig_close(struct rig *r)
{
	clean_up(NULL);
	close(r->pidfd);
	close(r->bell_fd);
	close(r->up_fd);
	close(r->input_fd);
	if (r->seccomp_fd >= 0)
		close(r->seccomp_fd);
	if (r->spare_fd >= 0)
		close(r->spare_fd);
	buf_free(&r->first);
	buf_free(&r->spec);
	buf_free(&r->file);
	buf_free(&r->out);
	buf_free(&r->err);
	buf_free(&r->notes);
	buf_free(&r->denied);
}

int
field_int(const struct frame *f, const char *key)
{
	const char *s = frame_field(f, key);
	int64_t v;

	assert_non_null(s);
	assert_true(parse_i64(s, INT32_MIN, INT32_MAX, &v));
	return (int)v;
}

static void
look_at_frame(struct rig *r, const struct frame *f)
{
	assert_false(r->ended);
	assert_true(r->started || f->type == FRAME_START);
	r->frames++;
	switch (f->type) {
	case FRAME_START:
		assert_false(r->started);
		r->started = true;
		r->agent = field_int(f, "agent_pid");
		assert_int_equal(field_int(f, "shim_pid"),
				 r->pid ? r->pid : field_int(f, "shim_pid"));
		assert_int_equal(strlen(frame_field(f, "boot_id")), 36);
		assert_true(field_int(f, "shim_start") > 0);
		snprintf(r->start, sizeof(r->start), "%s", frame_field(f, "agent_start"));
		break;
	case FRAME_STDOUT:
		r->out_frames++;
		if (f->flags & FRAME_MORE)
			r->more++;
		else
			assert_true(f->len > 0);
		buf_put(&r->out, f->payload, f->len);
		break;
	case FRAME_STDERR:
		buf_put(&r->err, f->payload, f->len);
		break;
	case FRAME_NOTE:
		buf_put(&r->notes, f->payload, f->len);
		buf_putc(&r->notes, '\n');
		break;
	case FRAME_DENIED:
		for (uint32_t i = 0; i < f->len; i++)
			buf_putc(&r->denied, f->payload[i] ? f->payload[i] : ' ');
		buf_putc(&r->denied, '\n');
		break;
	case FRAME_EXIT:
		r->ended = true;
		r->status = field_int(f, "status");
		r->exec_errno = field_int(f, "exec_errno");
		r->left = field_int(f, "left");
		assert_true(field_int(f, "maxrss_kb") >= 0 && field_int(f, "utime_us") >= 0 &&
			    field_int(f, "stime_us") >= 0);
		snprintf(r->exec_step, sizeof(r->exec_step), "%s", frame_field(f, "exec_step"));
		break;
	default:
		fail_msg("frame of type %d", f->type);
	}
}

/* Reads the whole spool again. */
void
rig_look(struct rig *r)
{
	struct frame f;
	size_t at = 0;
	int64_t n;

	buf_reset(&r->file);
	buf_reset(&r->out);
	buf_reset(&r->err);
	buf_reset(&r->notes);
	buf_reset(&r->denied);
	buf_put(&r->out, "", 0);
	buf_put(&r->err, "", 0);
	buf_put(&r->notes, "", 0);
	buf_put(&r->denied, "", 0);
	r->started = r->ended = false;
	r->frames = r->more = r->out_frames = 0;
	if (access(r->spool, F_OK) < 0)
		return;
	assert_int_equal(file_read(r->spool, 1u << 30, &r->file, NULL), 0);
	while ((n = frame_parse(r->file.data + at, r->file.len - at, &f)) > 0) {
		look_at_frame(r, &f);
		at += (size_t)n;
	}
	assert_int_equal(n, 0);
}

/* Waits for the bell of the shim and looks. */
void
rig_next(struct rig *r, int64_t deadline)
{
	char records[16 * UP_RECORD];
	ssize_t n;

	assert_true(wait_readable(r->up_fd, deadline));
	n = read(r->up_fd, records, sizeof(records));
	assert_true(n > 0 && n % UP_RECORD == 0);
	assert_memory_equal(records, KEY, UP_RECORD);
	rig_look(r);
}

void
rig_wait_out(struct rig *r, const char *text)
{
	int64_t deadline = mono_us() + DEADLINE_US;

	rig_look(r);
	while (!r->out.data || !strstr(r->out.data, text))
		rig_next(r, deadline);
}

void
rig_finish(struct rig *r)
{
	assert_int_equal(rig_wait(r), 0);
	rig_look(r);
	assert_true(r->ended);
}

void
rig_run_sh(struct rig *r, const char *script)
{
	rig_start_sh(r, script);
	rig_finish(r);
	if (r->exec_errno)
		fail_msg("%s: %s", r->exec_step, strerror(r->exec_errno));
}

void
assert_out(struct rig *r, const char *want)
{
	if (strcmp(r->out.data, want) != 0)
		fail_msg("out: %s\nwant: %s\nerr: %s", r->out.data, want, r->err.data);
}

void
assert_says(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no \"%s\" in: %s", part, text);
}

void
rig_input_pieces(struct rig *r, uint8_t type, const void *p, size_t n)
{
	uint8_t head[FRAME_HEADER], number[8];

	r->number++;
	for (int i = 0; i < 8; i++)
		number[i] = (uint8_t)(r->number >> 8 * i);
	frame_header(head, type, 0, now_us(), number, sizeof(number), p, n);
	assert_int_equal(fd_write_all(r->input_fd, head, sizeof(head)), 0);
	assert_int_equal(fd_write_all(r->input_fd, number, sizeof(number)), 0);
	assert_int_equal(fd_write_all(r->input_fd, p, n), 0);
}

void
rig_ring(struct rig *r)
{
	assert_int_equal(write(r->bell_fd, "", 1), 1);
}

void
rig_input(struct rig *r, uint8_t type, const void *p, size_t n)
{
	rig_input_pieces(r, type, p, n);
	rig_ring(r);
}

void
rig_order(struct rig *r, uint8_t type, uint32_t v)
{
	uint8_t le[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};

	rig_input(r, type, le, sizeof(le));
}

/* The pids behind each "pid N" line of stdout, as pidfds. */
int
rig_pidfds(struct rig *r, int *fds, int max)
{
	int n = 0;

	for (const char *p = r->out.data; n < max && (p = strstr(p, "pid ")) != NULL; p++) {
		fds[n] = (int)syscall(SYS_pidfd_open, atoi(p + 4), 0);
		assert_true(fds[n] >= 0);
		n++;
	}
	return n;
}

void
assert_gone(const int *fds, int n)
{
	for (int i = 0; i < n; i++) {
		assert_true(wait_readable(fds[i], mono_us() + DEADLINE_US));
		close(fds[i]);
	}
}

int
proc_children(pid_t pid, pid_t *out, int max)
{
	CLEANUP_FREE char *path = xasprintf("/proc/%d/task/%d/children", (int)pid, (int)pid);
	struct buf b = BUF_INIT;
	char *p, *end;
	int n = 0;

	/* A process that ends meanwhile gives an error: what was read up to then counts. */
	file_read(path, 1 << 20, &b, NULL);
	for (p = b.data; p && n < max; p = end) {
		long v = strtol(p, &end, 10);

		if (end == p)
			break;
		out[n++] = (pid_t)v;
	}
	buf_free(&b);
	return n;
}

void
assert_numbered(const struct buf *b, int from, int to)
{
	struct buf want = BUF_INIT;

	for (int i = from; i <= to; i++)
		buf_printf(&want, "%d\n", i);
	assert_int_equal(b->len, want.len);
	assert_memory_equal(b->data, want.data, want.len);
	buf_free(&want);
}

bool
rig_program(void)
{
	const char *path = getenv("AOD_SHIM");

	signal(SIGPIPE, SIG_IGN);
	shim_fd = open(path ? path : "./aod-shim", O_RDONLY | O_CLOEXEC);
	if (shim_fd < 0)
		fprintf(stderr, "%s: %s\n", path ? path : "./aod-shim", strerror(errno));
	return shim_fd >= 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * aod-shim: parent of one agent. It owns the agent's pipes, its process tree and its spool, and
 * outlives aod, which starts it with the spec of spec.h. This file: the spec, the loop, and how a
 * run ends.
 *
 * A run: the agent runs; then, once its main process has ended, whatever it left behind is stopped;
 * then what is still in the pipes goes to the spool, the exit frame after it, and the shim ends. A
 * stop is SIGTERM to the whole tree and after some time rounds of SIGKILL until there is nobody
 * left to wait for.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shim/kernel.h"
#include "shim/shim.h"
#include "shim/spec.h"

#define KILL_ROUND_MS 10 /* between two rounds of SIGKILL at first; doubles */
#define KILL_ROUND_MAX_MS 320
#define KILL_ROUNDS_MAX 20 /* on those who are not our children */
#define DRAIN_QUIET_MS 1000 /* all writers are dead: who still holds a pipe has escaped */
#define DRAIN_MAX_MS 10000

static struct {
	int signals, bell, exec, talk, known, gate;
	pid_t agent;  /* 0: fork failed */
	int agent_fd; /* pidfd of an agent that is not our child, or -1 */
	pid_t init;   /* of the agent's pid namespace, 0: none, or gone */
	bool ended;   /* the agent's main process was waited for */
	bool end_seen;
	bool childless;
	bool alone; /* and the control group is empty */
	bool stopping, killing;
	bool written; /* the exit frame is in the spool */
	int64_t stop_ms, stop_at, kill_at, kill_wait;
	int kill_rounds;
	int notify_errno;
	uint64_t agent_start; /* 0: look */
	int64_t drain_quiet_at, drain_end; /* 0: not draining */
	int left;
	int status;
	struct rusage usage;
	struct child_failure failure;
	char start[256];
	size_t start_len;
} run = {.signals = -1, .bell = -1, .exec = -1, .talk = -1, .known = -1, .gate = -1, .agent_fd = -1};

/* ---- small things ---- */

static char scratch_room[SCRATCH_MAX] COLD;
static bool scratch_used;

void *
scratch(void)
{
	scratch_used = true;
	return scratch_room;
}

static void
scratch_give_back(void)
{
	if (scratch_used && madvise(scratch_room, sizeof(scratch_room), MADV_DONTNEED) == 0)
		scratch_used = false;
}

int64_t
mono_ms(void)
{
	struct timespec ts = k_clock(CLOCK_MONOTONIC);

	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

char *
put_unsigned(char *p, uint64_t v)
{
	char digits[20], *d = digits + sizeof(digits);

	do
		*--d = (char)('0' + v % 10);
	while (v /= 10);
	while (d < digits + sizeof(digits))
		*p++ = *d++;
	return p;
}

char *
put_number(char *p, int64_t v)
{
	if (v < 0)
		*p++ = '-';
	return put_unsigned(p, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

char *
put_text(char *p, char *end, const char *s)
{
	while (*s && p < end - 1)
		*p++ = *s++;
	*p = '\0';
	return p;
}

/* "key=number" with its NUL. */
static char *
put_field(char *p, const char *key, int64_t v)
{
	size_t n = strlen(key);

	memcpy(p, key, n);
	p = put_number(p + n, v);
	*p++ = '\0';
	return p;
}

ssize_t
read_small(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, out, size - 1);
	if (n < 0)
		n = -errno;
	close(fd);
	out[n < 0 ? 0 : n] = '\0';
	return n;
}

int
write_in(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

int
write_small(const char *path, const char *text)
{
	return write_in(AT_FDCWD, path, text);
}

uint64_t
start_time(pid_t pid)
{
	char path[40], text[1024], *p;

	memcpy(path, "/proc/", 6);
	p = put_number(path + 6, pid);
	memcpy(p, "/stat", 6);
	if (read_small(path, text, sizeof(text)) <= 0 || (p = strrchr(text, ')')) == NULL)
		return 0;
	for (int field = 2; field < 22; field++) {
		p = strchr(p + 1, ' ');
		if (!p)
			return 0;
	}
	return strtoull(p, NULL, 10);
}

static void
open_spool(const struct spec *s)
{
	int r = spool_open(s);

	if (r == -EWOULDBLOCK)
		die("another shim holds the spool", s->spool, 0);
	if (r == -EEXIST)
		die("this run was started before: there is something in the spool", s->spool, 0);
	if (r < 0)
		die("cannot open the spool", s->spool, -r);
}

static void
open_files(const struct spec *s)
{
	int r;

	if (s->input && (r = input_open(s->input)) < 0)
		die("cannot open the input", s->input, -r);
	if (s->bell) {
		/* Read and write: so it never ends, and opening it waits for nobody. */
		run.bell = open(s->bell, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (run.bell < 0)
			die("cannot open the bell", s->bell, errno);
		fcntl(run.bell, F_SETPIPE_SZ, PAGE); /* bells merge: the table of sixteen pages is not wanted */
	}
}

/* ---- the process ---- */

static void
signal_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIGTERM);
}

static void
become_shim(void)
{
	sigset_t set;

	/* The kernel's struct sigaction, all zero: SIG_DFL. signal(3) leaves out the signals that a libc keeps to itself. */
	static const unsigned long dfl[4];
	static const int ignored[] = SHIM_IGNORES;
	struct sigaction ignore = {.sa_handler = SIG_IGN}, child = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP};

	setsid(); /* fails for a session leader, which is as good */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (syscall(SYS_close_range, SHIM_NETNS_FD + 1, ~0u, 0) < 0)
		for (int fd = SHIM_NETNS_FD + 1; fd < 1024; fd++)
			close(fd);
	/* What is ignored is inherited: it would be the agent's, and an ignored SIGCHLD would keep the exit status from us. */
	for (int sig = 1; sig <= 64; sig++)
		syscall(SYS_rt_sigaction, sig, dfl, NULL, 8);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		sigaction(ignored[i], &ignore, NULL);
	sigaction(SIGCHLD, &child, NULL);
	signal_set(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

static void
open_signals(void)
{
	sigset_t set;

	signal_set(&set);
	run.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (run.signals < 0)
		die("signalfd", NULL, errno);
}

void
shim_signal(int sig)
{
	if (!run.agent || run.ended || sig <= 0 || sig > 64)
		return;
	if (run.agent_fd >= 0)
		syscall(SYS_pidfd_send_signal, run.agent_fd, sig, NULL, 0);
	else
		child_signal(run.agent, sig);
}

static int
terminate_tree(void)
{
	int refused, n = tree_signal(SIGTERM, &refused);

	/* Nobody of ours is left, but somebody came in from elsewhere. */
	if (run.childless)
		cgroup_signal_all(SIGTERM);
	/* What was stopped or frozen hears of it too. */
	tree_signal(SIGCONT, &refused);
	cgroup_thaw();
	return n;
}

static void
start_killing(void)
{
	if (!run.killing) {
		run.killing = true;
		run.kill_at = mono_ms();
		run.kill_wait = KILL_ROUND_MS;
	}
}

void
shim_stop(int64_t ms)
{
	int64_t at = mono_ms() + ms;

	if (run.alone)
		return;
	if (ms == 0) {
		start_killing();
		return;
	}
	if (!run.stopping) {
		if (run.exec < 0)
			terminate_tree();
		run.stop_at = at;
	}
	run.stopping = true;
	if (at < run.stop_at)
		run.stop_at = at;
}

static void
on_agent_end(void)
{
	int refused;

	input_close_stdin();
	if (run.alone)
		return;
	run.left = tree_signal(0, &refused);
	shim_stop(run.stop_ms);
}

static void
agent_ended(int status, const struct rusage *usage)
{
	if (run.ended)
		return;
	run.ended = true;
	run.status = status;
	run.usage = *usage;
}

/* What the child says: see enum talk_kind. */
static void
listen_to_child(void)
{
	struct talk t;
	int r;

	while (run.talk >= 0 && (r = talk_receive(run.talk, &t)) != -EAGAIN) {
		if (r <= 0) {
			close(run.talk);
			run.talk = -1;
		} else if (t.kind == TALK_MAPS) {
			talk_ack(run.talk, talk_write_maps(t.pid));
		} else if (t.kind == TALK_AGENT) {
			run.agent = t.pid;
			run.agent_fd = (int)syscall(SYS_pidfd_open, t.pid, 0);
			run.agent_start = start_time(t.pid);
			close(run.known);
			run.known = -1;
		} else if (t.kind == TALK_LISTENER) {
			listener_set(t.fd, run.notify_errno);
		} else if (t.kind == TALK_EXIT) {
			agent_ended(t.status, &t.usage);
		}
	}
}

static void
reap(void)
{
	struct rusage usage;
	pid_t pid;
	int status;

	/* An init tells of the agent before it ends; one that was killed took the agent along. */
	while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
		if (pid == run.init) {
			tree_set_init(run.init = 0);
			listen_to_child();
			agent_ended(status, &usage);
		} else if (pid == run.agent) {
			agent_ended(status, &usage);
		}
	}
	run.childless = pid < 0 && errno == ECHILD;
	listen_to_child();
	run.alone = run.childless && run.ended && cgroup_empty();
	if (run.ended && !run.end_seen) {
		run.end_seen = true;
		on_agent_end();
	}
}

static void
on_signals(void)
{
	struct signalfd_siginfo si;

	while (read(run.signals, &si, sizeof(si)) == (ssize_t)sizeof(si))
		if (si.ssi_signo == SIGTERM)
			shim_stop(run.stop_ms);
	reap();
}

/* A round of SIGKILL, when it is time. Ends in run.alone. */
static void
kill_round(int64_t now)
{
	int refused, n;

	if (run.kill_at > now)
		return;
	run.kill_rounds++;
	if (run.init)
		child_signal(run.init, SIGKILL);
	/* Whoever is in the namespace or in the group is gone by that; who is in neither is found in the tree. */
	if (cgroup_kill_all() || run.init) {
		refused = 0;
		n = run.kill_rounds > 1 ? tree_kill(&refused) : 0;
	} else {
		n = tree_kill(&refused);
	}
	reap();
	/* A program with more rights than ours can be left behind, but must not hold the record of
	 * the run. */
	if (!run.alone && run.ended && n > 0 && refused == n) {
		spool_note(
			"processes of other users were left running: not permitted to kill them");
		run.alone = true;
	}
	if (!run.alone && run.childless && run.kill_rounds >= KILL_ROUNDS_MAX) {
		spool_note("processes were left in the control group: they cannot be killed");
		run.alone = true;
	}
	run.kill_at = now + run.kill_wait;
	run.kill_wait =
		run.kill_wait * 2 > KILL_ROUND_MAX_MS ? KILL_ROUND_MAX_MS : run.kill_wait * 2;
}

/* ---- start and exit frames ---- */

static void
prepare_start(void)
{
	char boot_id[64], *p = run.start;

	p = put_field(p, "shim_pid=", getpid());
	p = put_field(p, "shim_start=", (int64_t)start_time(getpid()));
	if (read_small("/proc/sys/kernel/random/boot_id", boot_id, sizeof(boot_id)) < 36)
		boot_id[0] = '\0';
	boot_id[36] = '\0';
	p = put_text(p, run.start + sizeof(run.start), "boot_id=");
	p = put_text(p, run.start + sizeof(run.start), boot_id) + 1;
	run.start_len = (size_t)(p - run.start);
}

/* The agent runs, or never will. */
static void
on_exec(void)
{
	ssize_t n = run.exec < 0 ? 0 : read(run.exec, &run.failure, sizeof(run.failure));
	char *p = run.start + run.start_len;

	if (n < 0 && errno == EAGAIN)
		return;
	if (run.exec >= 0)
		close(run.exec);
	run.exec = -1;
	listen_to_child();
	/* Before it is waited for, so that /proc still knows it. */
	if (run.agent && !run.agent_start)
		run.agent_start = start_time(run.agent);
	p = put_field(p, "agent_pid=", run.agent);
	p = put_field(p, "agent_start=", (int64_t)run.agent_start);
	spool_start(run.start, (size_t)(p - run.start));
	/* Not earlier: until exec the child ignores what the shim ignores, and below an init there may be nobody yet. */
	if (run.stopping && !run.killing)
		terminate_tree();
	input_run();
}

static int64_t
timeval_us(struct timeval tv)
{
	return (int64_t)tv.tv_sec * 1000000 + tv.tv_usec;
}

static bool
write_exit(void)
{
	char text[STEP_MAX + 256], *p = text;

	p = put_field(p, "status=", run.status);
	p = put_field(p, "exec_errno=", run.failure.error);
	p = put_text(p, text + sizeof(text), "exec_step=");
	p = put_text(p, text + sizeof(text), run.failure.step) + 1;
	p = put_field(p, "utime_us=", timeval_us(run.usage.ru_utime));
	p = put_field(p, "stime_us=", timeval_us(run.usage.ru_stime));
	p = put_field(p, "maxrss_kb=", run.usage.ru_maxrss);
	p = put_field(p, "left=", run.left);
	return spool_exit(text, (size_t)(p - text));
}

/* ---- the loop ---- */

static void
sooner(int64_t *timeout, int64_t ms)
{
	if (ms < 0)
		ms = 0;
	if (*timeout < 0 || ms < *timeout)
		*timeout = ms;
}

/* Everybody is dead: the pipes end by themselves, unless a descriptor went to a stranger. */
static void
drain(int64_t now, int64_t *timeout)
{
	if (spool_blocked()) {
		run.drain_quiet_at = 0;
		run.drain_end = 0;
		return;
	}
	if (run.drain_quiet_at == 0)
		run.drain_quiet_at = now + DRAIN_QUIET_MS;
	if (run.drain_end == 0)
		run.drain_end = now + DRAIN_MAX_MS;
	if (now >= run.drain_quiet_at || now >= run.drain_end)
		spool_give_up_output();
	sooner(timeout, run.drain_quiet_at - now);
}

/* Does what the time has come for. Returns the milliseconds until the next such thing, -1 for none,
 * -2 for the end. */
static int64_t
on_time(int64_t now)
{
	int64_t timeout = -1;
	int ms;

	if (run.stopping && !run.alone && !run.killing && run.stop_at <= now)
		start_killing();
	if (run.killing && !run.alone)
		kill_round(now);
	if (!run.alone && (run.killing || run.stopping))
		sooner(&timeout, (run.killing ? run.kill_at : run.stop_at) - now);
	if (run.ended && run.alone) {
		spool_take_rest();
		if (!spool_output_done())
			drain(now, &timeout);
		if (spool_output_done() && !run.written)
			run.written = write_exit();
	}
	if (spool_held())
		input_run();
	ms = spool_run(now);
	if (ms >= 0)
		sooner(&timeout, ms);
	return run.written && spool_rung() ? -2 : timeout;
}

static void
loop(void)
{
	enum { SIGNALS, BELL, EXEC, OUT, ERR, IN, TALK, LISTENER, FDS };
	struct pollfd p[FDS];
	char wake[512];
	int64_t timeout;

	while ((timeout = on_time(mono_ms())) != -2) {
		p[SIGNALS] = (struct pollfd){.fd = run.signals, .events = POLLIN};
		p[BELL] = (struct pollfd){.fd = run.bell, .events = POLLIN};
		p[EXEC] = (struct pollfd){.fd = run.exec, .events = POLLIN};
		p[OUT] = (struct pollfd){.fd = spool_poll_fd(0), .events = POLLIN};
		p[ERR] = (struct pollfd){.fd = spool_poll_fd(1), .events = POLLIN};
		p[IN] = (struct pollfd){.fd = input_poll_fd(), .events = POLLOUT};
		p[TALK] = (struct pollfd){.fd = run.talk, .events = POLLIN};
		p[LISTENER] = (struct pollfd){.fd = listener_poll_fd(), .events = POLLIN};
		if (timeout < 0)
			scratch_give_back();
		if (poll(p, FDS, timeout > INT32_MAX ? INT32_MAX : (int)timeout) <= 0)
			continue;
		if (p[TALK].revents)
			listen_to_child();
		if (p[EXEC].revents)
			on_exec();
		if (p[LISTENER].revents)
			listener_run();
		if (p[BELL].revents && read(run.bell, wake, sizeof(wake)) > 0)
			input_run();
		if (p[IN].revents)
			input_run();
		for (int i = 0; i < 2; i++)
			if (p[OUT + i].revents && !spool_blocked() && !spool_held() && spool_read(i) > 0)
				run.drain_quiet_at = 0;
		if (p[SIGNALS].revents)
			on_signals();
		/* An init has said so, while others keep it. */
		if (run.ended && !run.end_seen)
			reap();
	}
}

/* From here on nothing of the start is wanted. The agent goes on last: it is woken beside us, where it has to wait until we have nothing to do. */
static void
live(void)
{
	if (run.gate >= 0)
		child_go(run.gate);
	loop();
	spool_close();
	_exit(0);
}

/* While the process is dumpable, for its /proc is root's when it is not; and beyond the numbers that aod uses. */
static int
open_oom_score(void)
{
	int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, SHIM_NETNS_FD + 1);

	if (fd >= 0)
		close(fd);
	return high;
}

/* Inherited by the child: in a pid namespace of its own there is no /proc yet to write it to. Back to what it was afterwards. */
static int
set_oom_score(int fd, int64_t v)
{
	char text[24];
	char *end = put_number(text, v);

	return pwrite(fd, text, (size_t)(end - text), 0) < 0 ? -errno : 0;
}

/* One that was prepared is there already, and inherits nothing. */
static int
set_oom_score_of(pid_t pid, int64_t v)
{
	char path[40], text[24], *p = put_number(put_text(path, path + sizeof(path), "/proc/"), pid);

	put_text(p, path + sizeof(path), "/oom_score_adj");
	*put_number(text, v) = '\0';
	return write_small(path, text);
}

static int
start_child(const struct spec *spec, int oom_fd, struct child *child, const char **step)
{
	char before[16] = "";
	int r;

	if (spec->oom_score_adj == INT64_MIN)
		return child_start(spec, child, step);
	*step = "oom-score";
	if (child->pid)
		r = set_oom_score_of(child->pid, spec->oom_score_adj);
	else if (oom_fd < 0 || pread(oom_fd, before, sizeof(before) - 1, 0) <= 0)
		r = -EACCES;
	else
		r = set_oom_score(oom_fd, spec->oom_score_adj);
	if (r == 0)
		r = child_start(spec, child, step);
	if (before[0])
		set_oom_score(oom_fd, strtol(before, NULL, 10));
	return r;
}

/* From here on the run has been: so the spool is there before the agent. */
static void
begin(const struct spec *spec)
{
	while (!spare_await_start(run.talk))
		listen_to_child();
	open_spool(spec);
}

int
main(void)
{
	int oom_fd, spec_fd = -1, r;
	bool spare;
	struct child child = {.in = -1, .out = -1, .err = -1, .exec = -1, .talk = -1, .known = -1, .gate = -1};
	struct spec spec;
	const char *step;

	become_shim();
	oom_fd = open_oom_score();
	prctl(PR_SET_DUMPABLE, 0);
	spare = spare_wait(&child, &spec_fd);
	spec_load(&spec, true);
	if (!spec.seccomp)
		close(SHIM_SECCOMP_FD);
	if (!spec.netns)
		close(SHIM_NETNS_FD);
	r = child_ready(&spec, spec_fd, &child, &step);
	open_files(&spec);
	open_signals();
	run.stop_ms = spec.stop_ms;
	run.notify_errno = (int)spec.notify_errno;
	prepare_start();
	if (spare)
		spare_await_groups(&spec);
	else
		open_spool(&spec);
	if (r == 0)
		r = start_child(&spec, oom_fd, &child, &step);
	if (r < 0)
		child_discard(&child);
	run.agent = child.pid;
	run.exec = child.exec;
	run.talk = child.talk;
	run.known = child.known;
	if (child.init)
		tree_set_init(run.init = child.pid);
	spool_set_output(child.out, child.err);
	input_set_stdin(child.in);
	idmap_done();
	close(oom_fd);
	if (spec_fd >= 0)
		close(spec_fd);
	if (spec.seccomp)
		close(SHIM_SECCOMP_FD);
	if (spec.netns)
		close(SHIM_NETNS_FD);
	if (spare)
		begin(&spec);
	run.gate = child.gate;
	spec_unload();
	if (r < 0) {
		run.ended = run.alone = true;
		run.status = 127 << 8;
		run.failure.error = -r;
		put_text(run.failure.step, run.failure.step + sizeof(run.failure.step), step);
		on_exec();
	}
	stack_leave(live);
}

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

#include "shim/shim.h"
#include "shim/spec.h"

#define STOP_MS_DEFAULT 200
#define KILL_ROUND_MS 10 /* between two rounds of SIGKILL at first; doubles */
#define KILL_ROUND_MAX_MS 320
#define DRAIN_QUIET_MS 1000 /* all writers are dead: who still holds a pipe has escaped */
#define DRAIN_MAX_MS 10000

static struct {
	int signals, bell, exec;
	pid_t agent; /* 0: fork failed */
	bool ended;  /* the agent's main process was waited for */
	bool alone;  /* the shim has no children at all */
	bool stopping, killing;
	bool written; /* the exit frame is in the spool */
	int64_t stop_ms, stop_at, kill_at, kill_wait;
	int64_t drain_quiet_at, drain_end; /* 0: not draining */
	int left;
	int status;
	struct rusage usage;
	struct child_failure failure;
	char start[256];
	size_t start_len;
} run = {.signals = -1, .bell = -1, .exec = -1};

/* ---- small things ---- */

int64_t
mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

char *
put_number(char *p, int64_t v)
{
	char digits[20], *d = digits + sizeof(digits);
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do
		*--d = (char)('0' + u % 10);
	while (u /= 10);
	if (v < 0)
		*p++ = '-';
	while (d < digits + sizeof(digits))
		*p++ = *d++;
	return p;
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

/* Before the agent is there: nothing was done yet, and aod sees the status. */
static _Noreturn void
die(const char *what, const char *name, int error)
{
	char text[512];
	char *end = text + sizeof(text) - 1;
	char *p = put_text(text, end, "aod-shim: ");

	p = put_text(p, end, what);
	p = put_text(p, end, name ? " " : "");
	p = put_text(p, end, name ? name : "");
	p = put_text(p, end, error ? ": " : "");
	p = put_text(p, end, error ? strerror(error) : "");
	*p++ = '\n';
	if (write(STDERR_FILENO, text, (size_t)(p - text)) < 0)
		_exit(SHIM_FAILED);
	_exit(SHIM_FAILED);
}

/* ---- the spec ---- */

static int64_t
spec_number(const char *item, const char *value, int base, int64_t max)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(value, &end, base);
	if (*value < '0' || *value > '9' || *end || errno || v > max)
		die("bad value in the spec:", item, 0);
	return v;
}

static const char *
value_of(const char *item, const char *key)
{
	size_t n = strlen(key);

	return strncmp(item, key, n) == 0 ? item + n : NULL;
}

static void
spec_item(struct spec *s, const char *item, size_t counts[3])
{
	const struct {
		const char *key;
		const char **to;
	} texts[] = {
		{"spool=", &s->spool},
		{"input=", &s->input},
		{"bell=", &s->bell},
		{"cwd=", &s->cwd},
		{"private_tmp=", &s->private_tmp},
	};
	const struct {
		const char *key;
		char **to;
	} vectors[] = {{"argv=", s->argv}, {"env=", s->env}, {"bind=", s->bind}};
	const char *v;

	for (size_t i = 0; i < 3; i++)
		if ((v = value_of(item, vectors[i].key)) != NULL) {
			if (vectors[i].to)
				vectors[i].to[counts[i]] = (char *)v;
			counts[i]++;
			return;
		}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if ((v = value_of(item, texts[i].key)) != NULL) {
			*texts[i].to = v;
			return;
		}
	if ((v = value_of(item, "umask=")) != NULL)
		s->mask = (mode_t)spec_number(item, v, 8, 0777);
	else if ((v = value_of(item, "uid=")) != NULL)
		s->uid = spec_number(item, v, 10, UINT32_MAX - 1);
	else if ((v = value_of(item, "gid=")) != NULL)
		s->gid = spec_number(item, v, 10, UINT32_MAX - 1);
	else if ((v = value_of(item, "stop_ms=")) != NULL)
		s->stop_ms = spec_number(item, v, 10, UINT32_MAX);
	else if (strcmp(item, "seccomp=1") == 0)
		s->seccomp = true;
}

/* up= and key= are wanted by nobody but spool_open(). */
static const char *
spec_find(const char *text, size_t n, const char *key)
{
	const char *v = NULL, *found;

	for (const char *p = text; p < text + n; p += strlen(p) + 1)
		if ((found = value_of(p, key)) != NULL)
			v = found;
	return v;
}

static void
spec_each(struct spec *s, const char *text, size_t n, size_t counts[3])
{
	memset(counts, 0, 3 * sizeof(*counts));
	for (const char *p = text; p < text + n; p += strlen(p) + 1)
		spec_item(s, p, counts);
}

/* What the spec lies in; given back once the child has its own copy. */
struct spec_memory {
	char *text;
	void *vectors;
	size_t text_size, vectors_size;
};

static void
spec_load(struct spec *s, struct spec_memory *m)
{
	size_t counts[3];
	struct stat st;
	char **v;

	*s = (struct spec){.mask = 022, .uid = -1, .gid = -1, .stop_ms = STOP_MS_DEFAULT};
	if (fstat(SHIM_SPEC_FD, &st) < 0)
		die("no spec on descriptor 3", NULL, errno);
	if (st.st_size < 1 || st.st_size > (off_t)SHIM_SPEC_MAX)
		die("the spec on descriptor 3 is empty or too large", NULL, 0);
	m->text_size = (size_t)st.st_size;
	m->text = mmap(NULL, m->text_size, PROT_READ, MAP_PRIVATE, SHIM_SPEC_FD, 0);
	if (m->text == MAP_FAILED)
		die("cannot map the spec", NULL, errno);
	close(SHIM_SPEC_FD);
	if (m->text[m->text_size - 1] != '\0')
		die("the spec does not end in NUL", NULL, 0);
	spec_each(s, m->text, m->text_size, counts);
	m->vectors_size = (counts[0] + counts[1] + counts[2] + 3) * sizeof(char *);
	m->vectors = mmap(NULL, m->vectors_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->vectors == MAP_FAILED)
		die("cannot allocate", NULL, errno);
	v = m->vectors;
	s->argv = v;
	s->env = v + counts[0] + 1;
	s->bind = s->env + counts[1] + 1;
	spec_each(s, m->text, m->text_size, counts);
	if (!s->argv[0] || !strchr(s->argv[0], '/'))
		die("the spec has no argv with a slash in its first word", NULL, 0);
	if (!s->spool)
		die("the spec has no spool", NULL, 0);
}

static void
open_files(const struct spec *s, const struct spec_memory *m)
{
	int r = spool_open(s->spool, spec_find(m->text, m->text_size, "up="),
			   spec_find(m->text, m->text_size, "key="));

	if (r == -EWOULDBLOCK)
		die("another shim holds the spool", s->spool, 0);
	if (r == -EEXIST)
		die("this run was started before: there is something in the spool", s->spool, 0);
	if (r < 0)
		die("cannot open the spool", s->spool, -r);
	if (s->input && (r = input_open(s->input)) < 0)
		die("cannot open the input", s->input, -r);
	if (s->bell) {
		/* Read and write: so it never ends, and opening it waits for nobody. */
		run.bell = open(s->bell, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (run.bell < 0)
			die("cannot open the bell", s->bell, errno);
	}
}

/* ---- the process ---- */

static void
become_shim(void)
{
	struct sigaction sa = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP};

	setsid(); /* fails for a session leader, which is as good */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_DUMPABLE, 0);
	if (syscall(SYS_close_range, SHIM_SECCOMP_FD + 1, ~0u, 0) < 0)
		for (int fd = SHIM_SECCOMP_FD + 1; fd < 1024; fd++)
			close(fd);
	/* An ignored SIGCHLD is inherited, and would keep the exit status from us. */
	sigaction(SIGCHLD, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGHUP, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGPIPE, &sa, NULL);
}

static void
open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_SETMASK, &set, NULL);
	run.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (run.signals < 0)
		die("signalfd", NULL, errno);
}

void
shim_signal(int sig)
{
	if (run.agent && !run.ended && sig > 0 && sig <= 64)
		child_signal(run.agent, sig);
}

static int
terminate_tree(void)
{
	int refused, n = tree_signal(SIGTERM, &refused);

	/* What was stopped hears of it too. */
	tree_signal(SIGCONT, &refused);
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
reap(void)
{
	bool ended = run.ended;
	struct rusage usage;
	pid_t pid;
	int status;

	while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0)
		if (pid == run.agent && !run.ended) {
			run.ended = true;
			run.status = status;
			run.usage = usage;
		}
	run.alone = pid < 0 && errno == ECHILD;
	if (run.ended && !ended)
		on_agent_end();
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
	n = tree_kill(&refused);
	reap();
	/* A program with more rights than ours can be left behind, but must not hold the record of
	 * the run. */
	if (!run.alone && run.ended && n > 0 && refused == n) {
		spool_note(
			"processes of other users were left running: not permitted to kill them");
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
	p = put_field(p, "agent_pid=", run.agent);
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
	/* Before it is waited for, so that /proc still knows it. */
	p = put_field(p, "agent_start=", run.agent ? (int64_t)start_time(run.agent) : 0);
	spool_start(run.start, (size_t)(p - run.start));
	/* Not earlier: until exec the child ignores what the shim ignores. */
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
	char text[256], *p = text;

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
		if (!spool_output_done())
			drain(now, &timeout);
		if (spool_output_done() && !run.written)
			run.written = write_exit();
	}
	ms = spool_run(now);
	if (ms >= 0)
		sooner(&timeout, ms);
	return run.written && spool_rung() ? -2 : timeout;
}

static void
loop(void)
{
	enum { SIGNALS, BELL, EXEC, OUT, ERR, IN, FDS };
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
		if (poll(p, FDS, timeout > INT32_MAX ? INT32_MAX : (int)timeout) <= 0)
			continue;
		if (p[EXEC].revents)
			on_exec();
		if (p[BELL].revents && read(run.bell, wake, sizeof(wake)) > 0)
			input_run();
		if (p[IN].revents)
			input_run();
		for (int i = 0; i < 2; i++)
			if (p[OUT + i].revents && !spool_blocked() && spool_read(i) > 0)
				run.drain_quiet_at = 0;
		if (p[SIGNALS].revents)
			on_signals();
	}
}

int
main(void)
{
	struct spec_memory memory;
	struct spec spec;
	struct child child = {.in = -1, .out = -1, .err = -1, .exec = -1};
	const char *step;
	int r;

	become_shim();
	spec_load(&spec, &memory);
	if (!spec.seccomp)
		close(SHIM_SECCOMP_FD);
	open_files(&spec, &memory);
	open_signals();
	run.stop_ms = spec.stop_ms;
	r = child_start(&spec, &child, &step);
	if (spec.seccomp)
		close(SHIM_SECCOMP_FD);
	munmap(memory.text, memory.text_size);
	munmap(memory.vectors, memory.vectors_size);
	run.agent = child.pid;
	run.exec = child.exec;
	spool_set_output(child.out, child.err);
	input_set_stdin(child.in);
	prepare_start();
	if (r < 0) {
		run.ended = run.alone = true;
		run.status = 127 << 8;
		run.failure.error = -r;
		put_text(run.failure.step, run.failure.step + sizeof(run.failure.step), step);
		on_exec();
	}
	loop();
	spool_close();
	return 0;
}

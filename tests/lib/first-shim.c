/* SPDX-License-Identifier: MIT */
/*
 * A shim as another version of aod might have left it running: it knows the frames and the keys of the first one, and nothing of what came since, says
 * less than the one of today, and writes frames that nobody knows yet. It includes nothing of the tree, so that what it does stays as it is; a test
 * compiles it. No sandbox, no control groups, no bound on the spool.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START = 1, STDOUT = 2, STDERR = 3, EXIT = 4, UNKNOWN = 99, INPUT = 16, CLOSE = 17, SIGNAL = 18, STOP = 19 };
#define HEADER 24
#define WORDS 4096

static struct {
	const char *spool, *input, *bell, *up, *key, *cwd;
	char *argv[WORDS], *env[WORDS];
	int argc, envc;
} spec;

static struct stream {
	int fd;
	uint8_t type;
	char line[1 << 16];
	size_t len;
} streams[2] = { { -1, STDOUT, "", 0 }, { -1, STDERR, "", 0 } };

static int spool_fd, bell_fd, up_fd = -1, stdin_fd;
static off_t input_at;
static pid_t child;
static int64_t kill_at_ms;

static void
die(const char *what)
{
	fprintf(stderr, "first-shim: %s: %s\n", what, strerror(errno));
	exit(113);
}

static uint32_t
crc(uint32_t c, const void *p, size_t n)
{
	const uint8_t *b = p;

	c = ~c;
	while (n--) {
		c ^= *b++;
		for (int i = 0; i < 8; i++)
			c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
	}
	return ~c;
}

static void
put(uint8_t *p, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t
get(const uint8_t *p, int n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | p[n];
	return v;
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
frame(uint8_t type, const void *payload, size_t n)
{
	uint8_t head[HEADER] = { 0xa0, 0xd1, 1, type };
	char record[16] = "";
	struct iovec v[2] = { { head, HEADER }, { (void *)payload, n } };
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	put(head + 8, n, 4);
	put(head + 16, (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000, 8);
	put(head + 12, crc(crc(crc(0, head, 12), head + 16, 8), payload, n), 4);
	if (writev(spool_fd, v, 2) != (ssize_t)(HEADER + n))
		die(spec.spool);
	if (up_fd < 0)
		up_fd = open(spec.up, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	snprintf(record, sizeof(record), "%s", spec.key);
	if (up_fd >= 0 && write(up_fd, record, sizeof(record)) < 0 && errno == EPIPE) {
		close(up_fd);
		up_fd = -1;
	}
}

static void
read_spec(void)
{
	struct stat st;
	char *text;

	if (fstat(3, &st) < 0 || !(text = malloc((size_t)st.st_size)) || pread(3, text, (size_t)st.st_size, 0) != st.st_size)
		die("spec");
	close(3);
	for (char *p = text; p < text + st.st_size; p += strlen(p) + 1) {
		const struct {
			const char *key;
			const char **to;
		} one[] = { { "spool=", &spec.spool }, { "input=", &spec.input }, { "bell=", &spec.bell }, { "up=", &spec.up }, { "key=", &spec.key }, { "cwd=", &spec.cwd } };

		for (size_t i = 0; i < sizeof(one) / sizeof(one[0]); i++)
			if (!strncmp(p, one[i].key, strlen(one[i].key)))
				*one[i].to = p + strlen(one[i].key);
		if (!strncmp(p, "argv=", 5) && spec.argc < WORDS - 1)
			spec.argv[spec.argc++] = p + 5;
		if (!strncmp(p, "env=", 4) && spec.envc < WORDS - 1)
			spec.env[spec.envc++] = p + 4;
	}
}

static long long
start_time(pid_t pid)
{
	char path[40], text[1024] = "", *p;
	long long start = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0 || !(p = strrchr(text, ')')))
		die(path);
	close(fd);
	sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lld", &start);
	return start;
}

static void
start(void)
{
	int in[2], out[2], err[2];
	char text[200];
	sigset_t none;
	int n;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		die("pipe");
	child = fork();
	if (child == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		setsid();
		if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0 || dup2(err[1], 2) < 0 || (spec.cwd && chdir(spec.cwd) < 0))
			_exit(127);
		execve(spec.argv[0], spec.argv, spec.env);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	stdin_fd = in[1];
	streams[0].fd = out[0];
	streams[1].fd = err[0];
	/* What came later, boot_id and the rest, is not said. */
	n = snprintf(text, sizeof(text), "shim_pid=%d%cshim_start=%lld%cagent_pid=%d%c", (int)getpid(), 0, start_time(getpid()), 0, (int)child, 0);
	frame(START, text, (size_t)n);
	frame(UNKNOWN, "what=a frame of another version", 32);
}

/* Whole lines go out; at the end what is left. */
static void
read_stream(struct stream *s)
{
	ssize_t n = read(s->fd, s->line + s->len, sizeof(s->line) - s->len);
	char *end;
	size_t whole;

	if (n <= 0) {
		close(s->fd);
		s->fd = -1;
		whole = s->len;
	} else {
		s->len += (size_t)n;
		end = memrchr(s->line, '\n', s->len);
		whole = end ? (size_t)(end + 1 - s->line) : 0;
	}
	if (!whole)
		return;
	frame(s->type, s->line, whole);
	memmove(s->line, s->line + whole, s->len - whole);
	s->len -= whole;
}

static void
obey(uint8_t type, const uint8_t *p, size_t n)
{
	switch (type) {
	case INPUT:
		while (n > 0 && stdin_fd >= 0) {
			ssize_t w = write(stdin_fd, p, n);

			if (w < 0)
				break;
			p += w;
			n -= (size_t)w;
		}
		break;
	case CLOSE:
		if (stdin_fd >= 0)
			close(stdin_fd);
		stdin_fd = -1;
		break;
	case SIGNAL:
		kill(child, (int)get(p, 4));
		break;
	case STOP:
		kill(-child, get(p, 4) ? SIGTERM : SIGKILL);
		kill_at_ms = now_ms() + (int64_t)get(p, 4);
		break;
	default:
		break;
	}
}

static void
read_input(void)
{
	int fd = open(spec.input, O_RDONLY | O_CLOEXEC);
	uint8_t head[HEADER];

	while (fd >= 0 && pread(fd, head, HEADER, input_at) == HEADER) {
		size_t n = get(head + 8, 4);
		uint8_t *payload = malloc(n + 1);

		if (!payload || pread(fd, payload, n, input_at + HEADER) != (ssize_t)n) {
			free(payload);
			break;
		}
		input_at += HEADER + (off_t)n;
		if (n >= 8)
			obey(head[3], payload + 8, n - 8);
		free(payload);
	}
	if (fd >= 0)
		close(fd);
}

int
main(void)
{
	int status = 0, sig_fd;
	char text[64], bells[256];
	sigset_t set;
	int n, ended = 0;

	/* Whatever else it has is aod's, such as the lock of its root. */
	close_range(4, ~0u, 0);
	read_spec();
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	setsid();
	spool_fd = open(spec.spool, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	bell_fd = open(spec.bell, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	sig_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (spool_fd < 0 || bell_fd < 0 || sig_fd < 0)
		die("files");
	if (flock(spool_fd, LOCK_EX | LOCK_NB) < 0)
		return 0;
	start();
	read_input();
	while (!ended || streams[0].fd >= 0 || streams[1].fd >= 0) {
		struct pollfd p[] = { { sig_fd, POLLIN, 0 }, { bell_fd, POLLIN, 0 }, { streams[0].fd, POLLIN, 0 }, { streams[1].fd, POLLIN, 0 } };
		int64_t left = kill_at_ms ? kill_at_ms - now_ms() : -1;

		poll(p, 4, kill_at_ms ? (left > 0 ? (int)left : 0) : -1);
		if (kill_at_ms && now_ms() >= kill_at_ms) {
			kill(-child, SIGKILL);
			kill_at_ms = 0;
		}
		if (p[0].revents) {
			struct signalfd_siginfo info;

			while (read(sig_fd, &info, sizeof(info)) > 0)
				;
			if (waitpid(child, &status, WNOHANG) == child)
				ended = 1;
		}
		if (p[1].revents) {
			while (read(bell_fd, bells, sizeof(bells)) > 0)
				;
			read_input();
		}
		for (int i = 0; i < 2; i++)
			if (streams[i].fd >= 0 && p[2 + i].revents)
				read_stream(&streams[i]);
	}
	n = snprintf(text, sizeof(text), "status=%d%cof_later=yes%c", status, 0, 0);
	frame(UNKNOWN, "", 0);
	frame(EXIT, text, (size_t)n);
	return 0;
}

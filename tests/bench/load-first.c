/* SPDX-License-Identifier: MIT */
/*
 * From the request to the agent's first instruction. The agent is this program itself, linked statically, as `load-first stamp`: it prints
 * the monotonic clock as its first instructions read it, which stand in front of the C library's own start: that asks the processor what it is, which in
 * a virtual machine takes as long as an exec. `load-first stamp main` prints the clock of main() instead. `load-first post PORT COUNT PATH BODY` asks aod for it by HTTP (the stamp is the session's result),
 * `load-first spawn COUNT PROGRAM [ARGUMENT]...` forks and executes PROGRAM, which is to end in `load-first stamp`.
 */
#include <sys/wait.h>

#include "load.h"

#define ANSWER_MAX 65536

/* Linked with -Wl,-e,first: clock_gettime(CLOCK_MONOTONIC, &born), and on to where a program begins otherwise. */
struct timespec born = { .tv_sec = 0 };

#if defined(__x86_64__)
__asm__(".globl first\nfirst:\n\tmov $228, %eax\n\tmov $1, %edi\n\tlea born(%rip), %rsi\n\tsyscall\n\tjmp _start\n");
#elif defined(__aarch64__)
__asm__(".globl first\nfirst:\n\tmov x8, #113\n\tmov x0, #1\n\tadrp x1, born\n\tadd x1, x1, :lo12:born\n\tsvc #0\n\tb _start\n");
#endif

static int64_t *samples;
static int64_t bad;

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* The number behind mark in text; 0 when there is none. */
static int64_t
stamp_in(const char *text, const char *mark)
{
	const char *p = strstr(text, mark);

	return p ? strtoll(p + strlen(mark), NULL, 10) : 0;
}

static void
take(int64_t i, int64_t begun, int64_t stamp)
{
	if (stamp < begun)
		bad++;
	samples[i] = stamp < begun ? 0 : (stamp - begun) / 1000;
}

/* One answer with a Content-Length, whole. */
static void
read_answer(int fd, char *text)
{
	size_t n = 0;

	for (;;) {
		ssize_t r = read(fd, text + n, ANSWER_MAX - 1 - n);
		const char *body;

		if (r <= 0)
			die("read", r < 0 ? strerror(errno) : "closed");
		n += (size_t)r;
		text[n] = '\0';
		body = strstr(text, "\r\n\r\n");
		if (body && n >= (size_t)(body + 4 - text) + (size_t)stamp_in(text, "content-length: "))
			return;
		if (n == ANSWER_MAX - 1)
			die("answer", "too long");
	}
}

static void
post(int port, int64_t count, const char *path, const char *body)
{
	static char text[ANSWER_MAX], request[ANSWER_MAX];
	int fd = dial(port);
	int n = snprintf(request, sizeof(request), "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			 path, strlen(body), body);

	for (int64_t i = 0; i < count; i++) {
		int64_t begun = now_ns(), stamp;

		write_all(fd, request, (size_t)n);
		read_answer(fd, text);
		stamp = stamp_in(text, "\"result\":\"");
		if (stamp < begun && bad == 0)
			fprintf(stderr, "%s\n", text);
		take(i, begun, stamp);
	}
}

static void
spawn(int64_t count, char **argv)
{
	for (int64_t i = 0; i < count; i++) {
		int64_t begun = now_ns();
		char text[64] = "";
		int p[2], status;
		pid_t pid;

		if (pipe(p) < 0)
			die("pipe", strerror(errno));
		pid = fork();
		if (pid == 0) {
			dup2(p[1], 1);
			close(p[0]);
			close(p[1]);
			execvp(argv[0], argv);
			_exit(127);
		}
		close(p[1]);
		if (read(p[0], text, sizeof(text) - 1) < 0 || waitpid(pid, &status, 0) < 0)
			die("child", strerror(errno));
		close(p[0]);
		take(i, begun, strtoll(text, NULL, 10));
	}
}

int
main(int argc, char **argv)
{
	int64_t count;

	if ((argc == 2 || (argc == 3 && !strcmp(argv[2], "main"))) && !strcmp(argv[1], "stamp")) {
		printf("%lld\n", argc == 2 ? born.tv_sec * 1000000000LL + born.tv_nsec : (long long)now_ns());
		return 0;
	}
	if (argc < 4 || (!strcmp(argv[1], "post") && argc != 6))
		die("usage", "load-first stamp | post PORT COUNT PATH BODY | spawn COUNT PROGRAM [ARGUMENT]...");
	count = number(!strcmp(argv[1], "post") ? argv[3] : argv[2], 1, 10000000);
	samples = calloc((size_t)count, sizeof(*samples));
	if (!samples)
		die("calloc", strerror(errno));
	if (!strcmp(argv[1], "post"))
		post((int)number(argv[2], 1, 65535), count, argv[4], argv[5]);
	else
		spawn(count, argv + 3);
	printf("{\"n\":%lld,\"bad\":%lld,", (long long)count, (long long)bad);
	put_percentiles(samples, (size_t)count);
	printf("\"static\":true}\n");
	return bad ? 1 : 0;
}

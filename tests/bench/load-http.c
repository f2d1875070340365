/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.1 over kept-alive connections: load-http PORT CONNECTIONS COUNT METHOD PATH BODY [METHOD PATH BODY]...
 * Each connection sends the given requests in turn, each after the answer to the one before, until COUNT were sent by all. An empty BODY
 * is none; its first eight '#' in a row become the number of the request. Prints the time of each request from its first byte to the last byte of the answer.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "load.h"

#define ANSWER_MAX (4 << 20)
#define TURNS_MAX 8

static int port;
static int64_t count;
static char *turn[TURNS_MAX];
static int turns;
static int64_t *samples;
static atomic_llong next_one, bad, bytes;

/* Reads one answer; its status. */
static int
read_answer(int fd, char *buf)
{
	size_t n = 0, want = 0;

	for (;;) {
		ssize_t r = read(fd, buf + n, ANSWER_MAX - n - 1);
		char *end, *length;

		if (r <= 0)
			die("read", r < 0 ? strerror(errno) : "the server closed the connection");
		n += (size_t)r;
		buf[n] = '\0';
		if (!want) {
			end = strstr(buf, "\r\n\r\n");
			if (!end)
				continue;
			length = strcasestr(buf, "\r\ncontent-length:");
			if (!length || length > end)
				die("answer", "has no Content-Length");
			want = (size_t)(end + 4 - buf) + (size_t)strtoull(length + 17, NULL, 10);
			if (want >= ANSWER_MAX)
				die("answer", "too long");
		}
		if (n >= want) {
			atomic_fetch_add(&bytes, (long long)n);
			return atoi(buf + 9);
		}
	}
}

/* Where the number goes in bodies that must differ, or NULL. */
static char *
find_number(char *request)
{
	char *at = strstr(request, "\r\n\r\n");

	return at ? strstr(at, "########") : NULL;
}

static void
put_number(char *at, int64_t i)
{
	for (int k = 7; k >= 0; k--, i /= 10)
		at[k] = (char)('0' + i % 10);
}

static void *
connection(void *arg)
{
	char *buf = malloc(ANSWER_MAX), *mine[TURNS_MAX], *number_at[TURNS_MAX];
	int fd = dial(port);
	int64_t i;

	for (int k = 0; k < turns; k++) {
		mine[k] = strdup(turn[k]);
		number_at[k] = find_number(mine[k]);
	}
	for (int k = 0; (i = atomic_fetch_add(&next_one, 1)) < count; k = (k + 1) % turns) {
		int64_t begun;
		int status;

		if (number_at[k])
			put_number(number_at[k], i);
		begun = clock_us(CLOCK_MONOTONIC);
		write_all(fd, mine[k], strlen(mine[k]));
		status = read_answer(fd, buf);
		samples[i] = clock_us(CLOCK_MONOTONIC) - begun;
		if ((status < 200 || status > 299) && atomic_fetch_add(&bad, 1) == 0)
			fprintf(stderr, "load-http: %.600s\n", buf);
	}
	close(fd);
	for (int k = 0; k < turns; k++)
		free(mine[k]);
	free(buf);
	return NULL;
}

int
main(int argc, char **argv)
{
	int connections;
	int64_t begun;
	pthread_t *threads;

	if (argc < 7 || (argc - 4) % 3 || (argc - 4) / 3 > TURNS_MAX)
		die("usage", "load-http PORT CONNECTIONS COUNT METHOD PATH BODY [METHOD PATH BODY]...");
	port = (int)number(argv[1], 1, 65535);
	connections = (int)number(argv[2], 1, 1000);
	count = number(argv[3], 1, 10000000);
	for (int i = 4; i < argc; i += 3)
		if (asprintf(&turn[turns++], "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			     argv[i], argv[i + 1], strlen(argv[i + 2]), argv[i + 2]) < 0)
			die("malloc", strerror(errno));
	samples = calloc((size_t)count, sizeof(*samples));
	threads = calloc((size_t)connections, sizeof(*threads));
	if (!samples || !threads)
		die("malloc", strerror(errno));
	begun = clock_us(CLOCK_MONOTONIC);
	for (int i = 0; i < connections; i++)
		if (pthread_create(&threads[i], NULL, connection, NULL))
			die("pthread_create", "failed");
	for (int i = 0; i < connections; i++)
		pthread_join(threads[i], NULL);
	printf("{\"n\":%lld,\"seconds\":%.6f,\"bad\":%lld,\"bytes\":%lld,", (long long)count,
	       (double)(clock_us(CLOCK_MONOTONIC) - begun) / 1e6, (long long)bad, (long long)bytes);
	put_percentiles(samples, (size_t)count);
	printf("\"connections\":%d}\n", connections);
	return bad ? 1 : 0;
}

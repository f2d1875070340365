/* SPDX-License-Identifier: MIT */
/* What the load programs share: time, samples, connections, and a line of JSON at the end for tests/bench/run. */
#ifndef AOD_BENCH_LOAD_H
#define AOD_BENCH_LOAD_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LOAD_UNUSED __attribute__((unused))

LOAD_UNUSED static void
die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

LOAD_UNUSED static int64_t
clock_us(clockid_t c)
{
	struct timespec t;

	clock_gettime(c, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

LOAD_UNUSED static int64_t
number(const char *s, int64_t min, int64_t max)
{
	char *end;
	int64_t v;

	errno = 0;
	v = strtoll(s, &end, 10);
	if (errno || end == s || *end || v < min || v > max)
		die(s, "not a number in range");
	return v;
}

/* A blocking connection to a port of this machine. */
LOAD_UNUSED static int
dial(int port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		die("connect", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

LOAD_UNUSED static void
write_all(int fd, const void *p, size_t n)
{
	const char *s = p;

	while (n > 0) {
		ssize_t w = write(fd, s, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			die("write", strerror(errno));
		s += w;
		n -= (size_t)w;
	}
}

static int
by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* Sorts the samples and prints their percentiles as members of a JSON object. */
LOAD_UNUSED static void
put_percentiles(int64_t *samples, size_t n)
{
	if (n == 0)
		return;
	qsort(samples, n, sizeof(*samples), by_size);
	printf("\"p50_us\":%lld,\"p99_us\":%lld,\"max_us\":%lld,", (long long)samples[n / 2],
	       (long long)samples[n * 99 / 100], (long long)samples[n - 1]);
}

#endif

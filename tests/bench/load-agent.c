/* SPDX-License-Identifier: MIT */
/*
 * An agent that only prints: load-agent LINES BYTES [LINES_PER_SECOND]. Each line says when it was written (t=, microseconds since
 * 1970) and its number (n=), and is filled up to BYTES. Without a rate as fast as stdout takes them; with one, one write per line.
 */
#include "load.h"

#define LINE_MAX_BYTES (1 << 16)

static char out[1 << 16];
static size_t out_len;

static void
flush(void)
{
	write_all(1, out, out_len);
	out_len = 0;
}

static void
put_line(int64_t n, size_t bytes)
{
	size_t len;

	if (out_len + bytes + 64 > sizeof(out))
		flush();
	len = (size_t)snprintf(out + out_len, 64, "t=%lld n=%lld ", (long long)clock_us(CLOCK_REALTIME), (long long)n);
	if (len + 1 < bytes) {
		memset(out + out_len + len, 'x', bytes - len - 1);
		len = bytes - 1;
	}
	out[out_len + len] = '\n';
	out_len += len + 1;
}

int
main(int argc, char **argv)
{
	int64_t lines, bytes, rate = 0;
	struct timespec at;

	if (argc < 3)
		die("usage", "load-agent LINES BYTES [LINES_PER_SECOND]");
	lines = number(argv[1], 1, 1000000000);
	bytes = number(argv[2], 1, LINE_MAX_BYTES - 128);
	if (argc > 3)
		rate = number(argv[3], 1, 1000000);
	clock_gettime(CLOCK_MONOTONIC, &at);
	for (int64_t i = 1; i <= lines; i++) {
		put_line(i, (size_t)bytes);
		if (!rate)
			continue;
		flush();
		at.tv_nsec += 1000000000 / rate;
		if (at.tv_nsec >= 1000000000) {
			at.tv_nsec -= 1000000000;
			at.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	}
	flush();
	return 0;
}

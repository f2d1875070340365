/* SPDX-License-Identifier: MIT */
/*
 * WebSocket subscribers: load-ws PORT SUBSCRIBERS. Prints "ready" when all have had their init frame; ends when all have seen the
 * session_stop event of the one session that runs meanwhile. Counts events, checks that their seq has no gap and no repeat, and
 * takes the time from a line's t= (see load-agent.c) to its receipt.
 */
#include <fcntl.h>
#include <sys/epoll.h>

#include "load.h"

#define BUF_SIZE (8 << 20)
#define SILENCE_MS 20000

struct sub {
	int fd;
	char *buf;
	size_t len;
	int64_t seq;
	bool greeted, done;
};

static struct sub *subs;
static int sub_count, greeted, done;
static int64_t events, gaps, repeats, first_us, last_us, payload_bytes, reads;
static int64_t *samples;
static size_t sample_count, sample_size;

static void
handshake(int fd, int port)
{
	static const char request[] = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	char line[512];
	size_t n = 0;

	dprintf(fd, request, port);
	/* Byte by byte, so that nothing of the first frame is taken. */
	while (n < sizeof(line) - 1 && read(fd, line + n, 1) == 1) {
		line[++n] = '\0';
		if (n >= 4 && !memcmp(line + n - 4, "\r\n\r\n", 4))
			break;
	}
	if (strncmp(line, "HTTP/1.1 101", 12))
		die("handshake", line);
}

static void
take_sample(int64_t us)
{
	if (sample_count == sample_size) {
		sample_size = sample_size ? sample_size * 2 : 1 << 16;
		samples = realloc(samples, sample_size * sizeof(*samples));
		if (!samples)
			die("realloc", strerror(errno));
	}
	samples[sample_count++] = us;
}

/* The number after the last `"seq":` of an event frame, which is near its end. */
static int64_t
seq_of(const char *p, size_t n)
{
	size_t from = n > 60 ? n - 60 : 0;
	const char *s = memmem(p + from, n - from, "\"seq\":", 6);

	return s ? strtoll(s + 6, NULL, 10) : -1;
}

static void
on_event(struct sub *s, const char *p, size_t n, int64_t wall)
{
	int64_t seq = seq_of(p, n);
	const char *t;

	events++;
	payload_bytes += (int64_t)n;
	last_us = clock_us(CLOCK_MONOTONIC);
	if (!first_us)
		first_us = last_us;
	if (seq > s->seq + 1)
		gaps++;
	else if (seq <= s->seq)
		repeats++;
	s->seq = seq;
	t = memmem(p, n, "\"t=", 3);
	if (t)
		take_sample(wall - strtoll(t + 3, NULL, 10));
	else if (memmem(p, n, "\"event_type\":\"session_stop\"", 27) && !s->done) {
		s->done = true;
		done++;
	}
}

static void
on_frame(struct sub *s, int opcode, const char *p, size_t n, int64_t wall)
{
	if (opcode == 8)
		die("WebSocket", "closed by the server");
	if (opcode != 1)
		return;
	if (n > 15 && !memcmp(p, "{\"type\":\"event\"", 15)) {
		on_event(s, p, n, wall);
	} else if (!s->greeted) {
		s->greeted = true;
		greeted++;
	}
}

static void
readable(struct sub *s)
{
	ssize_t r = read(s->fd, s->buf + s->len, BUF_SIZE - s->len);
	int64_t wall = clock_us(CLOCK_REALTIME);
	size_t at = 0;

	if (r < 0 && errno == EAGAIN)
		return;
	if (r <= 0)
		die("read", r < 0 ? strerror(errno) : "closed");
	reads++;
	s->len += (size_t)r;
	while (s->len - at >= 2) {
		const uint8_t *h = (const uint8_t *)s->buf + at;
		uint64_t n = h[1] & 0x7f;
		size_t head = n == 126 ? 4 : n == 127 ? 10 : 2;

		if (s->len - at < head)
			break;
		if (head > 2) {
			n = 0;
			for (size_t i = 2; i < head; i++)
				n = n << 8 | h[i];
		}
		if (n > BUF_SIZE - head)
			die("frame", "too long");
		if (s->len - at < head + n)
			break;
		on_frame(s, h[0] & 15, s->buf + at + head, n, wall);
		at += head + n;
	}
	memmove(s->buf, s->buf + at, s->len - at);
	s->len -= at;
}

int
main(int argc, char **argv)
{
	struct epoll_event ev[128];
	int port, ep = epoll_create1(EPOLL_CLOEXEC);
	bool told = false;

	if (argc != 3)
		die("usage", "load-ws PORT SUBSCRIBERS");
	port = (int)number(argv[1], 1, 65535);
	sub_count = (int)number(argv[2], 1, 10000);
	subs = calloc((size_t)sub_count, sizeof(*subs));
	for (int i = 0; i < sub_count; i++) {
		struct epoll_event want = { .events = EPOLLIN, .data.ptr = &subs[i] };

		subs[i].buf = malloc(BUF_SIZE);
		subs[i].fd = dial(port);
		handshake(subs[i].fd, port);
		fcntl(subs[i].fd, F_SETFL, O_NONBLOCK);
		epoll_ctl(ep, EPOLL_CTL_ADD, subs[i].fd, &want);
	}
	while (done < sub_count) {
		int n = epoll_wait(ep, ev, 128, SILENCE_MS);

		if (n == 0)
			die("epoll_wait", "nothing came for 20 seconds");
		for (int i = 0; i < n; i++)
			readable(ev[i].data.ptr);
		if (!told && greeted == sub_count) {
			told = true;
			printf("ready\n");
			fflush(stdout);
		}
	}
	printf("{\"subscribers\":%d,\"events\":%lld,\"timed\":%zu,\"gaps\":%lld,\"repeats\":%lld,\"bytes\":%lld,\"reads\":%lld,", sub_count,
	       (long long)events, sample_count, (long long)gaps, (long long)repeats, (long long)payload_bytes, (long long)reads);
	put_percentiles(samples, sample_count);
	printf("\"first_us\":%lld,\"last_us\":%lld,\"cpu_us\":%lld}\n", (long long)first_us, (long long)last_us,
	       (long long)clock_us(CLOCK_PROCESS_CPUTIME_ID));
	return gaps || repeats ? 1 : 0;
}

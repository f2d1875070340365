/* SPDX-License-Identifier: MIT */
/*
 * A WebSocket subscriber for trials and benches: ws-client HOST:PORT [-a AFTER] [-n EVENTS] [-t
 *SECONDS] [-c CLIENTS] [-s]. Connects to /ws, receives until it has seen so many event frames (all
 *clients together) or the time is over, and prints
 *
 *	events=N changes=N seconds=S events_per_s=R bytes=N last_id=N p50_us=N p99_us=N max_us=N
 *
 * p50 and p99 (-1 = none) are the times from a "t=<microseconds since the epoch>" in an event's
 *text to its receipt. The ids of each client must grow; a frame that breaks this ends the program
 *with status 2. -s: print "ready" after the first init frame.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 4000
#define BUFFER_START (256u << 10)
#define FRAME_BYTES_MAX (64u << 20)
#define SAMPLES_MAX 4000000
#define TAIL 80 /* the id of a frame is in its last bytes */

struct client {
	int fd;
	char *data;
	size_t len, cap;
	bool open; /* the answer to the handshake was read */
	int64_t id;
};

static struct client clients[CLIENTS_MAX];
static int64_t events, changes, inits, bytes, last_id, wanted = INT64_MAX;
static int64_t *samples;
static size_t sample_count;
static bool say_ready;

static int64_t
clock_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
die(const char *what)
{
	fprintf(stderr, "ws-client: %s: %s\n", what, errno ? strerror(errno) : "not understood");
	exit(2);
}

static int
dial(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	int fd;

	if (getaddrinfo(host, port, &hints, &list) != 0)
		die(host);
	fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, list->ai_addr, list->ai_addrlen) < 0)
		die("connect");
	freeaddrinfo(list);
	return fd;
}

static void
start(struct client *c, const char *host, const char *port, int64_t after)
{
	char request[512], query[64] = "";
	int n;

	if (after >= 0)
		snprintf(query, sizeof(query), "?after=%lld", (long long)after);
	n = snprintf(
		request, sizeof(request),
		"GET /ws%s HTTP/1.1\r\nHost: %.200s\r\nUpgrade: websocket\r\nConnection: "
		"Upgrade\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
		query, host);
	c->fd = dial(host, port);
	if (write(c->fd, request, (size_t)n) != n)
		die("write");
	c->cap = BUFFER_START;
	c->data = malloc(c->cap);
	if (!c->data)
		die("memory");
}

static int64_t
number_after(const char *p, size_t n, const char *key)
{
	const char *s = memmem(p, n, key, strlen(key));

	return s ? strtoll(s + strlen(key), NULL, 10) : -1;
}

static void
take_text(struct client *c, const char *p, size_t n, int64_t now)
{
	size_t tail = n < TAIL ? n : TAIL;
	const char *end = p + n, *s = NULL;
	int64_t id, sent;

	/* The last "id": of the frame is its own. */
	for (const char *q = end - tail; (q = memmem(q, (size_t)(end - q), "\"id\":", 5)) != NULL;
	     q++)
		s = q;
	id = s ? strtoll(s + 5, NULL, 10) : -1;
	bytes += (int64_t)n;
	if (n > 15 && memcmp(p, "{\"type\":\"init\"", 14) == 0) {
		if (++inits == 1 && say_ready) {
			puts("ready");
			fflush(stdout);
		}
		return;
	}
	if (id <= c->id) {
		fprintf(stderr, "ws-client: id %lld after %lld\n", (long long)id, (long long)c->id);
		exit(2);
	}
	c->id = last_id = id;
	if (memcmp(p, "{\"type\":\"event\"", 15) != 0) {
		changes++;
		return;
	}
	events++;
	sent = number_after(p, n, "t=");
	if (sent > 0 && sample_count < SAMPLES_MAX)
		samples[sample_count++] = now - sent;
}

/* The bytes of the first frame in (p, n), 0 when it is not complete. */
static size_t
take_frame(struct client *c, const unsigned char *p, size_t n, int64_t now)
{
	uint64_t len;
	size_t head = 2;

	if (n < 2)
		return 0;
	len = p[1] & 0x7f;
	if (len == 126)
		head = 4;
	else if (len == 127)
		head = 10;
	if (n < head)
		return 0;
	if (head > 2) {
		len = 0;
		for (size_t i = 2; i < head; i++)
			len = len << 8 | p[i];
	}
	if (len > FRAME_BYTES_MAX)
		die("frame too large");
	if (n < head + len)
		return 0;
	if (p[0] == 0x81)
		take_text(c, (const char *)p + head, len, now);
	else if ((p[0] & 0x0f) == 8)
		die("closed by the server");
	return head + len;
}

static void
take_handshake(struct client *c, size_t *at)
{
	const char *end = memmem(c->data, c->len, "\r\n\r\n", 4);

	if (!end)
		return;
	if (memcmp(c->data, "HTTP/1.1 101", 12) != 0) {
		fprintf(stderr, "ws-client: %.*s\n", (int)c->len, c->data);
		exit(2);
	}
	c->open = true;
	*at = (size_t)(end + 4 - c->data);
}

static void
receive(struct client *c)
{
	size_t at = 0, used;
	ssize_t n;
	int64_t now;

	if (c->len == c->cap) {
		c->cap *= 2;
		c->data = realloc(c->data, c->cap);
		if (!c->data)
			die("memory");
	}
	n = read(c->fd, c->data + c->len, c->cap - c->len);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		errno = n < 0 ? errno : ECONNRESET;
		die("read");
	}
	c->len += (size_t)n;
	now = clock_us(CLOCK_REALTIME);
	if (!c->open)
		take_handshake(c, &at);
	if (!c->open)
		return;
	while ((used = take_frame(c, (unsigned char *)c->data + at, c->len - at, now)) > 0)
		at += used;
	memmove(c->data, c->data + at, c->len - at);
	c->len -= at;
}

static int
compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int64_t
percentile(double part)
{
	return sample_count ? samples[(size_t)(part * (double)(sample_count - 1))] : -1;
}

static void
report(int64_t us)
{
	double seconds = (double)us / 1e6;

	qsort(samples, sample_count, sizeof(*samples), compare);
	printf("events=%lld changes=%lld seconds=%.3f events_per_s=%.0f bytes=%lld last_id=%lld "
	       "p50_us=%lld p99_us=%lld max_us=%lld\n",
	       (long long)events, (long long)changes, seconds,
	       seconds > 0 ? (double)events / seconds : 0, (long long)bytes, (long long)last_id,
	       (long long)percentile(0.5), (long long)percentile(0.99), (long long)percentile(1));
}

static void
run(int count, int64_t limit_us)
{
	static struct pollfd fds[CLIENTS_MAX];
	int64_t begin = clock_us(CLOCK_MONOTONIC), first = 0, last = 0;

	for (int i = 0; i < count; i++)
		fds[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
	while (events < wanted) {
		int64_t now = clock_us(CLOCK_MONOTONIC), seen = events;

		if (now - begin >= limit_us)
			break;
		if (poll(fds, (nfds_t)count, (int)((begin + limit_us - now) / 1000 + 1)) < 0 &&
		    errno != EINTR)
			die("poll");
		for (int i = 0; i < count; i++)
			if (fds[i].revents)
				receive(&clients[i]);
		if (events > seen) {
			last = clock_us(CLOCK_MONOTONIC);
			if (!first)
				first = last;
		}
	}
	report(last - first);
}

int
main(int argc, char **argv)
{
	int64_t after = -1;
	double limit_s = 10;
	int c, count = 1;
	char *colon;

	while ((c = getopt(argc, argv, "a:n:t:c:s")) != -1) {
		switch (c) {
		case 'a':
			after = strtoll(optarg, NULL, 10);
			break;
		case 'n':
			wanted = strtoll(optarg, NULL, 10);
			break;
		case 't':
			limit_s = strtod(optarg, NULL);
			break;
		case 'c':
			count = atoi(optarg);
			break;
		case 's':
			say_ready = true;
			break;
		default:
			return 1;
		}
	}
	if (optind + 1 != argc || !(colon = strrchr(argv[optind], ':')) || count < 1 ||
	    count > CLIENTS_MAX) {
		fprintf(stderr, "usage: ws-client HOST:PORT [-a AFTER] [-n EVENTS] [-t SECONDS] "
				"[-c CLIENTS] [-s]\n");
		return 1;
	}
	*colon = '\0';
	samples = calloc(SAMPLES_MAX, sizeof(*samples));
	if (!samples)
		die("memory");
	for (int i = 0; i < count; i++)
		start(&clients[i], argv[optind], colon + 1, after);
	errno = 0;
	run(count, (int64_t)(limit_s * 1e6));
	return 0;
}

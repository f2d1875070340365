/* SPDX-License-Identifier: MIT */
/* Messages over a socketpair: pieces, many at once, large ones, bells, and the ends of a connection. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "wire/wire.h"

struct pair {
	struct wire a;
	struct wire b;
};

static int
set_up(void **state)
{
	struct pair *p = xcalloc(1, sizeof(*p));
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	wire_init(&p->a, fds[0]);
	wire_init(&p->b, fds[1]);
	*state = p;
	return 0;
}

static int
tear_down(void **state)
{
	struct pair *p = *state;

	wire_done(&p->a);
	wire_done(&p->b);
	wire_done(&p->b); /* a second time does no harm */
	free(p);
	return 0;
}

static void
raw_write(struct wire *w, const char *text)
{
	assert_int_equal(write(w->fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void
assert_next(struct wire *w, const char *want)
{
	size_t len = 12345;
	const char *m = wire_next(w, &len);

	if (!want) {
		assert_null(m);
		return;
	}
	assert_non_null(m);
	assert_int_equal(len, strlen(want));
	assert_string_equal(m, want); /* NUL-terminated too */
}

static void
test_nothing(void **state)
{
	struct pair *p = *state;

	assert_true(fcntl(p->a.fd, F_GETFL) & O_NONBLOCK);
	assert_next(&p->a, NULL);
	assert_int_equal(wire_read(&p->a), 0);
	assert_next(&p->a, NULL);
	assert_int_equal(wire_flush(&p->a), 0);
}

static void
test_pieces(void **state)
{
	static const char text[] = "{\"a\":1}\n\n{\"b\":2}\n{\"c";
	struct pair *p = *state;
	int got = 0;

	/* A byte at a time. */
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		size_t len;

		assert_int_equal(write(p->a.fd, text + i, 1), 1);
		assert_int_equal(wire_read(&p->b), 0);
		while (wire_next(&p->b, &len))
			assert_int_equal(len, got++ == 1 ? 0 : 7);
	}
	assert_int_equal(got, 3);
	raw_write(&p->a, "\":3}\n{\"d\":4}\n{");
	assert_int_equal(wire_read(&p->b), 0);
	assert_next(&p->b, "{\"c\":3}");
	/* What was not taken yet stays over a read. */
	raw_write(&p->a, "}\n");
	assert_int_equal(wire_read(&p->b), 0);
	assert_next(&p->b, "{\"d\":4}");
	assert_next(&p->b, "{}");
	assert_next(&p->b, NULL);
	assert_next(&p->b, NULL);
}

static void
test_valid_until_read(void **state)
{
	struct pair *p = *state;
	const char *one, *two;
	size_t len;

	raw_write(&p->a, "one\ntwo\nthr");
	assert_int_equal(wire_read(&p->b), 0);
	one = wire_next(&p->b, &len);
	two = wire_next(&p->b, &len);
	assert_next(&p->b, NULL);
	assert_string_equal(one, "one");
	assert_string_equal(two, "two");
}

static void
test_many(void **state)
{
	enum { MESSAGES = 20000 };
	struct pair *p = *state;
	int sent = 0, got = 0, waited = 0;

	while (got < MESSAGES) {
		char text[32];
		const char *m;
		size_t len;

		while (sent < MESSAGES) {
			snprintf(text, sizeof(text), "{\"id\":%d}", sent++);
			wire_send(&p->a, text, strlen(text));
		}
		waited += wire_flush(&p->a);
		assert_int_equal(wire_read(&p->b), 0);
		while ((m = wire_next(&p->b, &len))) {
			snprintf(text, sizeof(text), "{\"id\":%d}", got++);
			assert_string_equal(m, text);
		}
	}
	assert_true(waited > 0); /* the socket was full at times, so that path was taken */
	assert_int_equal(wire_flush(&p->a), 0);
}

static void
test_large(void **state)
{
	enum { SIZE = 30 << 20 };
	struct pair *p = *state;
	char *text = xmalloc(SIZE);
	const char *m = NULL;
	size_t len = 0;
	int64_t start = mono_us();
	int r;

	for (size_t i = 0; i < SIZE; i++)
		text[i] = 'a' + i % 23;
	wire_send(&p->a, "first", 5);
	wire_send(&p->a, text, SIZE);
	wire_send(&p->a, "last", 4);
	do {
		r = wire_flush(&p->a);
		assert_true(r == 0 || r == 1);
		assert_int_equal(wire_read(&p->b), 0);
		if (!m) {
			m = wire_next(&p->b, &len);
			if (m && len == 5)
				m = NULL;
		}
	} while (r == 1);
	print_message("# a message of 30 MiB: %.0f ms\n", (mono_us() - start) / 1000.0);
	if (!m)
		m = wire_next(&p->b, &len);
	assert_non_null(m);
	assert_int_equal(len, SIZE);
	assert_memory_equal(m, text, SIZE);
	assert_next(&p->b, "last");
	assert_int_equal(wire_read(&p->b), 0);
	assert_true(p->b.in.cap <= (1 << 20)); /* the memory is given back */
	assert_true(p->a.out.cap <= (1 << 20));
	free(text);
}

static void
test_bell(void **state)
{
	struct pair *p = *state;

	wire_bell(&p->a, 5);
	wire_bell(&p->a, 7);
	wire_bell(&p->a, 6); /* merged, and never backwards */
	assert_int_equal(wire_flush(&p->a), 0);
	wire_bell(&p->a, 8);
	wire_send(&p->a, "{\"id\":1}", 8); /* the bell goes first */
	wire_send(&p->a, "{\"id\":2}", 8);
	wire_bell(&p->a, 9);
	wire_bell(&p->a, 10);
	assert_int_equal(wire_flush(&p->a), 0);
	assert_int_equal(wire_flush(&p->a), 0);
	assert_int_equal(wire_read(&p->b), 0);
	assert_next(&p->b, "{\"bell\":7}");
	assert_next(&p->b, "{\"bell\":8}");
	assert_next(&p->b, "{\"id\":1}");
	assert_next(&p->b, "{\"id\":2}");
	assert_next(&p->b, "{\"bell\":10}");
	assert_next(&p->b, NULL);
}

/* A reader that does not read: bells take no memory. */
static void
test_bell_merged(void **state)
{
	struct pair *p = *state;
	char text[1000], want[40];
	const char *m, *last = NULL;
	size_t len, size;

	memset(text, 'x', sizeof(text));
	do
		wire_send(&p->a, text, sizeof(text));
	while (wire_flush(&p->a) == 0);
	size = p->a.out.len;
	for (int i = 1; i <= 100000; i++) {
		wire_bell(&p->a, i);
		if (i % 1000 == 0)
			assert_int_equal(wire_flush(&p->a), 1);
	}
	assert_int_equal(p->a.out.len, size);
	while (wire_flush(&p->a) == 1)
		assert_int_equal(wire_read(&p->b), 0);
	assert_int_equal(wire_read(&p->b), 0);
	while ((m = wire_next(&p->b, &len)))
		last = m;
	snprintf(want, sizeof(want), "{\"bell\":%d}", 100000);
	assert_string_equal(last, want);
}

static void
test_peer_gone(void **state)
{
	struct pair *p = *state;

	raw_write(&p->b, "{\"last\":1}\n{\"cut");
	wire_done(&p->b);
	/* What came before the end is there. */
	assert_int_equal(wire_read(&p->a), -EPIPE);
	assert_next(&p->a, "{\"last\":1}");
	assert_next(&p->a, NULL);
	assert_int_equal(wire_read(&p->a), -EPIPE);
	wire_send(&p->a, "{}", 2);
	assert_int_equal(wire_flush(&p->a), -EPIPE); /* and no SIGPIPE */
}

/* A peer that went without reading what was sent to it: ECONNRESET at the socket. */
static void
test_peer_reset(void **state)
{
	struct pair *p = *state;

	wire_send(&p->a, "{}", 2);
	assert_int_equal(wire_flush(&p->a), 0);
	wire_done(&p->b);
	assert_int_equal(wire_read(&p->a), -EPIPE);
}

static void
test_bad_descriptor(void **state)
{
	struct wire w;

	wire_init(&w, open("/dev/null", O_WRONLY | O_CLOEXEC));
	assert_int_equal(wire_read(&w), -ENOTSOCK);
	wire_send(&w, "{}", 2);
	assert_int_equal(wire_flush(&w), -ENOTSOCK);
	wire_done(&w);
}

/* Send n bytes and, when they all went, a newline. Returns what wire_read() said at last. */
static int
send_long(struct pair *p, size_t n, const char *before, const char *after)
{
	static char chunk[65536];
	size_t left = n;
	int r = 0;

	memset(chunk, 'x', sizeof(chunk));
	raw_write(&p->a, before);
	while (left > 0 && r == 0) {
		ssize_t w = write(p->a.fd, chunk, left < sizeof(chunk) ? left : sizeof(chunk));

		assert_true(w > 0 || errno == EAGAIN);
		left -= w > 0 ? w : 0;
		r = wire_read(&p->b);
	}
	if (r == 0) {
		raw_write(&p->a, after);
		r = wire_read(&p->b);
	}
	return r;
}

static void
test_longest(void **state)
{
	struct pair *p = *state;
	size_t len;

	assert_int_equal(send_long(p, WIRE_MAX, "a\n", "\nb\n"), 0);
	assert_next(&p->b, "a");
	assert_non_null(wire_next(&p->b, &len));
	assert_int_equal(len, WIRE_MAX);
	assert_next(&p->b, "b");
}

static void
test_too_long(void **state)
{
	struct pair *p = *state;

	assert_int_equal(send_long(p, WIRE_MAX + 1, "a\n", ""), -EMSGSIZE);
	assert_next(&p->b, "a");
	assert_next(&p->b, NULL);
}

/* One byte too long, with its newline in the same read. */
static void
test_too_long_with_end(void **state)
{
	struct pair *p = *state;

	assert_int_equal(send_long(p, WIRE_MAX, "", "x\n"), -EMSGSIZE);
	assert_next(&p->b, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static ino_t
inode(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

/* In order, with what is before, between and behind them, also where all of it does not go out at once. */
static void
test_descriptors(void **state)
{
	struct pair *p = *state;
	char *large = xcalloc(1, 3 << 20);
	ino_t inodes[300];
	int got = 0, rc = 1;
	const char *m;
	size_t len;

	assert_int_equal(wire_take_fd(&p->b), -1);
	memset(large, 'x', (3 << 20) - 1);
	wire_send(&p->a, "{\"first\":1}", 11);
	for (int i = 0; i < 300; i++) {
		char text[32];
		int fds[2];

		assert_int_equal(pipe(fds), 0);
		close(fds[1]);
		inodes[i] = inode(fds[0]);
		wire_send_fd(&p->a, text, (size_t)snprintf(text, sizeof(text), "{\"conn\":%d}", i), fds[0]);
		if (i % 100 == 50)
			wire_send(&p->a, large, (3 << 20) - 1);
	}
	wire_send(&p->a, "{\"last\":1}", 10);
	while (rc == 1 || got < 300) {
		rc = wire_flush(&p->a);
		assert_true(rc == 0 || rc == 1);
		assert_int_equal(wire_read(&p->b), 0);
		while ((m = wire_next(&p->b, &len)) != NULL) {
			if (strncmp(m, "{\"conn\":", 8) == 0) {
				int fd = wire_take_fd(&p->b);

				assert_int_equal(atoi(m + 8), got);
				assert_true(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
				assert_true(inode(fd) == inodes[got++]);
				close(fd);
			}
		}
	}
	assert_int_equal(wire_take_fd(&p->b), -1);
	free(large);
}

/* Who sends more than are taken is cut off; nothing stays open. */
static void
test_too_many_descriptors(void **state)
{
	struct pair *p = *state;
	int fds[2], rc = 0;

	assert_int_equal(pipe(fds), 0);
	for (int i = 0; i < 2 * WIRE_FDS_MAX; i++)
		wire_send_fd(&p->a, "{}", 2, dup(fds[1]));
	close(fds[1]);
	for (int i = 0; i < 3 && rc == 0; i++) {
		wire_flush(&p->a);
		rc = wire_read(&p->b);
	}
	assert_int_equal(rc, -EPROTO);
	wire_done(&p->b);
	wire_done(&p->a);
	/* All copies of the writing end are gone. */
	assert_int_equal(read(fds[0], &rc, 1), 0);
	close(fds[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing), TEST(test_pieces), TEST(test_valid_until_read), TEST(test_many), TEST(test_large),
		TEST(test_bell), TEST(test_bell_merged), TEST(test_peer_gone), TEST(test_peer_reset),
		TEST(test_bad_descriptor), TEST(test_longest), TEST(test_too_long), TEST(test_too_long_with_end), TEST(test_descriptors),
		TEST(test_too_many_descriptors),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

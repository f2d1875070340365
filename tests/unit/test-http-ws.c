/* SPDX-License-Identifier: MIT */
/* WebSocket frames: what is sent, and the reading of what a client sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "http/ws.h"

static void
test_head(void **state)
{
	uint8_t h[WS_HEAD_MAX];

	assert_int_equal(ws_head(h, WS_TEXT, 0), 2);
	assert_memory_equal(h, "\x81\x00", 2);
	assert_int_equal(ws_head(h, WS_TEXT, 125), 2);
	assert_memory_equal(h, "\x81\x7d", 2);
	assert_int_equal(ws_head(h, WS_TEXT, 126), 4);
	assert_memory_equal(h, "\x81\x7e\x00\x7e", 4);
	assert_int_equal(ws_head(h, WS_TEXT, 65535), 4);
	assert_memory_equal(h, "\x81\x7e\xff\xff", 4);
	assert_int_equal(ws_head(h, WS_TEXT, 65536), 10);
	assert_memory_equal(h, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10);
}

static void
test_control_frame(void **state)
{
	uint8_t out[2 + WS_CONTROL_MAX];

	assert_int_equal(ws_control(out, WS_CLOSE, "\x03\xe9", 2), 4);
	assert_memory_equal(out, "\x88\x02\x03\xe9", 4);
	assert_int_equal(ws_control(out, WS_PING, NULL, 0), 2);
	assert_memory_equal(out, "\x89\x00", 2);
}

static void
test_accept(void **state)
{
	char out[WS_ACCEPT_SIZE];

	/* RFC 6455, section 1.3 */
	ws_accept("dGhlIHNhbXBsZSBub25jZQ==", 24, out);
	assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

/* ---- reading ----------------------------------------------------------------------------- */

static void
put_frame(struct buf *b, uint8_t first, const char *payload, size_t n)
{
	static const uint8_t mask[4] = {1, 2, 3, 4};
	uint8_t h[WS_HEAD_MAX];
	size_t len = ws_head(h, 0, n);

	h[0] = first;
	h[1] |= 0x80;
	buf_put(b, h, len);
	buf_put(b, mask, 4);
	for (size_t i = 0; i < n; i++)
		buf_putc(b, (char)(payload[i] ^ mask[i % 4]));
}

static void
on_control(int opcode, const uint8_t *payload, size_t n, void *arg)
{
	buf_printf(arg, "%d:%.*s;", opcode, (int)n, (const char *)payload);
}

/* Feed in pieces of every size up to 20 and whole; the outcome is the same. */
static void
check(const struct buf *in, int want_status, const char *want_seen)
{
	for (size_t step = 1; step <= 21; step++) {
		struct ws_reader *r = ws_reader_new();
		struct buf seen = BUF_INIT;
		size_t piece = step == 21 ? in->len : step;
		int status = 0;

		buf_puts(&seen, "");
		for (size_t at = 0; at < in->len && status == 0; at += piece)
			status = ws_reader_feed(r, in->data + at,
						piece < in->len - at ? piece : in->len - at,
						on_control, &seen);
		assert_int_equal(status, want_status);
		assert_string_equal(seen.data ? seen.data : "", want_seen);
		buf_free(&seen);
		ws_reader_free(r);
	}
}

static void
test_read_messages(void **state)
{
	struct buf b = BUF_INIT;
	char *big = calloc(1, WS_MESSAGE_MAX);

	assert_non_null(big);
	put_frame(&b, 0x81, "hello", 5);
	put_frame(&b, 0x89, "ping", 4);
	put_frame(&b, 0x01, "part", 4);
	put_frame(&b, 0x8a, "", 0);
	put_frame(&b, 0x00, "", 0);
	put_frame(&b, 0x80, "end", 3);
	put_frame(&b, 0x82, big, WS_MESSAGE_MAX);
	put_frame(&b, 0x81, "", 0);
	put_frame(&b, 0x88, "\x03\xe8", 2);
	check(&b, 0, "9:ping;10:;8:\x03\xe8;");
	free(big);
	buf_free(&b);
}

static void
test_read_too_large(void **state)
{
	struct buf b = BUF_INIT;
	char *big = calloc(1, WS_MESSAGE_MAX + 1);

	assert_non_null(big);
	put_frame(&b, 0x81, big, WS_MESSAGE_MAX + 1);
	check(&b, 1009, "");
	b.len = 0;
	put_frame(&b, 0x01, big, WS_MESSAGE_MAX);
	put_frame(&b, 0x80, big, 1);
	check(&b, 1009, "");
	/* A length near 2^63 must not wrap around. */
	b.len = 0;
	put_frame(&b, 0x01, big, 1);
	buf_put(&b, "\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04xyz", 17);
	check(&b, 1009, "");
	free(big);
	buf_free(&b);
}

static void
check_bytes(const char *p, size_t n, int status)
{
	struct buf b = BUF_INIT;

	buf_put(&b, p, n);
	check(&b, status, "");
	buf_free(&b);
}

static void
test_read_broken(void **state)
{
	struct buf b = BUF_INIT;
	char big[126] = "";

	check_bytes("\x81\x05hello", 7, 1002);             /* not masked */
	check_bytes("\xc1\x81\x01\x02\x03\x04x", 7, 1002); /* a reserved bit */
	check_bytes("\x83\x81\x01\x02\x03\x04x", 7, 1002); /* an unknown opcode */
	check_bytes("\x8b\x81\x01\x02\x03\x04x", 7, 1002); /* an unknown control opcode */
	check_bytes("\x09\x81\x01\x02\x03\x04x", 7, 1002); /* a ping in fragments */
	check_bytes("\x80\x81\x01\x02\x03\x04x", 7, 1002); /* the end of no message */
	put_frame(&b, 0x89, big, sizeof(big));             /* too long for a ping */
	check(&b, 1002, "");
	b.len = 0;
	put_frame(&b, 0x01, "a", 1);
	put_frame(&b, 0x81, "b", 1); /* a message within a message */
	check(&b, 1002, "");
	buf_free(&b);
}

static void
test_read_noise(void **state)
{
	uint32_t seed = 1;

	for (int round = 0; round < 2000; round++) {
		struct ws_reader *r = ws_reader_new();
		struct buf seen = BUF_INIT;
		char noise[300];
		int status;

		for (size_t i = 0; i < sizeof(noise); i++) {
			seed = seed * 1664525 + 1013904223;
			noise[i] = (char)(seed >> 24);
		}
		/* So that it gets past the first look more often. */
		noise[0] = (char)0x81;
		noise[1] |= (char)0x80;
		status = ws_reader_feed(r, noise, sizeof(noise), on_control, &seen);
		assert_true(status == 0 || status == 1002 || status == 1009);
		buf_free(&seen);
		ws_reader_free(r);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head),           cmocka_unit_test(test_control_frame),
		cmocka_unit_test(test_accept),         cmocka_unit_test(test_read_messages),
		cmocka_unit_test(test_read_too_large), cmocka_unit_test(test_read_broken),
		cmocka_unit_test(test_read_noise),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

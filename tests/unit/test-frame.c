/* SPDX-License-Identifier: MIT */
/* frame.c */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/frame.h"

static void
put_frame(struct buf *b, uint8_t type, uint8_t flags, int64_t t, const char *p1, size_t n1,
	  const char *p2, size_t n2)
{
	uint8_t head[FRAME_HEADER];

	frame_header(head, type, flags, t, p1, n1, p2, n2);
	buf_put(b, head, sizeof(head));
	buf_put(b, p1, n1);
	if (n2 > 0)
		buf_put(b, p2, n2);
}

/* The format is frozen: these bytes never change. */
static void
test_golden(void **state)
{
	static const uint8_t want[] = {0xa0, 0xd1, 1,    2,    1,    0,    0,    0,    5,    0,
				       0,    0,    0x8e, 0x4f, 0xff, 0x0c, 0x08, 0x07, 0x06, 0x05,
				       0x04, 0x03, 0x02, 0x01, 'h',  'e',  'l',  'l',  'o'};
	struct buf b = BUF_INIT;

	put_frame(&b, FRAME_STDOUT, FRAME_MORE, 0x0102030405060708, "hello", 5, NULL, 0);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
	buf_free(&b);
}

static void
test_round_trip(void **state)
{
	struct buf b = BUF_INIT;
	struct frame f;

	put_frame(&b, FRAME_INPUT, 0, 1795342945123456, "12345678", 8, "payload", 7);
	put_frame(&b, 250, 7, -5, "", 0, NULL, 0);
	assert_int_equal(frame_parse(b.data, b.len, &f), FRAME_HEADER + 15);
	assert_int_equal(f.type, FRAME_INPUT);
	assert_int_equal(f.flags, 0);
	assert_int_equal(f.len, 15);
	assert_true(f.time_us == 1795342945123456);
	assert_memory_equal(f.payload, "12345678payload", 15);
	assert_int_equal(frame_parse(b.data + FRAME_HEADER + 15, b.len - FRAME_HEADER - 15, &f),
			 FRAME_HEADER);
	assert_int_equal(f.type, 250);
	assert_int_equal(f.flags, 7);
	assert_true(f.time_us == -5);
	assert_int_equal(f.len, 0);
	buf_free(&b);
}

static void
test_cut_and_damaged(void **state)
{
	struct buf b = BUF_INIT;
	struct frame f;

	put_frame(&b, FRAME_STDERR, 0, 99, "some text", 9, NULL, 0);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(frame_parse(b.data, n, &f), 0);
	/* Each bit matters, but where the length says that more is to come. */
	for (size_t i = 0; i < b.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			int64_t r;

			b.data[i] ^= (char)(1 << bit);
			r = frame_parse(b.data, b.len, &f);
			if (i >= 8 && i < 12)
				assert_true(r == 0 || r == -EBADMSG);
			else
				assert_int_equal(r, -EBADMSG);
			b.data[i] ^= (char)(1 << bit);
		}
	assert_int_equal(frame_parse(b.data, b.len, &f), b.len);
	assert_int_equal(frame_parse("x", 1, &f), -EBADMSG);
	assert_int_equal(frame_parse("\xa0\xd1\2", 3, &f), -EBADMSG);
	assert_int_equal(frame_parse("", 0, &f), 0);
	buf_free(&b);
}

static void
test_largest(void **state)
{
	struct buf b = BUF_INIT;
	char *big = calloc(1, FRAME_MAX + 1);
	struct frame f;

	assert_non_null(big);
	put_frame(&b, FRAME_STDOUT, 0, 0, big, FRAME_MAX, NULL, 0);
	assert_int_equal(frame_parse(b.data, b.len, &f), b.len);
	buf_reset(&b);
	put_frame(&b, FRAME_STDOUT, 0, 0, big, FRAME_MAX + 1, NULL, 0);
	assert_int_equal(frame_parse(b.data, b.len, &f), -EBADMSG);
	/* Said at once, not when all of it is there. */
	assert_int_equal(frame_parse(b.data, FRAME_HEADER, &f), -EBADMSG);
	free(big);
	buf_free(&b);
}

static void
test_fields(void **state)
{
	static const char text[] = "pid=12\0empty=\0pid2=3\0=odd\0loose\0s=a=b";
	struct frame f = {.payload = text, .len = sizeof(text)};

	assert_string_equal(frame_field(&f, "pid"), "12");
	assert_string_equal(frame_field(&f, "pid2"), "3");
	assert_string_equal(frame_field(&f, "empty"), "");
	assert_string_equal(frame_field(&f, "s"), "a=b");
	assert_null(frame_field(&f, "loose"));
	assert_null(frame_field(&f, "pi"));
	assert_null(frame_field(&f, "missing"));
	/* The last pair has lost its end. */
	f.len = sizeof(text) - 1;
	assert_null(frame_field(&f, "s"));
	f.len = 0;
	assert_null(frame_field(&f, "pid"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),          cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_cut_and_damaged), cmocka_unit_test(test_largest),
		cmocka_unit_test(test_fields),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}

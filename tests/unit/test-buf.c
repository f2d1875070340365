/* SPDX-License-Identifier: MIT */
/* buf.c */
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

static void
test_growth(void **state)
{
	struct buf b = BUF_INIT;
	char *s;

	s = buf_steal(&b);
	assert_string_equal(s, "");
	free(s);
	buf_reset(&b);
	buf_consume(&b, 5);
	assert_int_equal(b.len, 0);
	for (int i = 0; i < 100000; i++) {
		buf_putc(&b, (char)('a' + i % 26));
		assert_int_equal(b.data[b.len], '\0');
	}
	assert_int_equal(b.len, 100000);
	assert_int_equal(b.data[99999], 'a' + 99999 % 26);
	buf_consume(&b, 99990);
	assert_int_equal(b.len, 10);
	assert_int_equal(b.data[0], 'a' + 99990 % 26);
	buf_consume(&b, 50);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	buf_reserve(&b, 3u << 20);
	assert_true(b.cap > 3u << 20);
	buf_reset(&b);
	assert_int_equal(b.cap, 0);
	buf_put(&b, NULL, 0);
	assert_string_equal(b.data, "");
	buf_puts(&b, "abc");
	s = buf_steal(&b);
	assert_string_equal(s, "abc");
	assert_null(b.data);
	free(s);
	buf_free(&b);
}

static void
test_printf(void **state)
{
	struct buf b = BUF_INIT;
	char big[5000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	buf_printf(&b, "%d-%s", 5, "y");
	assert_string_equal(b.data, "5-y");
	buf_printf(&b, "%s|%d", big, 7);
	assert_int_equal(b.len, 3 + 4999 + 2);
	assert_string_equal(b.data + 3 + 4999, "|7");
	buf_reset(&b);
	buf_put_int(&b, 0);
	buf_putc(&b, ' ');
	buf_put_int(&b, INT64_MIN);
	buf_putc(&b, ' ');
	buf_put_int(&b, INT64_MAX);
	buf_putc(&b, ' ');
	buf_put_int(&b, -7);
	assert_string_equal(b.data, "0 -9223372036854775808 9223372036854775807 -7");
	buf_free(&b);
}

#define BAD "\xef\xbf\xbd"

static void
test_json(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		int valid;
		const char *out;
	} cases[] = {
		{"", 0, 1, "\"\""},
		{"plain", 5, 1, "\"plain\""},
		{"a\"b\\c/", 6, 1, "\"a\\\"b\\\\c/\""},
		{"\n\r\t\b\f\0\x1f\x7f", 8, 1, "\"\\n\\r\\t\\u0008\\u000c\\u0000\\u001f\x7f\""},
		{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, 1,
		 "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\""},
		{"x\xff"
		 "y",
		 3, 0, "\"x" BAD "y\""},
		{"\xc3", 1, 0, "\"" BAD "\""}, /* cut */
		{"\xe2\x82", 2, 0, "\"" BAD BAD "\""},
		{"\xc0\xaf", 2, 0, "\"" BAD BAD "\""}, /* overlong */
		{"\xe0\x80\xaf", 3, 0, "\"" BAD BAD BAD "\""},
		{"\xf0\x80\x80\xaf", 4, 0, "\"" BAD BAD BAD BAD "\""},
		{"\xed\xa0\x80", 3, 0, "\"" BAD BAD BAD "\""},         /* surrogate */
		{"\xf4\x90\x80\x80", 4, 0, "\"" BAD BAD BAD BAD "\""}, /* above U+10FFFF */
		{"\xf4\x8f\xbf\xbf", 4, 1, "\"\xf4\x8f\xbf\xbf\""},
		{"\xe2(\xa1", 3, 0, "\"" BAD "(" BAD "\""},
	};
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&b);
		assert_int_equal(buf_put_json(&b, cases[i].in, cases[i].n), cases[i].valid);
		assert_string_equal(b.data, cases[i].out);
	}
	buf_reset(&b);
	assert_int_equal(buf_put_json_str(&b, NULL), 1);
	assert_int_equal(buf_put_json_str(&b, "\xff"), 0);
	assert_string_equal(b.data, "null\"" BAD "\"");
	buf_free(&b);
}

static void
test_base64(void **state)
{
	/* RFC 4648, section 10 */
	static const char *const cases[][2] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
	};
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&b);
		buf_put_base64(&b, cases[i][0], strlen(cases[i][0]));
		assert_string_equal(b.data, cases[i][1]);
	}
	buf_reset(&b);
	buf_put_base64(&b, "\xff\xfe\xfd\x00", 4);
	assert_string_equal(b.data, "//79AA==");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_printf),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_base64),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}

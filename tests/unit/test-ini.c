/* SPDX-License-Identifier: MIT */
/* ini.c */
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
#include "base/ini.h"
#include "base/util.h"

static int
print_item(const struct ini_item *it, void *arg)
{
	struct buf *b = arg;

	if (it->key)
		buf_printf(b, "%d:%d:%d [%s] %s=%s\n", it->line, it->column, it->value_column,
			   it->section, it->key, it->value);
	else
		buf_printf(b, "%d:%d [%s] ! %.20s\n", it->line, it->column, it->section, it->value);
	return 0;
}

static void
check(const char *text, const char *want)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "");
	assert_int_equal(ini_parse(text, strlen(text), print_item, &b), 0);
	assert_string_equal(b.data, want);
	buf_free(&b);
}

static void
test_lines(void **state)
{
	check("", "");
	check("\n\n  \n# comment\n ; other\n", "");
	check("[A]\nKey=value\n", "2:1:5 [A] Key=value\n");
	check("[A]\nKey=value", "2:1:5 [A] Key=value\n");
	check("Key=value\n", "1:1:5 [] Key=value\n");
	check("[A]\r\n  Key \t= \t a b \t\r\n", "2:3:12 [A] Key=a b\n");
	check("\xef\xbb\xbf[A]\nK=v # no comment\n", "2:1:3 [A] K=v # no comment\n");
	check("[A]\nK=\nK==x\n[B]\n K=1\n", "2:1:3 [A] K=\n3:1:3 [A] K==x\n5:2:4 [B] K=1\n");
	check("[A]\nK=[B]\n", "2:1:3 [A] K=[B]\n");
}

static void
test_continuation(void **state)
{
	check("[A]\nK=a\\\nb\nL=1\n", "2:1:3 [A] K=a b\n4:1:3 [A] L=1\n");
	check("[A]\nK=a\\\n# comment\n ; comment\n  b\n", "2:1:3 [A] K=a b\n");
	check("[A]\nK=a\\\\\nL=1\n", "2:1:3 [A] K=a\\\\\n3:1:3 [A] L=1\n");
	check("[A]\nK=a\\\\\\\nb\n", "2:1:3 [A] K=a\\\\ b\n");
	check("[A]\nK=a\\\n\nL=1\n", "2:1:3 [A] K=a\n4:1:3 [A] L=1\n");
	check("[A]\nK=a\\", "2:1:3 [A] K=a\n");
	check("[A]\nK=a\\\r\nb\r\n", "2:1:3 [A] K=a b\n");
	check("# comment \\\nK=1\n", "2:1:3 [] K=1\n");
	check("[A]\nK\\\n=v\n", "2:1:4 [A] K=v\n");
	check("\\\n\\\nK=v\n", "1:3:5 [] K=v\n");
}

static void
test_broken(void **state)
{
	check("[A]\nnonsense\nK=1\n", "2:1 [A] ! neither a section no\n3:1:3 [A] K=1\n");
	check("[A]\n  =x\n", "2:3 [A] ! an assignment withou\n");
	check("[A\nK=1\n", "1:3 [A] ! a section header wit\n2:1:3 [A] K=1\n");
	check("[]\nK=1\n", "1:2 [] ! a section header wit\n2:1:3 [] K=1\n");
	check("[A] x\nK=1\n", "1:4 [A] ! text behind a sectio\n2:1:3 [A] K=1\n");
}

static int
stop_at_second(const struct ini_item *it, void *arg)
{
	return ++*(int *)arg == 2 ? -42 : 0;
}

static void
test_callback_and_nul(void **state)
{
	struct buf b = BUF_INIT;
	int n = 0;

	assert_int_equal(ini_parse("A=1\nB=2\nC=3\n", 12, stop_at_second, &n), -42);
	assert_int_equal(n, 2);
	assert_int_equal(ini_parse("A=\0x\nB=2\n", 9, print_item, &b), 0);
	assert_string_equal(b.data, "1:3 [] ! a NUL byte in a text\n2:1:3 [] B=2\n");
	buf_free(&b);
}

static int
count_length(const struct ini_item *it, void *arg)
{
	*(size_t *)arg = strlen(it->value);
	return 0;
}

static void
test_caps(void **state)
{
	struct buf b = BUF_INIT;
	size_t n = 0;

	buf_puts(&b, "K=");
	for (size_t i = 0; i < INI_VALUE_MAX; i++)
		buf_putc(&b, 'x');
	assert_int_equal(ini_parse(b.data, b.len, count_length, &n), 0);
	assert_int_equal(n, INI_VALUE_MAX);
	buf_putc(&b, 'x');
	assert_int_equal(ini_parse(b.data, b.len, count_length, &n), -EFBIG);
	buf_reset(&b);
	buf_puts(&b, "K=");
	while (b.len < INI_FILE_MAX - 100)
		buf_puts(&b, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\\\n");
	assert_int_equal(ini_parse(b.data, b.len, count_length, &n), -EFBIG);
	buf_reset(&b);
	while (b.len <= INI_FILE_MAX)
		buf_putc(&b, '\n');
	assert_int_equal(ini_parse(b.data, b.len, count_length, &n), -EFBIG);
	b.len--;
	assert_int_equal(ini_parse(b.data, b.len, count_length, &n), 0);
	buf_free(&b);
}

static void
check_words(const char *value, const char *want)
{
	const char *why;
	char **v = ini_split_words(value, &why);
	struct buf b = BUF_INIT;

	buf_puts(&b, "");
	if (!v)
		buf_printf(&b, "! %s", why);
	for (char **w = v; w && *w; w++)
		buf_printf(&b, "<%s>", *w);
	if (want[0] == '!')
		assert_int_equal(strncmp(b.data, want, strlen(want)), 0);
	else
		assert_string_equal(b.data, want);
	if (v)
		assert_null(why);
	strv_free(v);
	buf_free(&b);
}

static void
test_words(void **state)
{
	check_words("", "");
	check_words("  \t ", "");
	check_words("a  b\tc", "<a><b><c>");
	check_words("/bin/sh -c 'echo \"x\" $y'", "</bin/sh><-c><echo \"x\" $y>");
	check_words("\"a b\" \"c\"'d e'f", "<a b><cd ef>");
	check_words("\"\" ''", "<><>");
	check_words("a\\sb \\x41\\102\\u00e4\\U0001F600", "<a b><AB\xc3\xa4\xf0\x9f\x98\x80>");
	check_words("\\a\\b\\f\\n\\r\\t\\v\\s\\\\\\\"\\'", "<\a\b\f\n\r\t\v \\\"'>");
	check_words("'a\\nb'", "<a\\nb>");
	check_words("\"a\\nb\"", "<a\nb>");
	check_words("\\u20ac", "<\xe2\x82\xac>");
	check_words("a\nb", "<a><b>");
	check_words("'open", "! a quote that is never closed");
	check_words("\"open", "! a quote that is never closed");
	check_words("end\\", "! a backslash at the end");
	check_words("\\q", "! an unknown escape");
	check_words("\\x4", "! a bad byte escape");
	check_words("\\x00", "! a bad byte escape");
	check_words("\\400", "! a bad byte escape");
	check_words("\\18", "! a bad byte escape");
	check_words("\\ud800", "! a bad character escape");
	check_words("\\U00110000", "! a bad character escape");
	check_words("\\u12", "! a bad character escape");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),  cmocka_unit_test(test_continuation),
		cmocka_unit_test(test_broken), cmocka_unit_test(test_callback_and_nul),
		cmocka_unit_test(test_caps),   cmocka_unit_test(test_words),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("ini", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Query strings and percent-encoding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/qs.h"

static void
check_decode(const char *in, bool plus, const char *want)
{
	struct buf b = BUF_INIT;
	/* A copy of the exact size, so that a sanitizer sees a read behind the end. */
	size_t n = strlen(in);
	char *copy = malloc(n ? n : 1);

	assert_non_null(copy);
	memcpy(copy, in, n);
	bool ok = qs_decode(copy, n, plus, &b);

	if (want) {
		assert_true(ok);
		assert_int_equal(b.len, strlen(want));
		assert_memory_equal(b.data ? b.data : "", want, b.len);
	} else {
		assert_false(ok);
	}
	free(copy);
	buf_free(&b);
}

static void
test_decode(void **state)
{
	check_decode("", false, "");
	check_decode("a%20b", false, "a b");
	check_decode("%41%4a%4A", false, "AJJ");
	check_decode("a+b", false, "a+b");
	check_decode("a+b", true, "a b");
	check_decode("%2F%2e%2E", false, "/..");
	check_decode("%C3%A9", false, "\xc3\xa9");
	check_decode("%25", false, "%");
}

static void
test_decode_broken(void **state)
{
	check_decode("%", false, NULL);
	check_decode("%4", false, NULL);
	check_decode("abc%4", false, NULL);
	check_decode("%zz", false, NULL);
	check_decode("%4z", false, NULL);
	check_decode("%00", false, NULL);
	check_decode("a%00b", true, NULL);
}

static void
collect(const char *name, const char *value, void *arg)
{
	buf_printf(arg, "[%s|%s]", name, value);
}

static void
check_each(const char *in, const char *want)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "");
	assert_int_equal(qs_each(in, strlen(in), collect, &b), want != NULL);
	if (want)
		assert_string_equal(b.data ? b.data : "", want);
	buf_free(&b);
}

static void
test_each(void **state)
{
	check_each("", "");
	check_each("a=1", "[a|1]");
	check_each("a=1&b=2", "[a|1][b|2]");
	check_each("a", "[a|]");
	check_each("a=", "[a|]");
	check_each("=x", "[|x]");
	check_each("&&a=1&", "[a|1]");
	check_each("a=b=c", "[a|b=c]");
	check_each("na%6de=va+l%26ue", "[name|va l&ue]");
	check_each("a=1&a=2", "[a|1][a|2]");
	check_each("a=%", NULL);
	check_each("%=a", NULL);
}

static void
count(const char *name, const char *value, void *arg)
{
	(*(int *)arg)++;
}

static void
test_each_is_capped(void **state)
{
	struct buf b = BUF_INIT;
	int n = 0;

	for (int i = 0; i < 10 * QS_PAIRS_MAX; i++)
		buf_puts(&b, "a=1&");
	assert_true(qs_each(b.data, b.len, count, &n));
	assert_int_equal(n, QS_PAIRS_MAX);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_decode_broken),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_each_is_capped),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

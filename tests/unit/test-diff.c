/* SPDX-License-Identifier: MIT */
/* Unified diffs: known texts, and what they lead to when they are applied. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diff.h"
#include "base/util.h"

static void
check(const char *a, const char *b, const char *want)
{
	struct buf out = BUF_INIT;
	bool differ = diff_unified(&out, "a", a, strlen(a), "b", b, strlen(b));

	assert_int_equal(differ, strcmp(a, b) != 0);
	assert_string_equal(out.data ? out.data : "", want);
	buf_free(&out);
}

static void
test_known(void **state)
{
	check("", "", "");
	check("x\ny\n", "x\ny\n", "");
	check("", "x\n", "--- a\n+++ b\n@@ -0,0 +1 @@\n+x\n");
	check("x\n", "", "--- a\n+++ b\n@@ -1 +0,0 @@\n-x\n");
	check("x\n", "x", "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+x\n\\ No newline at end of file\n");
	check("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n",
	      "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
	/* Two changes with room between them are two hunks. */
	check("a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
	      "--- a\n+++ b\n@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n "
	      "7\n-b\n+B\n");
	check("a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
	      "--- a\n+++ b\n@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n");
}

/* ---- applied, it gives the second text --------------------------------------------------------- */

static const char *
line_end(const char *p)
{
	const char *nl = strchr(p, '\n');

	return nl ? nl + 1 : p + strlen(p);
}

static void
put_line(struct buf *out, const char *from, const char *to, const char *next)
{
	bool cut = strncmp(next, "\\ ", 2) == 0;

	buf_put(out, from, (size_t)(to - from) - (cut ? 1 : 0));
}

static void
apply(struct buf *out, const char *a, const char *diff)
{
	const char *d = line_end(line_end(diff));
	long at = 0; /* lines of a that were taken */

	while (*d) {
		long start, count = 1;

		if (*d == '@') {
			assert_true(sscanf(d, "@@ -%ld,%ld", &start, &count) >= 1);
			for (; at < start - (count ? 1 : 0); at++) {
				buf_put(out, a, (size_t)(line_end(a) - a));
				a = line_end(a);
			}
		} else if (*d == '+') {
			put_line(out, d + 1, line_end(d), line_end(d));
		} else if (*d == '-' || *d == ' ') {
			size_t n = (size_t)(line_end(a) - a);

			assert_int_equal(strncmp(a, d + 1, n), 0);
			if (*d == ' ')
				buf_put(out, a, n);
			a += n;
			at++;
		}
		d = line_end(d);
	}
	buf_puts(out, a);
}

static void
check_applies(const char *a, const char *b)
{
	struct buf out = BUF_INIT, got = BUF_INIT;

	if (diff_unified(&out, "a", a, strlen(a), "b", b, strlen(b))) {
		apply(&got, a, out.data);
		assert_string_equal(got.data ? got.data : "", b);
	} else {
		assert_string_equal(a, b);
	}
	buf_free(&out);
	buf_free(&got);
}

static char *
random_text(unsigned *seed, int lines, int letters)
{
	struct buf b = BUF_INIT;

	for (int i = 0; i < lines; i++)
		buf_printf(&b, "%c\n", 'a' + rand_r(seed) % letters);
	if (b.len > 0 && rand_r(seed) % 4 == 0)
		b.data[--b.len] = 0;
	return buf_steal(&b);
}

static void
test_random(void **state)
{
	unsigned seed = 1;

	for (int i = 0; i < 3000; i++) {
		CLEANUP_FREE char *a = random_text(&seed, (int)(rand_r(&seed) % 40), 2 + i % 7);
		CLEANUP_FREE char *b = random_text(&seed, (int)(rand_r(&seed) % 40), 2 + i % 7);

		check_applies(a, b);
	}
}

/* More lines than the limits allow for: quick, and still a diff. */
static void
test_large(void **state)
{
	struct buf a = BUF_INIT, b = BUF_INIT, out = BUF_INIT, got = BUF_INIT;
	int64_t start = mono_us();

	for (int i = 0; i < 200000; i++) {
		buf_printf(&a, "%d\n", i % 7);
		buf_printf(&b, "%d\n", i % 5);
	}
	assert_true(diff_unified(&out, "a", a.data, a.len, "b", b.data, b.len));
	assert_true(mono_us() - start < 10 * 1000000);
	apply(&got, a.data, out.data);
	assert_int_equal(got.len, b.len);
	assert_memory_equal(got.data, b.data, b.len);
	buf_free(&a);
	buf_free(&b);
	buf_free(&out);
	buf_free(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_large),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("diff", tests, NULL, NULL);
}

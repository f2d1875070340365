/* SPDX-License-Identifier: MIT */
/* Forms taken apart: whole, byte by byte, cut in two at every place, and broken in every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/util.h"
#include "http/multipart.h"

#define TYPE "multipart/form-data; boundary=xyz"

/* What was seen, as text: name|filename|type|content; for each part. */
static struct buf seen;
static int refuse_after; /* callbacks until one refuses; -1: never */

static int
step(struct err *e)
{
	return refuse_after >= 0 && refuse_after-- == 0 ? err_set(e, -27, "enough") : 0;
}

static int
on_part(void *arg, const struct multipart_part *p, struct err *e)
{
	buf_printf(&seen, "%s|%s|%s|", p->name, p->filename ? p->filename : "-", p->type ? p->type : "-");
	return step(e);
}

static int
on_data(void *arg, const char *p, size_t n, struct err *e)
{
	assert_true(n > 0);
	buf_put(&seen, p, n);
	return step(e);
}

static int
on_end(void *arg, struct err *e)
{
	buf_putc(&seen, ';');
	return step(e);
}

static const struct multipart_ops ops = {on_part, on_data, on_end};

/* Feeds the body in two pieces, each of them in steps. */
static int
parse(const char *type, const char *body, size_t n, size_t cut, size_t by)
{
	struct multipart m;
	struct err e = {0};
	int r = multipart_init(&m, type, strlen(type), &ops, NULL, &e);

	buf_reset(&seen);
	buf_puts(&seen, "");
	for (size_t at = 0, len; r == 0 && at < n; at += len) {
		len = at < cut && cut - at < by ? cut - at : by;
		if (len > n - at)
			len = n - at;
		r = multipart_feed(&m, body + at, len, &e);
	}
	if (r == 0)
		r = multipart_finish(&m, &e);
	if (r < 0) {
		assert_true(multipart_feed(&m, "x", 1, &e) < 0 || r == -27 || strcmp(type, TYPE) == 0);
		assert_true(e.text[0]);
	}
	multipart_done(&m);
	return r;
}

static void
check(const char *body, const char *want)
{
	size_t n = strlen(body);

	for (size_t cut = 0; cut <= n; cut++) {
		assert_int_equal(parse(TYPE, body, n, cut, n + 1), 0);
		assert_string_equal(seen.data, want);
	}
	for (size_t by = 1; by < 8; by++) {
		assert_int_equal(parse(TYPE, body, n, 0, by), 0);
		assert_string_equal(seen.data, want);
	}
}

#define HEAD(name) "--xyz\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define END "\r\n--xyz--\r\n"

static void
test_parts(void **state)
{
	check(HEAD("a") "hello" END, "a|-|-|hello;");
	check(HEAD("a") END, "a|-|-|;");
	check(HEAD("a") "1\r\n" HEAD("b") "2" END, "a|-|-|1;b|-|-|2;");
	check("preamble\r\n--not\r\n" HEAD("a") "x" END "epilogue\r\n--xyz\r\n", "a|-|-|x;");
	check("--xyz--", "");
	check("--xyz--\r\n", "");
	check("--xyz \t\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--xyz-- ", "a|-|-|x;");
	check("--xyz\r\ncontent-TYPE:text/plain\r\nX: y\r\nCONTENT-disposition:  form-data;name=\"file\" ; filename=\"f.txt\"\r\n\r\nx" END,
	      "file|f.txt|text/plain|x;");
}

static void
test_content_like_delimiters(void **state)
{
	check(HEAD("a") "\r\n\r\n--xy\r\n--\r\r\n-\r\n--xy" END, "a|-|-|\r\n\r\n--xy\r\n--\r\r\n-\r\n--xy;");
	check(HEAD("a") "--xyz\r\r\r" END, "a|-|-|--xyz\r\r\r;");
	check(HEAD("a") "\n--xyz\n" END, "a|-|-|\n--xyz\n;");
}

static void
test_zero_bytes(void **state)
{
	static const char body[] = HEAD("a") "\0\0x\0" END;

	assert_int_equal(parse(TYPE, body, sizeof(body) - 1, 0, 1), 0);
	assert_int_equal(seen.len, strlen("a|-|-|") + 4 + 1);
	assert_memory_equal(seen.data + 6, "\0\0x\0;", 5);
}

static void
test_filenames(void **state)
{
	static const char *const rows[][2] = {
		{"filename=\"a;b=\\\"c\\\".txt\"", "a;b=\"c\".txt"},
		{"filename=\"C:\\dir\\\\f\"", "C:\\dir\\f"},
		{"filename=\"\"", ""},
		{"filename=plain.txt", "plain.txt"},
		{"filename=\"x\"; filename*=UTF-8''%e2%82%ac%20r", "\xe2\x82\xac r"},
		{"filename*=utf-8'en'a%2Fb; filename=y", "a/b"},
		{"filename*=iso-8859-1''%e9; filename=y", "y"},
		{"filename*=UTF-8''%zz; filename=y", "y"},
		{"filename*=UTF-8''%; filename=y", "y"},
		{"filename*=UTF-8'; filename=y", "y"},
		{"FileName=\"Y\"", "Y"},
		{"xfilename=z", "-"},
		{"filename", "-"},
		{"filename=\"open", "-"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP_FREE char *body = xasprintf("--xyz\r\nContent-Disposition: form-data; name=n; %s\r\n\r\nx" END, rows[i][0]);
		CLEANUP_FREE char *want = xasprintf("n|%s|-|x;", rows[i][1]);

		check(body, want);
	}
}

static void
test_boundaries(void **state)
{
	static const struct {
		const char *type, *boundary; /* NULL: none that can be used */
	} rows[] = {
		{"multipart/form-data; boundary=\"a b\"", "a b"},
		{"multipart/form-data;charset=x;BOUNDARY=abc", "abc"},
		{"multipart/form-data", NULL},
		{"multipart/form-data; boundary=", NULL},
		{"multipart/form-data; boundary=\"\"", NULL},
		{"multipart/form-data; boundary=\"x", NULL},
		{"multipart/form-data; boundary=1234567890123456789012345678901234567890123456789012345678901234567890",
		 "1234567890123456789012345678901234567890123456789012345678901234567890"},
		{"multipart/form-data; boundary=12345678901234567890123456789012345678901234567890123456789012345678901", NULL},
		{"multipart/form-data; boundary=\"x\ry\"", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP_FREE char *body = xasprintf("--%s\r\nContent-Disposition: form-data; name=n\r\n\r\nx\r\n--%s--", rows[i].boundary,
						    rows[i].boundary);

		assert_int_equal(parse(rows[i].type, body, strlen(body), 0, 1) == 0, rows[i].boundary != NULL);
	}
	assert_true(multipart_is("multipart/form-data", 19) && multipart_is("Multipart/Form-Data; x", 22));
	assert_false(multipart_is("multipart/form-datax", 20) || multipart_is("multipart/mixed", 15) || multipart_is("", 0));
}

static void
test_broken(void **state)
{
	static const char *const rows[] = {
		"",
		"no delimiter at all",
		"--xyz",
		"--xyz\r\n",
		"--xyz-",
		"--xyz-x",
		"--xyzz\r\n",
		"--xyz\n",
		"--xyz\r\r\n",
		"--xyz\r\n\r\nno headers" END,
		"--xyz\r\nContent-Type: text/plain\r\n\r\nno name" END,
		"--xyz\r\nContent-Disposition: form-data\r\n\r\nx" END,
		"--xyz\r\nContent-Disposition: attachment; name=a\r\n\r\nx" END,
		"--xyz\r\nContent-Disposition form-data\r\n\r\nx" END,
		"--xyz\r\n: form-data; name=a\r\n\r\nx" END,
		"--xyz\r\nContent-Disposition: form-data; name=a\n\nx" END,
		"--xyz\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx" END,
		"--xyz\r\n" HEAD("a") "x" END,
		HEAD("a"),
		HEAD("a") "content",
		HEAD("a") "content\r\n--xyz",
		HEAD("a") "content\r\n--xyz-",
		HEAD("a") "content\r\n--xyz\r\n",
		HEAD("a") "content\r\n--xyz\r\nContent-Disposition: form-data; name=b",
		HEAD("a") "content\r\n--xyzcontinued" END,
		HEAD("a") "content--xyz--",
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t by = 1; by < 100; by += 7)
			if (parse(TYPE, rows[i], strlen(rows[i]), 0, by) == 0)
				fail_msg("taken: %s", rows[i]);
}

static void
test_limits(void **state)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "--xyz\r\nContent-Disposition: form-data; name=a\r\nX: ");
	while (b.len < MULTIPART_HEADERS_MAX + 100)
		buf_putc(&b, 'x');
	buf_puts(&b, "\r\n\r\nx" END);
	assert_true(parse(TYPE, b.data, b.len, 0, 1000) < 0);
	for (int parts = MULTIPART_PARTS_MAX; parts <= MULTIPART_PARTS_MAX + 1; parts++) {
		buf_reset(&b);
		for (int i = 0; i < parts; i++)
			buf_puts(&b, HEAD("a") "x\r\n");
		buf_puts(&b, "--xyz--");
		assert_int_equal(parse(TYPE, b.data, b.len, 0, 1000) == 0, parts == MULTIPART_PARTS_MAX);
	}
	buf_free(&b);
}

static void
test_refusals(void **state)
{
	static const char body[] = HEAD("a") "one\rtwo" "\r\n" HEAD("b") "" END;

	for (int i = 0; i < 6; i++) {
		refuse_after = i;
		assert_int_equal(parse(TYPE, body, sizeof(body) - 1, 0, 1000), -27);
	}
	refuse_after = -1;
	assert_int_equal(parse(TYPE, body, sizeof(body) - 1, 0, 1000), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_content_like_delimiters),
		cmocka_unit_test(test_zero_bytes),
		cmocka_unit_test(test_filenames),
		cmocka_unit_test(test_boundaries),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_refusals),
	};
	int r;

	refuse_after = -1;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	buf_free(&seen);
	return r;
}

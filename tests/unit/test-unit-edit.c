/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/ini.h"
#include "base/util.h"
#include "model/unit-edit.h"

/* What is set in text (one value, or none for NULL) gives want. */
static void
gives(const char *text, const char *section, const char *key, const char *value, const char *want)
{
	char *const values[] = {(char *)(uintptr_t)value, NULL};
	struct buf out = BUF_INIT;
	struct err e = {0};

	if (unit_edit_set(&out, text, strlen(text), section, key, values, &e) < 0)
		fail_msg("%s: %s", text, e.text);
	assert_string_equal(out.data, want);
	buf_free(&out);
}

static void
gives_many(const char *text, const char *section, const char *key, const char *first,
	   const char *second, const char *want)
{
	char *const values[] = {(char *)(uintptr_t)first, (char *)(uintptr_t)second, NULL};
	struct buf out = BUF_INIT;

	assert_int_equal(unit_edit_set(&out, text, strlen(text), section, key, values, NULL), 0);
	assert_string_equal(out.data, want);
	buf_free(&out);
}

static void
removed(const char *text, const char *section, const char *key, bool there, const char *want)
{
	struct buf out = BUF_INIT;
	bool found = !there;

	assert_int_equal(unit_edit_remove(&out, text, strlen(text), section, key, &found, NULL), 0);
	assert_string_equal(out.data, want);
	assert_int_equal(found, there);
	buf_free(&out);
}

static void
refused(const char *text, size_t n, const char *section, const char *key, const char *value,
	int code, const char *says)
{
	char *const values[] = {(char *)(uintptr_t)value, NULL};
	struct buf out = BUF_INIT;
	struct err e = {0};

	buf_puts(&out, "before");
	assert_int_equal(unit_edit_set(&out, text, n, section, key, values, &e), code);
	if (!strstr(e.text, says))
		fail_msg("'%s' does not say '%s'", e.text, says);
	assert_string_equal(out.data, "before");
	buf_free(&out);
}

static void
test_replace(void **state)
{
	gives("[A]\nK=1\n", "A", "K", "2", "[A]\nK=2\n");
	/* Comments, order, blank lines, blanks around the sign, and what is not asked for. */
	gives("# top\n\n[A]\n; one\nX=0\n  K  =  1\n# two\nY=0\n\n[B]\nK=9\n", "A", "K", "2",
	      "# top\n\n[A]\n; one\nX=0\n  K  =  2\n# two\nY=0\n\n[B]\nK=9\n");
	/* With the lines that continue it; comments between them stay. */
	gives("[A]\nK=1 \\\n 2 \\\n# why\n 3\nX=0\n", "A", "K", "4", "[A]\nK=4\n# why\nX=0\n");
	gives("[A]\nK= \\\n  1\nX=0\n", "A", "K", "4", "[A]\nK=4\nX=0\n");
	gives("[A]\nK= \\\\\nX=0\n", "A", "K", "4", "[A]\nK= 4\nX=0\n");
	gives("[A]\nK= \r\nX=0\n", "A", "K", "4", "[A]\nK=4\nX=0\n");
	/* An assignment in a continuation is none. */
	gives("[A]\nX=0 \\\nK=1\n", "A", "K", "2", "[A]\nX=0 \\\nK=1\nK=2\n");
	/* Without a newline at the end, and with \r. */
	gives("[A]\nK=1", "A", "K", "2", "[A]\nK=2\n");
	gives("[A]\r\nX=0\r\nK=1\r\n", "A", "K", "2", "[A]\r\nX=0\r\nK=2\n");
	gives("[A]\nK=1\n", "A", "K", "", "[A]\nK=\n");
	gives("\xef\xbb\xbf[A]\nK=1\n", "A", "K", "2", "\xef\xbb\xbf[A]\nK=2\n");
}

static void
test_repeated(void **state)
{
	gives("[A]\nK=1\n# c\nK=2\nX=0\nK=3\n[A]\nK=4\n", "A", "K", "5",
	      "[A]\nK=5\n# c\nX=0\n[A]\n");
	gives_many("[A]\nK = 1\nX=0\n", "A", "K", "5", "6", "[A]\nK = 5\nK = 6\nX=0\n");
	gives_many("", "A", "K", "5", "6", "[A]\nK=5\nK=6\n");
}

static void
test_insert(void **state)
{
	gives("", "A", "K", "1", "[A]\nK=1\n");
	gives("# only this", "A", "K", "1", "# only this\n\n[A]\nK=1\n");
	gives("[B]\nX=0\n", "A", "K", "1", "[B]\nX=0\n\n[A]\nK=1\n");
	/* At the end of the section, before its last comments and blank lines. */
	gives("[A]\nX=0\n#K=\n\n[B]\nY=0\n", "A", "K", "1", "[A]\nX=0\nK=1\n#K=\n\n[B]\nY=0\n");
	gives("[A]\n[B]\n", "A", "K", "1", "[A]\nK=1\n[B]\n");
	/* In the last such section. */
	gives("[A]\nX=0\n[B]\n[A]\nY=0\n", "A", "K", "1", "[A]\nX=0\n[B]\n[A]\nY=0\nK=1\n");
	/* What is left open at the end does not swallow it. */
	gives("[A]\nX=0 \\", "A", "K", "1", "[A]\nX=0 \\\n\nK=1\n");
	gives("[A]\nX=0 \\\n# c", "A", "K", "1", "[A]\nX=0 \\\n\nK=1\n# c");
	gives("[B]\nX=0 \\\n# c", "A", "K", "1", "[B]\nX=0 \\\n# c\n\n[A]\nK=1\n");
	/* A key of another section, or one that only begins like it, is another key. */
	gives("[B]\nK=0\n[A]\nKK=0\nk=0\n", "A", "K", "1", "[B]\nK=0\n[A]\nKK=0\nk=0\nK=1\n");
	gives("[A]\n#K=0\n", "A", "K", "1", "[A]\nK=1\n#K=0\n");
}

static void
test_remove(void **state)
{
	removed("[A]\nK=1\n", "A", "K", true, "[A]\n");
	removed("[A]\n# why\nK=1 \\\n# in\n 2\nX=0\nK=3\n[B]\nK=4\n", "A", "K", true,
		"[A]\n# why\n# in\nX=0\n[B]\nK=4\n");
	removed("[A]\nX=0\n", "A", "K", false, "[A]\nX=0\n");
	removed("", "A", "K", false, "");
	removed("[A]\nK=1\\", "A", "K", true, "[A]\n");
}

static void
test_refused(void **state)
{
	char *large = xmalloc(INI_FILE_MAX + 1);
	char *const values[] = {large, NULL};
	struct buf out = BUF_INIT;

	refused("", 0, "A", "", "1", -EINVAL, "no key");
	refused("", 0, "A", "K=", "1", -EINVAL, "no key");
	refused("", 0, "A", "#K", "1", -EINVAL, "no key");
	refused("", 0, "A", "[K", "1", -EINVAL, "no key");
	refused("", 0, "A", " K", "1", -EINVAL, "no key");
	refused("", 0, "A", "K\nX", "1", -EINVAL, "no key");
	refused("", 0, "", "K", "1", -EINVAL, "no section");
	refused("", 0, "A]", "K", "1", -EINVAL, "no section");
	refused("", 0, "A\n", "K", "1", -EINVAL, "no section");
	refused("", 0, "A", "K", "1\n2", -EINVAL, "quote it");
	refused("", 0, "A", "K", " 1", -EINVAL, "quote it");
	refused("", 0, "A", "K", "1\t", -EINVAL, "quote it");
	refused("", 0, "A", "K", "1\\", -EINVAL, "quote it");
	refused("", 0, "A", "K", "1\\\\\\", -EINVAL, "quote it");
	gives("", "A", "K", "1\\\\", "[A]\nK=1\\\\\n");
	memset(large, 'x', INI_FILE_MAX + 1);
	refused(large, INI_FILE_MAX + 1, "A", "K", "1", -EFBIG, "larger");
	refused(large, INI_VALUE_MAX + 1, "A", "K", "1", -EFBIG, "too large");
	large[INI_FILE_MAX] = 0;
	assert_int_equal(unit_edit_set(&out, "[A]\n", 4, "A", "K", values, NULL), -EFBIG);
	buf_free(&out);
	free(large);
}

static void
test_quote(void **state)
{
	static const struct {
		const char *text, *quoted;
	} texts[] = {
		{"", ""},
		{"plain text, with 'these' and \"those\"",
		 "plain text, with 'these' and \"those\""},
		{"C:\\dir\\file", "C:\\dir\\file"},
		{"two\nlines\n", "\"two\\nlines\\n\""},
		{" blanks ", "\" blanks \""},
		{"tab\tbell\a", "\"tab\\tbell\\x07\""},
		{"end\\", "\"end\\\\\""},
		{"\"all of it\"", "\"\\\"all of it\\\"\""},
		{"\"a\" and \"b\"", "\"a\" and \"b\""},
		{"# no comment", "# no comment"},
		{"\xc3\xa4", "\xc3\xa4"},
	};
	struct buf out = BUF_INIT;
	char *const words[] = {(char *)(uintptr_t) "a", (char *)(uintptr_t) "",
			       (char *)(uintptr_t) "b c", (char *)(uintptr_t) "d\"\\", NULL};
	const char *why;
	char **back;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP_FREE char *text = NULL;

		buf_reset(&out);
		buf_puts(&out, "");
		unit_quote_text(&out, texts[i].text);
		assert_string_equal(out.data, texts[i].quoted);
		text = unit_unquote_text(out.data);
		assert_string_equal(text, texts[i].text);
		if (*texts[i].text) {
			CLEANUP_FREE char *want = xasprintf("[A]\nK=%s\n", out.data);

			gives("", "A", "K", out.data, want);
		}
	}
	buf_reset(&out);
	unit_quote_words(&out, words);
	assert_string_equal(out.data, "a \"\" \"b c\" \"d\\\"\\\\\"");
	back = ini_split_words(out.data, &why);
	assert_int_equal(strv_len(back), 4);
	assert_string_equal(back[3], words[3]);
	strv_free(back);
	buf_free(&out);
}

/* What looks quoted and is not is left as it is. */
static void
test_unquote(void **state)
{
	static const char *const same[] = {"\"open",   "\"a\" \"b\"", "\"bad \\q\"",
					   "'single'", "a \"b\"",     "\""};

	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		CLEANUP_FREE char *text = unit_unquote_text(same[i]);

		assert_string_equal(text, same[i]);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replace), cmocka_unit_test(test_repeated),
		cmocka_unit_test(test_insert),  cmocka_unit_test(test_remove),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_quote),
		cmocka_unit_test(test_unquote),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

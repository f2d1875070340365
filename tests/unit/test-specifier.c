/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/specifier.h"

static const struct specifiers all = {
	.name = "task@one-two",
	.run_dir = "/run/aod",
	.state_dir = "/var/lib/aod",
	.cache_dir = "/var/cache/aod",
	.home = "/home/me",
	.user = "me",
	.uid = "1000",
	.host = "box",
	.session = "sess",
	.session_id = "0190",
	.project_dir = "/srv/p",
	.session_dir = "/var/lib/aod/sessions/0190",
};

static void
expands(const struct specifiers *v, const char *s, const char *want)
{
	struct buf out = BUF_INIT;
	struct err e = {0};

	assert_int_equal(specifier_check(s), -1);
	if (specifier_expand(&out, s, v, &e) < 0)
		fail_msg("%s: %s", s, e.text);
	assert_string_equal(out.data, want);
	buf_free(&out);
}

static void
test_each(void **state)
{
	expands(&all, "", "");
	expands(&all, "none", "none");
	expands(&all, "%i|%I|%n|%N|%p", "one-two|one/two|task@one-two.blueprint|task@one-two|task");
	expands(&all, "%s|%e|%d|%D", "sess|0190|/srv/p|/var/lib/aod/sessions/0190");
	expands(&all, "%t|%S|%C|%h|%u|%U|%H",
		"/run/aod|/var/lib/aod|/var/cache/aod|/home/me|me|1000|box");
	expands(&all, "100%%", "100%");
	expands(&all, "%%%i%%i", "%one-two%i");
}

static void
test_no_instance(void **state)
{
	const struct specifiers v = {.name = "plain"};

	expands(&v, "[%i][%I][%p][%N][%n]", "[][][plain][plain][plain.blueprint]");
}

/* Each letter of the table stands for something. */
static void
test_table(void **state)
{
	for (const struct specifier *s = specifier_table; s->letter; s++) {
		char text[] = {'%', s->letter, 0};
		struct buf out = BUF_INIT;

		assert_int_equal(specifier_check(text), -1);
		assert_int_equal(specifier_expand(&out, text, &all, NULL), 0);
		assert_true(out.len > 0 && strlen(s->doc) > 10);
		buf_free(&out);
	}
}

static void
test_bad(void **state)
{
	struct buf out = BUF_INIT;
	struct err e = {0};
	const struct specifiers none = {.name = NULL};

	assert_int_equal(specifier_check("a%q"), 1);
	assert_int_equal(specifier_check("%%a%"), 3);
	assert_int_equal(specifier_check("%"), 0);
	assert_int_equal(specifier_check("%% %% % x"), 6);
	assert_true(specifier_expand(&out, "a%q", &all, &e) < 0);
	assert_int_equal(e.status, 422);
	assert_non_null(strstr(e.text, "%q"));
	assert_non_null(strstr(e.text, "write %%"));
	assert_true(specifier_expand(&out, "%", &all, &e) < 0);
	assert_true(specifier_expand(&out, "%i", &none, &e) < 0);
	assert_true(specifier_expand(&out, "%h", &none, &e) < 0);
	assert_non_null(strstr(e.text, "nothing is known"));
	buf_free(&out);
}

static void
test_escape(void **state)
{
	static const char *const texts[] = {"", "plain", "100% sure", "%%", "%i", "a%", "%%%"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct buf escaped = BUF_INIT, back = BUF_INIT;

		specifier_escape(&escaped, texts[i]);
		assert_int_equal(specifier_check(escaped.data), -1);
		specifier_unescape(&back, escaped.data);
		assert_string_equal(back.data, texts[i]);
		expands(&all, escaped.data, texts[i]);
		buf_free(&escaped);
		buf_free(&back);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each),   cmocka_unit_test(test_no_instance),
		cmocka_unit_test(test_table),  cmocka_unit_test(test_bad),
		cmocka_unit_test(test_escape),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

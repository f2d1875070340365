/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/util.h"
#include "model/blueprint.h"
#include "model/restart.h"

#define GOLDEN "tests/unit/restart.golden"
#define S INT64_C(1000000)

static void
test_table_golden(void **state)
{
	const char *srcdir = getenv("srcdir");
	CLEANUP_FREE char *path = xasprintf("%s/" GOLDEN, srcdir ? srcdir : ".");
	struct buf b = BUF_INIT;
	char want[8192];
	size_t n;
	FILE *f = fopen(path, "r");

	restart_print(&b);
	if (!f)
		fail_msg("%s is missing (run in the top of the tree, or set srcdir)", path);
	n = fread(want, 1, sizeof(want) - 1, f);
	want[n] = 0;
	fclose(f);
	assert_string_equal(b.data, want);
	buf_free(&b);
}

/* The classes of systemd.service(5), and what holds for all. */
static void
test_table_holds(void **state)
{
	for (int o = OUTCOME_NONE + 1; o < OUTCOME_COUNT; o++) {
		assert_false(restart_after(RESTART_NO, o));
		assert_int_equal(restart_after(RESTART_ALWAYS, o), !restart_never(o));
		assert_int_equal(restart_after(RESTART_ON_SUCCESS, o), o == OUTCOME_SUCCESS);
		/* What fails is a failure. */
		assert_int_equal(restart_after(RESTART_ON_FAILURE, o), o != OUTCOME_SUCCESS && !restart_never(o));
		if (restart_after(RESTART_ON_ABORT, o) || restart_after(RESTART_ON_WATCHDOG, o))
			assert_true(restart_after(RESTART_ON_ABNORMAL, o));
	}
	assert_true(restart_never(OUTCOME_AUTH) && restart_never(OUTCOME_BILLING) && restart_never(OUTCOME_CANCELLED));
	assert_true(restart_never(OUTCOME_START_LIMIT_HIT));
	assert_false(restart_after(RESTART_ON_ABNORMAL, OUTCOME_EXIT_CODE));
}

/* The words are those of the directive, in its order. */
static void
test_words(void **state)
{
	struct buf b = BUF_INIT;

	for (int i = 0; i < RESTART_COUNT; i++) {
		assert_int_equal(restart_parse(restart_name(i)), i);
		buf_printf(&b, "%s%s", i ? " " : "", restart_name(i));
	}
	assert_int_equal(restart_parse("sometimes"), -1);
	assert_string_equal(b.data, blueprint_directives[D_Restart].values);
	buf_free(&b);
}

static void
test_wanted(void **state)
{
	char *const prevent[] = { "7", "watchdog", NULL }, *const force[] = { "7", "8", "success", "auth", NULL };
	struct restart_policy p = { .when = RESTART_ON_FAILURE };

	assert_true(restart_wanted(&p, OUTCOME_EXIT_CODE, 7, 0));
	assert_false(restart_wanted(&p, OUTCOME_SUCCESS, 0, 0));
	p.prevent = prevent;
	assert_false(restart_wanted(&p, OUTCOME_EXIT_CODE, 7, 0));
	assert_true(restart_wanted(&p, OUTCOME_EXIT_CODE, 9, 0));
	assert_false(restart_wanted(&p, OUTCOME_WATCHDOG, -1, 9));
	p.force = force;
	p.when = RESTART_NO;
	assert_false(restart_wanted(&p, OUTCOME_EXIT_CODE, 7, 0));
	assert_true(restart_wanted(&p, OUTCOME_EXIT_CODE, 8, 0));
	assert_true(restart_wanted(&p, OUTCOME_SUCCESS, 0, 0));
	/* Nothing forces what no try can mend. */
	assert_false(restart_wanted(&p, OUTCOME_AUTH, 1, 0));
}

static void
test_delay(void **state)
{
	struct restart_policy p = { .delay_us = S, .max_delay_us = INT64_MAX };
	int64_t last = 0;

	assert_int_equal(restart_delay(&p, 0, 0), S);
	assert_int_equal(restart_delay(&p, 9, 0), S);
	/* 1 s, 2 s, 4 s, 8 s, 16 s, and 16 s for ever. */
	p.max_delay_us = 16 * S;
	assert_int_equal(restart_delay(&p, 9, 0), S);
	p.steps = 4;
	for (int i = 0; i < 5; i++)
		assert_in_range(restart_delay(&p, i, 0), (S << i) - 5, (S << i) + 5);
	assert_int_equal(restart_delay(&p, 5, 0), 16 * S);
	assert_int_equal(restart_delay(&p, INT64_MAX, 0), 16 * S);
	for (uint64_t i = 0; i < 1000; i++) {
		int64_t us = restart_delay(&p, 2, i * 7919);

		assert_in_range(us, 4 * S - 5, 4 * S + 4 * S / 10 + 5);
		assert_true(i < 2 || us != last);
		last = us;
	}
	/* Odd values do no harm. */
	p.max_delay_us = S / 2;
	assert_int_equal(restart_delay(&p, 3, 0), S);
	p = (struct restart_policy){ .steps = 3, .max_delay_us = S };
	assert_int_equal(restart_delay(&p, 1, 5), 0);
	p.delay_us = INT64_MAX;
	assert_true(restart_delay(&p, 1, UINT64_MAX) > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_golden), cmocka_unit_test(test_table_holds), cmocka_unit_test(test_words),
		cmocka_unit_test(test_wanted),	     cmocka_unit_test(test_delay),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

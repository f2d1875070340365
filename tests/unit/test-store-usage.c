/* SPDX-License-Identifier: MIT */
/* What is kept of usage, by day and by tree, in a real database. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "store-tx.h"

static void
add(const char *day, const char *blueprint, int64_t turns, double cost)
{
	struct usage_row row = { day, blueprint, { turns, turns * 10, turns * 2, cost } };

	OK(store_usage_add(s, &row, &e));
}

static int
keep(const struct usage_row *row, void *arg)
{
	size_t n = strlen(arg);

	snprintf((char *)arg + n, 200 - n, "%s %s %lld %lld %lld %g;", row->day, row->blueprint, (long long)row->used.turns,
		 (long long)row->used.input_tokens, (long long)row->used.output_tokens, row->used.cost_usd);
	return 0;
}

static void
test_days(void **state)
{
	char text[200] = "";
	struct usage u;

	OK(store_usage_get(s, "2026-11-22", "a", &u, &e));
	assert_int_equal(u.turns, 0);
	add("2026-11-22", "b", 1, 0.5);
	add("2026-11-21", "a", 3, 1);
	add("2026-11-22", "a", 2, 0.25);
	add("2026-11-22", "a", 1, 0.25);
	OK(store_usage_get(s, "2026-11-22", "a", &u, &e));
	assert_true(u.turns == 3 && u.input_tokens == 30 && u.output_tokens == 6 && u.cost_usd == 0.5);
	OK(store_usage_list(s, "2026-11-21", NULL, keep, text, &e));
	assert_string_equal(text, "2026-11-21 a 3 30 6 1;2026-11-22 a 3 30 6 0.5;2026-11-22 b 1 10 2 0.5;");
	text[0] = '\0';
	OK(store_usage_list(s, "2026-11-22", "b", keep, text, &e));
	assert_string_equal(text, "2026-11-22 b 1 10 2 0.5;");
	text[0] = '\0';
	OK(store_usage_list(s, "2026-11-23", NULL, keep, text, &e));
	assert_string_equal(text, "");
}

static int64_t
add_session(const char *id, int64_t root, int64_t turns)
{
	struct session_row row = { .id = id, .name = id, .exit_code = -1, .root = root, .turns = turns, .input_tokens = 5, .cost_usd = 0.125 };

	OK(store_session_add(s, &row, &e));
	OK(store_session_update(s, &row, &e));
	return row.n;
}

static void
test_tree(void **state)
{
	int64_t first = add_session("first", 0, 1), other = add_session("other", 0, 100);
	struct usage u;

	add_session("child", first, 2);
	add_session("grandchild", first, 4);
	OK(store_usage_tree(s, first, &u, &e));
	assert_true(u.turns == 7 && u.input_tokens == 15 && u.output_tokens == 0 && u.cost_usd == 0.375);
	OK(store_usage_tree(s, other, &u, &e));
	assert_int_equal(u.turns, 100);
	OK(store_usage_tree(s, 4711, &u, &e));
	assert_int_equal(u.turns, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_days, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_tree, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

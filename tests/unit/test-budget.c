/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <json-c/json.h>

#include "base/util.h"
#include "model/budget.h"

static struct blueprint *
blueprint(const char *session)
{
	struct blueprint *b = blueprint_new("b", NULL);
	struct blueprint_problems p = BLUEPRINT_PROBLEMS_INIT;
	CLEANUP_FREE char *text = xasprintf("[Session]\n%s\n[Agent]\nMaxTurns=7\n", session);

	assert_int_equal(blueprint_add(b, "b.blueprint", text, strlen(text), &p), 0);
	blueprint_problems_free(&p);
	return b;
}

/* Each scope and quantity has a key of its own. */
static void
test_keys(void **state)
{
	for (enum budget_scope s = BUDGET_RUN; s < BUDGET_SCOPES; s++)
		for (enum budget_quantity q = BUDGET_TURNS; q < BUDGET_QUANTITIES; q++) {
			CLEANUP_FREE char *line = xasprintf("%s=3", s == BUDGET_RUN && q == BUDGET_TURNS ? "MaxTokens" : budget_key(s, q));
			struct blueprint *bp = blueprint(line);
			struct budget b;

			budget_make(&b, bp);
			assert_true(b.max[s][q] == (s == BUDGET_RUN && q == BUDGET_TURNS ? 7 : 3));
			assert_true(budget_has(&b, s));
			for (enum budget_scope o = BUDGET_SESSION; o < BUDGET_SCOPES; o++)
				assert_int_equal(budget_has(&b, o), o == s);
			blueprint_free(bp);
		}
}

static void
test_spent(void **state)
{
	struct budget b = { .max = { [BUDGET_RUN] = { 10, 0, 0 }, [BUDGET_DAY] = { 0, 1000, 2.5 } } };
	struct budget_used u = { { { 0 } } };
	enum budget_scope s;
	enum budget_quantity q;
	struct buf text = BUF_INIT;

	assert_false(budget_spent(&b, &u, BUDGET_RUN, &s, &q));
	/* What has no limit is never used up. */
	u.used[BUDGET_TREE][BUDGET_COST] = 1e9;
	u.used[BUDGET_DAY][BUDGET_TURNS] = 1e9;
	assert_false(budget_spent(&b, &u, BUDGET_RUN, &s, &q));
	assert_int_equal(budget_percent(&b, &u, BUDGET_DAY, BUDGET_TURNS), 0);
	u.used[BUDGET_RUN][BUDGET_TURNS] = 10;
	u.used[BUDGET_DAY][BUDGET_COST] = 2.499999;
	assert_true(budget_spent(&b, &u, BUDGET_RUN, &s, &q));
	assert_int_equal(s, BUDGET_RUN);
	assert_false(budget_spent(&b, &u, BUDGET_SESSION, &s, &q));
	assert_int_equal(budget_percent(&b, &u, BUDGET_DAY, BUDGET_COST), 99);
	u.used[BUDGET_DAY][BUDGET_COST] = 2.505;
	assert_true(budget_spent(&b, &u, BUDGET_SESSION, &s, &q));
	assert_int_equal(q, BUDGET_COST);
	budget_text(&text, &b, &u, s, q);
	assert_string_equal(text.data, "DailyMaxCostUSD=2.5 is used up (2.505)");
	u.used[BUDGET_DAY][BUDGET_COST] = 1e300;
	assert_int_equal(budget_percent(&b, &u, BUDGET_DAY, BUDGET_COST), 1000000);
	buf_free(&text);
}

static void
test_json(void **state)
{
	struct budget b = { .max = { [BUDGET_SESSION] = { 0, 1e12, 0 }, [BUDGET_TREE] = { 3, 0, 0.000001 } }, .action = BUDGET_FREEZE }, back;
	struct buf text = BUF_INIT;
	struct json_object *o;

	budget_json(&text, &b);
	assert_string_equal(text.data, "{\"SessionMaxTokens\":1000000000000,\"TreeMaxTurns\":3,\"TreeMaxCostUSD\":0.000001,\"BudgetAction\":\"freeze\"}");
	o = json_tokener_parse(text.data);
	memset(&back, 0xff, sizeof(back));
	budget_from_json(&back, o);
	assert_memory_equal(&back, &b, sizeof(b));
	json_object_put(o);
	o = json_tokener_parse("{\"BudgetAction\":\"explode\"}");
	budget_from_json(&back, o);
	assert_int_equal(back.action, BUDGET_STOP);
	json_object_put(o);
	buf_free(&text);
}

static void
test_day(void **state)
{
	char day[BUDGET_DAY_SIZE];

	assert_int_equal(strlen(budget_day(INT64_C(1795342937000000), day)), 10);
	assert_int_equal(strncmp(day, "2026-11-2", 9), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_spent),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_day),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
